#include "layout/expert_reads.h"

#include <algorithm>
#include <vector>

#include "base/status.h"

namespace braid::layout {
namespace {

// long double: binomials of thousands of experts are beyond the range of double.
using Numbers = std::vector<long double>;

// n over 0 … n.
Numbers binomials(int64_t n) {
  Numbers row = {1};
  for (int64_t k = 1; k <= n; ++k) {
    row.push_back(row.back() * static_cast<long double>(n - k + 1) / static_cast<long double>(k));
  }
  return row;
}

long double choose(int64_t n, int64_t k) {
  long double value = 1;
  for (int64_t i = 1; i <= k; ++i) {
    value *= static_cast<long double>(n - k + i) / static_cast<long double>(i);
  }
  return k < 0 || k > n ? 0 : value;
}

// How likely each number of different experts is, after one more token.
Numbers after_a_token(const Numbers& before, int64_t num_experts, int64_t top_k) {
  Numbers after(before.size());
  const long double all = choose(num_experts, top_k);
  for (int64_t known = 0; known <= num_experts; ++known) {
    const long double likely = before[static_cast<size_t>(known)];
    if (likely == 0) continue;
    for (int64_t more = 0; more <= std::min(top_k, num_experts - known); ++more) {
      after[static_cast<size_t>(known + more)] +=
          likely * choose(num_experts - known, more) * choose(known, top_k - more) / all;
    }
  }
  return after;
}

// The number of ways to choose 0, 1, … experts with at most `most` of each group.
Numbers ways_with_at_most(int64_t most, const Numbers& of_group, int32_t groups) {
  Numbers ways = {1};
  for (int32_t group = 0; group < groups; ++group) {
    Numbers next(ways.size() + static_cast<size_t>(most));
    for (size_t i = 0; i < ways.size(); ++i) {
      for (size_t here = 0; here <= static_cast<size_t>(most); ++here) {
        next[i + here] += ways[i] * of_group[here];
      }
    }
    ways = std::move(next);
  }
  return ways;
}

}  // namespace

ExpertReads expected_reads(int64_t num_experts, int64_t top_k, int32_t groups, int64_t tokens) {
  BRAID_CHECK(groups > 0 && num_experts % groups == 0 && top_k <= num_experts,
              "({} of {} experts, {} groups)", top_k, num_experts, groups);
  Numbers chosen(static_cast<size_t>(num_experts) + 1);
  chosen[0] = 1;
  for (int64_t token = 0; token < tokens; ++token) {
    chosen = after_a_token(chosen, num_experts, top_k);
  }
  const Numbers ways = binomials(num_experts);
  const int64_t each = num_experts / groups;
  const Numbers of_group = binomials(each);
  long double all = 0, slowest = 0;
  for (size_t i = 0; i < chosen.size(); ++i) all += chosen[i] * static_cast<long double>(i);
  // A group has at most `most` of i chosen ones in as many cases as there are such choices; the
  // expected maximum is the sum over `most` of the likelihoods that a group has more.
  for (int64_t most = 0; most < each; ++most) {
    const Numbers even = ways_with_at_most(most, of_group, groups);
    for (size_t i = 0; i < chosen.size(); ++i) {
      slowest += chosen[i] * (1 - (i < even.size() ? even[i] / ways[i] : 0));
    }
  }
  return {static_cast<double>(all), static_cast<double>(slowest)};
}

double slowest_over_even(int64_t num_experts, int64_t top_k, int32_t groups, int64_t tokens) {
  const ExpertReads reads = expected_reads(num_experts, top_k, groups, tokens);
  return reads.slowest * groups / reads.all;
}

}  // namespace braid::layout
