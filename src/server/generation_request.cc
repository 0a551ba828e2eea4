#include "server/generation_request.h"

#include <charconv>
#include <limits>

#include "kernels/sample/sample_desc.h"
#include "layers/step_inputs.h"

namespace braid::server {
namespace {

constexpr int64_t kMostTokens = std::numeric_limits<int32_t>::max();
constexpr int64_t kMostAnswers = 128;
constexpr size_t kMostChoices = 1024;
constexpr size_t kMostStops = 16;
constexpr size_t kMostStopIds = 1024;
constexpr int64_t kCompletionTokens = 16;  // as OpenAI's, where a completion says nothing
constexpr std::string_view kLater = "is not there yet";

// What belongs to parts of the server that don't exist; values that ask for nothing may stand.
Status refuse_later(Fields& fields) {
  const Json none = Json::array();
  TRY(fields.refuse("tools", kLater, {none}));
  TRY(fields.refuse("functions", kLater, {none}));
  TRY(fields.refuse("tool_choice", kLater, {"none"}));
  TRY(fields.refuse("function_call", kLater, {"none"}));
  TRY(fields.refuse("parallel_tool_calls", kLater));
  TRY(fields.refuse("response_format", kLater, {{{"type", "text"}}}));
  TRY(fields.refuse("min_tokens", kLater, {0}));
  TRY(fields.refuse("prompt_logprobs", kLater));
  TRY(fields.refuse("priority", kLater, {0}));
  TRY(fields.refuse("cache_salt", kLater));
  TRY(fields.refuse("timeout", kLater));
  return {};
}

Status read_sampling(Fields& fields, const ServedModel& model, GenerationRequest& out) {
  const model::SamplingDefaults& recommended = model.recommended;
  engine::SamplingParams& sampling = out.sampling;
  sampling.temperature = static_cast<float>(
      TRY(fields.number("temperature", 0, 2)).value_or(recommended.temperature.value_or(1)));
  sampling.top_p = static_cast<float>(
      TRY(fields.number("top_p", 0, 1, /*above=*/true)).value_or(recommended.top_p.value_or(1)));
  const int64_t top_k =
      TRY(fields.integer("top_k", -1, kMostTokens)).value_or(recommended.top_k.value_or(0));
  sampling.top_k = static_cast<int32_t>(std::max<int64_t>(top_k, 0));
  constexpr auto kAny = std::numeric_limits<int64_t>();
  if (const auto seed = TRY(fields.integer("seed", kAny.min(), kAny.max()))) {
    sampling.seed = static_cast<uint64_t>(*seed);
    out.seeded = true;
  }
  out.n = static_cast<int32_t>(TRY(fields.integer("n", 1, kMostAnswers)).value_or(1));
  if (TRY(fields.integer("best_of", 1, kMostAnswers)).value_or(out.n) != out.n) {
    return bad_field("best_of", "best_of must be n: all answers are given out").with("n", out.n);
  }
  return {};
}

// "logit_bias": {"token id": bias, ...}
Status read_biases(Fields& fields, const ServedModel& model, engine::SamplingParams& sampling) {
  const Json* given = fields.find("logit_bias");
  if (given == nullptr) return {};
  if (!given->is_object() || std::ssize(*given) > layers::kMaxBiases) {
    return bad_field("logit_bias", fmt::format("logit_bias must be an object of at most {} tokens",
                                               layers::kMaxBiases));
  }
  Fields biases(*given, "logit_bias.");
  for (const auto& [name, value] : given->items()) {
    int32_t id = -1;
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), id);
    const bool whole = code == std::errc() && end == name.data() + name.size();
    if (!whole || id < 0 || id >= model.vocab_size) {
      return bad_field("logit_bias", "logit_bias names what is no token id of the model")
          .with("id", name)
          .with("vocab_size", model.vocab_size);
    }
    const auto bias = TRY(biases.number(name, -100, 100));
    if (bias) sampling.logit_bias.push_back({.id = id, .bias = static_cast<float>(*bias)});
  }
  return {};
}

Status read_penalties(Fields& fields, const ServedModel& model, engine::SamplingParams& sampling) {
  constexpr double kMostRepetition = 100;
  const model::SamplingDefaults& recommended = model.recommended;
  sampling.min_p =
      static_cast<float>(TRY(fields.number("min_p", 0, 1)).value_or(recommended.min_p.value_or(0)));
  sampling.presence_penalty =
      static_cast<float>(TRY(fields.number("presence_penalty", -2, 2))
                             .value_or(recommended.presence_penalty.value_or(0)));
  sampling.frequency_penalty =
      static_cast<float>(TRY(fields.number("frequency_penalty", -2, 2))
                             .value_or(recommended.frequency_penalty.value_or(0)));
  sampling.repetition_penalty = static_cast<float>(
      TRY(fields.number("repetition_penalty", 0, kMostRepetition, /*above=*/true))
          .value_or(recommended.repetition_penalty.value_or(1)));
  return read_biases(fields, model, sampling);
}

