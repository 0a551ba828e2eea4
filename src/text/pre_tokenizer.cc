#include "text/pre_tokenizer.h"

#include <optional>
#include <utility>

#include "base/json.h"
#include "text/byte_alphabet.h"
#include "text/metaspace.h"
#include "text/pattern.h"
#include "text/split.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace braid::text {
namespace {

constexpr Role kRole = "pre-tokenizer";
constexpr std::string_view kSupported =
    "Split, ByteLevel, Digits, Punctuation, Metaspace, Sequence, null";

// GPT-2's split: contractions, words, numbers and signs, each with the space before it; whitespace.
constexpr std::string_view kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Cuts each piece at the matches of a pattern.
Status cut(Pieces& pieces, const Pattern& pattern, SplitBehavior behavior, bool invert,
           EncodeRun& run) {
  std::vector<Span> cut;
  std::vector<Span> matches;
  for (const Span& span : pieces.spans) {
    const std::string_view piece = pieces.piece(span);
    TRY(pattern.find_all(piece, run, matches));
    append_split(piece.size(), matches, behavior, invert, span.begin, cut);
  }
  pieces.spans = std::move(cut);
  return {};
}

// Rewrites each piece: append(text, piece, is_first) appends its new form.
template <typename Append>
Status rewrite(Pieces& pieces, const EncodeRun& run, const Append& append) {
  const bool starts = pieces.at_start && !pieces.spans.empty() && pieces.spans[0].begin == 0;
  std::string text;
  text.reserve(pieces.text.size() + pieces.text.size() / 8);
  for (Span& span : pieces.spans) {
    const size_t begin = text.size();
    append(text, pieces.piece(span), starts && begin == 0);
    span = {begin, text.size()};
    TRY(run.check_text_bytes(text.size()));
  }
  pieces.text = std::move(text);
  pieces.at_start = starts;
  return {};
}

class Split : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  Status apply(Pieces& pieces, EncodeRun& run) const override {
    return cut(pieces, pattern_, behavior_, invert_, run);
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

// Cuts as GPT-2 does (if use_regex), then writes the pieces in the byte alphabet.
class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(std::optional<Pattern> pattern, bool add_prefix_space)
      : pattern_(std::move(pattern)), add_prefix_space_(add_prefix_space) {}

  Status apply(Pieces& pieces, EncodeRun& run) const override {
    const auto with_space = [](std::string& text, std::string_view piece, bool) {
      if (!piece.starts_with(' ')) text += ' ';
      text += piece;
    };
    if (add_prefix_space_) TRY(rewrite(pieces, run, with_space));
    if (pattern_) TRY(cut(pieces, *pattern_, SplitBehavior::isolated, /*invert=*/false, run));
    return rewrite(pieces, run, [](std::string& text, std::string_view piece, bool) {
      append_in_byte_alphabet(text, piece);
    });
  }

 private:
  std::optional<Pattern> pattern_;
  bool add_prefix_space_;
};

// Cuts at the characters of a kind, such as numeric ones.
class CutCharacters : public PreTokenizer {
 public:
  CutCharacters(bool (*is_cut)(char32_t), SplitBehavior behavior)
      : is_cut_(is_cut), behavior_(behavior) {}

  Status apply(Pieces& pieces, EncodeRun&) const override {
    std::vector<Span> cut;
    std::vector<Span> found;
    for (const Span& span : pieces.spans) {
      const std::string_view piece = pieces.piece(span);
      found.clear();
      for (size_t at = 0; at < piece.size();) {
        const size_t begin = at;
        if (is_cut_(read_char(piece, at))) found.push_back({begin, at});
      }
      append_split(piece.size(), found, behavior_, /*invert=*/false, span.begin, cut);
    }
    pieces.spans = std::move(cut);
    return {};
  }

 private:
  bool (*is_cut_)(char32_t);
  SplitBehavior behavior_;
};

// Writes spaces as `replacement`, puts one before the text, and cuts in front of each.
class Metaspace : public PreTokenizer {
 public:
  Metaspace(std::string replacement, MetaspacePrepend prepend, bool split)
      : replacement_(std::move(replacement)),
        pattern_(Pattern::literal(replacement_)),
        prepend_(prepend),
        split_(split) {}

