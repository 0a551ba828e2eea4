#include "text/decode_steps.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace braid::text {
namespace {

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  size_t done = 0;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, done)) {
    result.append(text.substr(done, at - done)).append(to);
    done = at + from.size();
  }
  return result.append(text.substr(done));
}

// The byte of a token "<0xE6>".
std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  uint8_t byte = 0;
  const auto [end, error] = std::from_chars(&token[3], &token[5], byte, 16);
  if (error != std::errc() || end != &token[5]) return std::nullopt;
  return static_cast<char>(byte);
}

class Collect : public DecodeStep {
 public:
  explicit Collect(std::string& text) : text_(text) {}
  void push(std::string_view token) override { text_ += token; }
  void finish() override {}

 private:
  std::string& text_;
};

// A step that holds nothing back.
class Link : public DecodeStep {
 public:
  explicit Link(DecodeStepPtr next) : next_(std::move(next)) {}
  void finish() override { next_->finish(); }

 protected:
  DecodeStepPtr next_;
};

class Join : public Link {
 public:
  using Link::Link;
  void push(std::string_view token) override {
    if (std::exchange(any_, true)) next_->push(" ");
    next_->push(token);
  }

 private:
  bool any_ = false;
};

class Replace : public Link {
 public:
  Replace(std::string from, std::string to, DecodeStepPtr next)
      : Link(std::move(next)), from_(std::move(from)), to_(std::move(to)) {}
  void push(std::string_view token) override { next_->push(replaced(token, from_, to_)); }

 private:
  std::string from_;
  std::string to_;
};

class Metaspace : public Link {
 public:
  Metaspace(std::string replacement, bool drop_first, DecodeStepPtr next)
      : Link(std::move(next)), replacement_(std::move(replacement)), drop_(drop_first) {}
  void push(std::string_view token) override {
    next_->push(replaced(token, replacement_, std::exchange(drop_, false) ? "" : " "));
  }

 private:
  std::string replacement_;
  bool drop_;
};

class Strip : public Link {
 public:
  Strip(std::string content, StripCounts counts, DecodeStepPtr next)
      : Link(std::move(next)), content_(std::move(content)), counts_(counts) {}

  void push(std::string_view token) override {
    for (size_t i = 0; i < counts_.start && token.starts_with(content_); ++i) {
      token.remove_prefix(content_.size());
    }
    for (size_t i = 0; i < counts_.stop && token.ends_with(content_); ++i) {
      token.remove_suffix(content_.size());
    }
    next_->push(token);
  }

 private:
  std::string content_;
  StripCounts counts_;
};

// Strips one token that comes in parts of whole characters.
class StripFused : public DecodeStep {
 public:
  StripFused(std::string content, StripCounts counts, DecodeStepPtr next)
      : next_(std::move(next)), content_(std::move(content)), counts_(counts) {}

  void push(std::string_view part) override {
    for (; counts_.start > 0 && part.starts_with(content_); --counts_.start) {
      part.remove_prefix(content_.size());
    }
    if (part.empty()) return;
    counts_.start = 0;
    held_ += part;
    size_t back = 0;  // bytes at the back that finish might strip
    for (size_t i = 0; i < counts_.stop && ends_in_content(back); ++i) back += content_.size();
    next_->push(std::string_view(held_).substr(0, held_.size() - back));
    held_.erase(0, held_.size() - back);
  }

  void finish() override { next_->finish(); }

 private:
  bool ends_in_content(size_t back) const {
    return std::string_view(held_).substr(0, held_.size() - back).ends_with(content_);
  }

  DecodeStepPtr next_;
  std::string content_;
  StripCounts counts_;
  std::string held_;  // at most `stop` times content
};

class ByteFallback : public DecodeStep {
 public:
  explicit ByteFallback(DecodeStepPtr next) : next_(std::move(next)) {}

  void push(std::string_view token) override {
    if (const auto byte = byte_of(token)) {
      run_ += *byte;
      return;
    }
    flush();
    next_->push(token);
  }

  void finish() override {
    flush();
    next_->finish();
  }

 private:
  void flush() {
    if (run_.empty()) return;
    if (is_valid_utf8(run_)) {
      next_->push(run_);
    } else {
      for (size_t i = 0; i < run_.size(); ++i) next_->push(kReplacementCharacter);
    }
    run_.clear();
  }

  DecodeStepPtr next_;
  std::string run_;
};

class ByteLevel : public DecodeStep {
 public:
  explicit ByteLevel(DecodeStepPtr next) : next_(std::move(next)) {}

  void push(std::string_view token) override {
    bytes_ += from_byte_alphabet(token).value_or(std::string(token));
    const size_t certain = bytes_.size() - unfinished_bytes();
    if (certain == 0) return;
    next_->push(to_valid_utf8(std::string_view(bytes_).substr(0, certain)));
    bytes_.erase(0, certain);
  }

  void finish() override {
    if (!bytes_.empty()) next_->push(to_valid_utf8(bytes_));
    bytes_.clear();
    next_->finish();
  }

 private:
  // Length of the beginning of a character that the bytes end in.
  size_t unfinished_bytes() const {
    for (size_t back = 1; back <= std::min<size_t>(3, bytes_.size()); ++back) {
      const auto tail = std::string_view(bytes_).substr(bytes_.size() - back);
      if (is_continuation(tail[0])) continue;
      return scan_utf8(tail).kind == Utf8Scan::Kind::truncated ? back : 0;
    }
    return 0;
  }

  DecodeStepPtr next_;
  std::string bytes_;
};

}  // namespace

DecodeStepPtr make_collect_step(std::string& text) { return std::make_unique<Collect>(text); }

DecodeStepPtr make_join_step(DecodeStepPtr next) { return std::make_unique<Join>(std::move(next)); }

DecodeStepPtr make_replace_step(std::string from, std::string to, DecodeStepPtr next) {
  return std::make_unique<Replace>(std::move(from), std::move(to), std::move(next));
}

DecodeStepPtr make_strip_step(std::string content, StripCounts counts, bool fused,
                              DecodeStepPtr next) {
  if (fused) return std::make_unique<StripFused>(std::move(content), counts, std::move(next));
  return std::make_unique<Strip>(std::move(content), counts, std::move(next));
}

DecodeStepPtr make_byte_fallback_step(DecodeStepPtr next) {
  return std::make_unique<ByteFallback>(std::move(next));
}

DecodeStepPtr make_byte_level_step(DecodeStepPtr next) {
  return std::make_unique<ByteLevel>(std::move(next));
}

DecodeStepPtr make_metaspace_step(std::string replacement, bool drop_first, DecodeStepPtr next) {
  return std::make_unique<Metaspace>(std::move(replacement), drop_first, std::move(next));
}

}  // namespace braid::text