// How many likely tokens beside each one: a number (completions), or "logprobs" and "top_logprobs".
Status read_logprobs(Fields& fields, GenerationRequest& out) {
  constexpr int64_t kMost = kernels::kMaxTopLogprobs;
  if (!out.chat) {
    TRY(fields.refuse("top_logprobs", "belongs to conversations", {0}));
    const Json* given = fields.find("logprobs");
    if (given != nullptr && given->is_boolean() && !given->get<bool>()) return {};
    const auto count = TRY(fields.integer("logprobs", 0, kMost));
    if (count) out.logprobs = static_cast<int32_t>(*count);
    return {};
  }
  const bool wanted = TRY(fields.flag("logprobs")).value_or(false);
  const int64_t count = TRY(fields.integer("top_logprobs", 0, kMost)).value_or(0);
  if (!wanted && count > 0)
    return bad_field("top_logprobs", "top_logprobs needs \"logprobs\": true");
  if (wanted) out.logprobs = static_cast<int32_t>(count);
  return {};
}

Status read_stops(Fields& fields, const ServedModel& model, GenerationRequest& out) {
  out.stops = TRY(fields.texts("stop", kMostStops));
  out.stop_ids = TRY(fields.ids("stop_token_ids", model.vocab_size, kMostStopIds));
  if (!TRY(fields.flag("ignore_eos")).value_or(false)) {
    out.stop_ids.insert(out.stop_ids.end(), model.stop_ids.begin(), model.stop_ids.end());
  }
  out.includes_stop = TRY(fields.flag("include_stop_str_in_output")).value_or(false);
  out.skips_special = TRY(fields.flag("skip_special_tokens")).value_or(true);
  return {};
}

Status read_stream(Fields& fields, GenerationRequest& out, std::vector<std::string>& unknown) {
  out.stream = TRY(fields.flag("stream")).value_or(false);
  out.returns_ids = TRY(fields.flag("return_token_ids")).value_or(false);
  const Json* options = fields.find("stream_options");
  if (options == nullptr) return {};
  if (!out.stream) return bad_field("stream_options", "stream_options needs \"stream\": true");
  if (!options->is_object()) return bad_field("stream_options", "stream_options must be an object");
  Fields inner(*options, "stream_options.");
  out.stream_usage = TRY(inner.flag("include_usage")).value_or(false);
  out.continuous_usage = TRY(inner.flag("continuous_usage_stats")).value_or(false);
  unknown = inner.unknown();
  return {};
}

// All that both kinds of requests have in common.
Status read_common(Fields& fields, const ServedModel& model, GenerationRequest& out) {
  out.model = TRY(fields.text("model")).value_or(model.names.front());
  TRY(model.check_name(out.model));
  TRY(refuse_later(fields));
  TRY(read_sampling(fields, model, out));
  TRY(read_penalties(fields, model, out.sampling));
  TRY(read_logprobs(fields, out));
  TRY(read_stops(fields, model, out));
  TRY(read_stream(fields, out, out.ignored));
  for (const char* name : {"user", "metadata", "store", "service_tier"}) fields.accept(name);
  return {};
}

// Drops the first tokens of prompts that are longer than "truncate_prompt_tokens"; -1: than the
// context has room for.
Status truncate(Fields& fields, const ServedModel& model, int64_t answer, GenerationRequest& out) {
  const auto given = TRY(fields.integer("truncate_prompt_tokens", -1, kMostTokens));
  if (!given) return {};
  if (*given == 0) {
    return bad_field("truncate_prompt_tokens", "truncate_prompt_tokens must not be 0");
  }
  const int64_t room = std::max<int64_t>(model.context_length - answer, 1);
  const auto most = static_cast<size_t>(*given == -1 ? room : *given);
  for (std::vector<int32_t>& prompt : out.prompts) {
    if (prompt.size() > most)
      prompt.erase(prompt.begin(), prompt.end() - static_cast<int64_t>(most));
  }
  return {};
}

