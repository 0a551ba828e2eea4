#include "text/split.h"

#include <algorithm>
#include <array>
#include <utility>

namespace braid::text {
namespace {

// A stretch of the text that is a match, or lies between two.
struct Stretch {
  Span span;
  bool match;
};

std::vector<Stretch> cover(size_t size, std::span<const Span> matches, bool invert) {
  std::vector<Stretch> stretches;
  stretches.reserve(2 * matches.size() + 1);
  size_t end = 0;
  for (const Span& match : matches) {
    if (end != match.begin) stretches.push_back({{end, match.begin}, invert});
    stretches.push_back({match, !invert});
    end = match.end;
  }
  if (end != size) stretches.push_back({{end, size}, invert});
  return stretches;
}

// A match joins the stretch before it, unless that one is a match itself.
void merge_with_previous(std::vector<Stretch>& stretches) {
  std::vector<Stretch> merged;
  bool after_match = false;
  for (const Stretch& stretch : stretches) {
    if (stretch.match && !after_match && !merged.empty()) {
      merged.back().span.end = stretch.span.end;
    } else {
      merged.push_back(stretch);
    }
    after_match = stretch.match;
  }
  stretches = std::move(merged);
}

void merge_with_next(std::vector<Stretch>& stretches) {
  std::vector<Stretch> merged;  // back to front
  bool before_match = false;
  for (size_t i = stretches.size(); i-- > 0;) {
    const Stretch& stretch = stretches[i];
    if (stretch.match && !before_match && !merged.empty()) {
      merged.back().span.begin = stretch.span.begin;
    } else {
      merged.push_back(stretch);
    }
    before_match = stretch.match;
  }
  std::reverse(merged.begin(), merged.end());
  stretches = std::move(merged);
}

void merge_equal(std::vector<Stretch>& stretches) {
  std::vector<Stretch> merged;
  for (const Stretch& stretch : stretches) {
    if (!merged.empty() && merged.back().match == stretch.match) {
      merged.back().span.end = stretch.span.end;
    } else {
      merged.push_back(stretch);
    }
  }
  stretches = std::move(merged);
}

}  // namespace

Result<SplitBehavior> parse_split_behavior(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {
      {{"Isolated", SplitBehavior::isolated},
       {"Removed", SplitBehavior::removed},
       {"MergedWithPrevious", SplitBehavior::merged_with_previous},
       {"MergedWithNext", SplitBehavior::merged_with_next},
       {"Contiguous", SplitBehavior::contiguous}}};
  for (const auto& [known, behavior] : kBehaviors) {
    if (name == known) return behavior;
  }
  return Error(ErrorKind::unsupported, "this behavior of a pre-tokenizer is not supported")
      .with("behavior", name)
      .with("supported", "Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
}

void append_split(size_t size, std::span<const Span> matches, SplitBehavior behavior, bool invert,
                  size_t offset, std::vector<Span>& pieces) {
  std::vector<Stretch> stretches = cover(size, matches, invert);
  switch (behavior) {
    case SplitBehavior::isolated:
    case SplitBehavior::removed: break;
    case SplitBehavior::merged_with_previous: merge_with_previous(stretches); break;
    case SplitBehavior::merged_with_next: merge_with_next(stretches); break;
    case SplitBehavior::contiguous: merge_equal(stretches); break;
  }
  for (const Stretch& stretch : stretches) {
    const bool removed = behavior == SplitBehavior::removed && stretch.match;
    if (removed || stretch.span.begin == stretch.span.end) continue;
    pieces.push_back({offset + stretch.span.begin, offset + stretch.span.end});
  }
}

}  // namespace braid::text
