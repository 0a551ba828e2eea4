// One prompt alone through an engine, in one prefill step: row i of the step is token i.
#pragma once

#include <vector>

#include "support/models.h"
#include "support/tap.h"

namespace braid::testing {

// Room for a prompt of so many tokens, with all probes but force_routing.
start::EngineOptions prompt_options(size_t tokens);

// Runs a prompt in an engine of prompt_options().
std::vector<TokenRecord> run_prompt(engine::Engine& engine, const std::vector<int32_t>& prompt);

// Puts a golden's experts where the routing of a step takes its ids from; needs force_routing.
void force_experts(engine::Engine& engine, const std::string& golden);

// All tokens' logits, one after the other: [N · V].
std::vector<float> logits_of(const std::vector<TokenRecord>& records);

// Logits of a model's folder on a golden's input_ids, in float32.
std::vector<float> logits_on_golden(const std::string& folder, const std::string& golden,
                                    const std::string& override_json = {});

bool same_bytes(const std::vector<float>& a, const std::vector<float>& b);
float largest_difference(const std::vector<float>& a, const std::vector<float>& b);
// Norm of the difference over the norm of `expected`.
double relative_error(std::span<const float> got, std::span<const float> expected);

}  // namespace braid::testing