// Prompts and answers fit into the context; an answer without a given length has what is left.
Status check_context(const ServedModel& model, std::optional<int64_t> given,
                     std::string_view prompt_field, GenerationRequest& out) {
  size_t longest = 0;
  for (const std::vector<int32_t>& prompt : out.prompts) {
    if (prompt.empty()) return bad_field(prompt_field, "the prompt has no tokens");
    longest = std::max(longest, prompt.size());
  }
  const auto prompt = static_cast<int64_t>(longest);
  const int64_t answer = given.value_or(std::max<int64_t>(model.context_length - prompt, 1));
  if (prompt + answer > model.context_length) {
    return bad_field(prompt_field,
                     fmt::format("This model's maximum context length is {} tokens. However, you "
                                 "requested {} tokens ({} in the prompt, {} in the answer)",
                                 model.context_length, prompt + answer, prompt, answer))
        .with(kCode, "context_length_exceeded")
        .remedy("Please reduce the length of the prompt or of the answer.");
  }
  out.max_tokens = static_cast<int32_t>(answer);
  return {};
}

// Any form of "prompt": a text, ids, or a list of either.
Status read_prompts(Fields& fields, const ServedModel& model, GenerationRequest& out) {
  const Json* given = fields.find("prompt");
  const bool special = TRY(fields.flag("add_special_tokens")).value_or(true);
  if (given == nullptr) return bad_field("prompt", "prompt is missing");
  const auto wrong = [] {
    return bad_field("prompt", "prompt must be a text, a list of token ids, or a list of either");
  };
  const bool list = given->is_array() && !given->empty() && !given->front().is_number();
  const Json prompts = list ? *given : Json::array({*given});
  if (prompts.size() > kMostChoices) {
    return bad_field("prompt", "there are too many prompts")
        .with("prompts", prompts.size())
        .with("most", kMostChoices);
  }
  for (const Json& prompt : prompts) {
    if (prompt.is_string()) {
      out.prompts.push_back(
          TRY(model.tokenizer.encode(prompt.get_ref<const std::string&>(), special)));
    } else if (prompt.is_array()) {
      out.prompts.push_back(TRY(read_ids(prompt, "prompt", model.vocab_size)));
    } else {
      return wrong();
    }
  }
  if (!TRY(fields.flag("echo")).value_or(false)) return {};
  if (out.logprobs >= 0) {
    return bad_field("echo",
                     "echo with logprobs is not there yet: prompts have no log probabilities");
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    out.echo.push_back(prompts[i].is_string()
                           ? prompts[i].get<std::string>()
                           : model.tokenizer.decode(out.prompts[i], out.skips_special));
  }
  return {};
}

}  // namespace

Status check_unknown(const Fields& fields, const ServedModel& model,
                     std::vector<std::string>& ignored) {
  for (std::string& name : fields.unknown()) ignored.push_back(std::move(name));
  if (!model.strict_fields || ignored.empty()) return {};
  return bad_field(ignored.front(), "nobody knows this field").with("field", ignored.front());
}

Result<GenerationRequest> read_completion(const Json& body, const ServedModel& model) {
  Fields fields(body);
  GenerationRequest out;
  TRY(read_common(fields, model, out));
  TRY(fields.refuse("suffix", "is not there: answers continue prompts only", {""}));
  const int64_t answer =
      TRY(fields.integer("max_tokens", 0, kMostTokens)).value_or(kCompletionTokens);
  TRY(read_prompts(fields, model, out));
  TRY(truncate(fields, model, answer, out));
  TRY(check_unknown(fields, model, out.ignored));
  TRY(check_context(model, answer, "prompt", out));
  if (out.choices() > kMostChoices) {
    return bad_field("n", "there are too many answers")
        .with("answers", out.choices())
        .with("most", kMostChoices);
  }
  return out;
}

Result<GenerationRequest> read_chat(const Json& body, const ServedModel& model) {
  Fields fields(body);
  GenerationRequest out;
  out.chat = true;
  TRY(read_common(fields, model, out));
  const auto answer = TRY(fields.integer("max_tokens", 1, kMostTokens));
  const auto newer = TRY(fields.integer("max_completion_tokens", 1, kMostTokens));
  const bool special = TRY(fields.flag("add_special_tokens")).value_or(false);
  const std::string text = TRY(render_messages(fields, model));
  out.prompts.push_back(TRY(model.tokenizer.encode(text, special)));
  const std::optional<int64_t> given = newer ? newer : answer;
  TRY(truncate(fields, model, given.value_or(1), out));
  TRY(check_unknown(fields, model, out.ignored));
  TRY(check_context(model, given, "messages", out));
  return out;
}

}  // namespace braid::server