  Status apply(Pieces& pieces, EncodeRun& run) const override {
    TRY(rewrite(pieces, run, [this](std::string& text, std::string_view piece, bool is_first) {
      const bool has = piece.starts_with(' ') || piece.starts_with(replacement_);
      const bool wanted =
          prepend_ == MetaspacePrepend::always || (prepend_ == MetaspacePrepend::first && is_first);
      if (wanted && !has) text += replacement_;
      for (const char byte : piece) {
        if (byte == ' ') {
          text += replacement_;
        } else {
          text += byte;
        }
      }
    }));
    if (!split_) return {};
    return cut(pieces, pattern_, SplitBehavior::merged_with_next, /*invert=*/false, run);
  }

 private:
  std::string replacement_;
  Pattern pattern_;
  MetaspacePrepend prepend_;
  bool split_;
};

class Sequence : public PreTokenizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<const PreTokenizer>> steps)
      : steps_(std::move(steps)) {}
  Status apply(Pieces& pieces, EncodeRun& run) const override {
    for (const auto& step : steps_) TRY(step->apply(pieces, run));
    return {};
  }

 private:
  std::vector<std::unique_ptr<const PreTokenizer>> steps_;
};

using Parsed = std::unique_ptr<const PreTokenizer>;

Result<Parsed> parse_split(const Json& component) {
  Pattern pattern = TRY(Pattern::from_component(component, kRole));
  const std::string behavior = TRY(string_field(component, kRole, "behavior"));
  const bool invert = TRY(bool_field(component, kRole, "invert", false));
  return Parsed(
      std::make_unique<Split>(std::move(pattern), TRY(parse_split_behavior(behavior)), invert));
}

Result<Parsed> parse_byte_level(const Json& component) {
  const bool add_prefix_space = TRY(bool_field(component, kRole, "add_prefix_space", true));
  std::optional<Pattern> pattern;
  if (TRY(bool_field(component, kRole, "use_regex", true))) {
    pattern = Pattern(TRY(Regex::compile(kByteLevelPattern)));
  }
  return Parsed(std::make_unique<ByteLevel>(std::move(pattern), add_prefix_space));
}

Result<Parsed> parse_metaspace(const Json& component) {
  std::string replacement = TRY(char_field(component, kRole, "replacement"));
  const MetaspacePrepend prepend = TRY(parse_metaspace_prepend(component, kRole));
  const bool split = TRY(bool_field(component, kRole, "split", true));
  return Parsed(std::make_unique<Metaspace>(std::move(replacement), prepend, split));
}

Result<Parsed> parse_sequence(const Json& component) {
  std::vector<Parsed> steps;
  for (const Json* member : TRY(array_field(component, kRole, "pretokenizers"))) {
    Parsed step = TRY(parse_pre_tokenizer(*member));
    if (step != nullptr) steps.push_back(std::move(step));
  }
  return Parsed(std::make_unique<Sequence>(std::move(steps)));
}

}  // namespace

Pieces::Pieces(std::string whole, bool starts) : text(std::move(whole)), at_start(starts) {
  if (!text.empty()) spans.push_back({0, text.size()});
}

Result<Parsed> parse_pre_tokenizer(const Json& component) {
  if (component.is_null()) return Parsed();
  const std::string type = TRY(component_type(component, kRole));
  if (type == "Split") return parse_split(component);
  if (type == "ByteLevel") return parse_byte_level(component);
  if (type == "Digits") {
    const bool individual = TRY(bool_field(component, kRole, "individual_digits", false));
    return Parsed(std::make_unique<CutCharacters>(
        is_numeric, individual ? SplitBehavior::isolated : SplitBehavior::contiguous));
  }
  if (type == "Punctuation") {
    const std::string behavior = component.contains("behavior")
                                     ? TRY(string_field(component, kRole, "behavior"))
                                     : std::string("Isolated");
    return Parsed(
        std::make_unique<CutCharacters>(is_punctuation, TRY(parse_split_behavior(behavior))));
  }
  if (type == "Metaspace") return parse_metaspace(component);
  if (type == "Sequence") return parse_sequence(component);
  return unsupported_type(kRole, type, kSupported);
}

}  // namespace braid::text
