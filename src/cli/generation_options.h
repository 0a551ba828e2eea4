// How answers are made: the options first, then what generation_config.json recommends.
#pragma once

#include "base/options.h"
#include "cli/interrupt.h"
#include "cli/streams.h"
#include "engine/text_generation.h"
#include "model/config.h"
#include "start/session.h"

namespace braid::cli {

// Options win over the recommendations. Without a temperature from either: 1 when sampling is
// asked for (by --top-p, --top-k, --min-p, or do_sample), else 0, the likeliest token. do_sample
// false turns the recommendations off, but for the penalties.
engine::SamplingParams sampling_params(const ParsedOptions& options,
                                       const model::SamplingDefaults& recommended);

// The penalties alone, which count without sampling, too.
void set_penalties(const ParsedOptions& options, const model::SamplingDefaults& recommended,
                   engine::SamplingParams& sampling);

// --logit-bias; an error of usage where a value isn't ID=BIAS.
Result<std::vector<engine::LogitBias>> logit_biases(const ParsedOptions& options);

// --logprobs, or engine::kNoLogprobs.
int32_t wanted_logprobs(const ParsedOptions& options);

// An error of usage where the recommendation that would be used is none.
Status check_recommended(const ParsedOptions& options, const model::SamplingDefaults& recommended);

// --stop; an empty text is an error of usage.
Result<std::vector<std::string>> stop_texts(const ParsedOptions& options);

// How many tokens an answer to a prompt may have: --max-tokens, or else as many as the context
// holds, at most `most`. `usage` when the context has no room for that.
Result<int32_t> answer_tokens(const ParsedOptions& options, int64_t prompt_tokens,
                              int64_t context_length, int64_t most);

// Runs a request and writes its text as it comes, with --json nothing. Ends early on Ctrl-C and
// when the output is closed.
Result<engine::TextResult> stream_text(engine::Engine& engine, const text::Tokenizer& tokenizer,
                                       const engine::TextRequest& request, bool json,
                                       const InterruptGuard& interrupt, Output& out);

// "fairytale-moe: Glm4MoeForCausalLM, float32, 2 ranks, ready after 0.4 s"
std::string ready(start::Session& session, std::chrono::duration<double> after);

// "12 prompt tokens, 64 generated, prefill 310 tokens/s, decode 95.1 tokens/s, finished: length"
std::string summary(const engine::TextResult& result);
// The same with text and ids.
Json to_json(const engine::TextResult& result);

}  // namespace braid::cli
