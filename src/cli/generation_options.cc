#include "cli/generation_options.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/json.h"

namespace braid::cli {

engine::SamplingParams sampling_params(const ParsedOptions& options,
                                       const model::SamplingDefaults& recommended) {
  model::SamplingDefaults chosen;
  if (recommended.do_sample.value_or(true)) chosen = recommended;
  if (options.has("temperature")) chosen.temperature = options.number("temperature");
  if (options.has("top-p")) chosen.top_p = options.number("top-p");
  if (options.has("top-k")) chosen.top_k = options.integer("top-k");
  if (options.has("min-p")) chosen.min_p = options.number("min-p");
  const bool samples =
      chosen.do_sample.value_or(false) || chosen.top_p || chosen.top_k || chosen.min_p;
  engine::SamplingParams sampling = {
      .temperature = static_cast<float>(chosen.temperature.value_or(samples ? 1 : 0)),
      .top_p = static_cast<float>(chosen.top_p.value_or(1)),
      .top_k = static_cast<int32_t>(chosen.top_k.value_or(0)),
      .min_p = static_cast<float>(chosen.min_p.value_or(0)),
      .seed = static_cast<uint64_t>(options.integer("seed"))};
  set_penalties(options, recommended, sampling);
  return sampling;
}

void set_penalties(const ParsedOptions& options, const model::SamplingDefaults& recommended,
                   engine::SamplingParams& sampling) {
  const auto choose = [&options](std::string_view name, std::optional<double> other, float& into) {
    if (options.has(name)) other = options.number(name);
    if (other) into = static_cast<float>(*other);
  };
  choose("repetition-penalty", recommended.repetition_penalty, sampling.repetition_penalty);
  choose("presence-penalty", recommended.presence_penalty, sampling.presence_penalty);
  choose("frequency-penalty", recommended.frequency_penalty, sampling.frequency_penalty);
}

Result<std::vector<engine::LogitBias>> logit_biases(const ParsedOptions& options) {
  std::vector<engine::LogitBias> biases;
  for (const std::string& text : options.texts("logit-bias")) {
    const size_t equals = text.find('=');
    engine::LogitBias bias;
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const char* const middle = begin + std::min(equals, text.size());
    const auto id = std::from_chars(begin, middle, bias.id);
    const bool has_bias = middle < end;
    const auto value = std::from_chars(has_bias ? middle + 1 : end, end, bias.bias);
    if (id.ec != std::errc() || id.ptr != middle || value.ec != std::errc() || value.ptr != end) {
      return Error(ErrorKind::usage, "--logit-bias takes a token's id and a number")
          .with("--logit-bias", text)
          .remedy("Write it like --logit-bias 42=-1.5.");
    }
    biases.push_back(bias);
  }
  return biases;
}

int32_t wanted_logprobs(const ParsedOptions& options) {
  return options.has("logprobs") ? static_cast<int32_t>(options.integer("logprobs"))
                                 : engine::kNoLogprobs;
}

Status check_recommended(const ParsedOptions& options, const model::SamplingDefaults& recommended) {
  const bool used = recommended.do_sample.value_or(true) && !options.has("top-p");
  if (!used || recommended.top_p.value_or(1) > 0) return {};
  return Error(ErrorKind::usage, "the recommended top_p must be above 0 and at most 1")
      .with("top_p", *recommended.top_p)
      .with("in", "generation_config.json")
      .remedy("Pass --top-p, or correct generation_config.json.");
}

Result<std::vector<std::string>> stop_texts(const ParsedOptions& options) {
  std::vector<std::string> stops = options.texts("stop");
  if (std::find(stops.begin(), stops.end(), "") == stops.end()) return stops;
  return Error(ErrorKind::usage, "--stop is empty")
      .remedy("Give the text before which the answer ends, or leave --stop out.");
}

Result<int32_t> answer_tokens(const ParsedOptions& options, int64_t prompt_tokens,
                              int64_t context_length, int64_t most) {
  const int64_t room = context_length - prompt_tokens;
  const bool given = options.has("max-tokens");
  const int64_t wanted = given ? options.integer("max-tokens") : std::min(most, room);
  if (wanted <= room && wanted > 0) return static_cast<int32_t>(wanted);
  Error error = Error(ErrorKind::usage, "prompt and answer do not fit into the context")
                    .with("prompt tokens", prompt_tokens)
                    .with("context-length", context_length);
  if (!given) return std::move(error).remedy("Shorten the prompt.");
  return std::move(error)
      .with("max-tokens", wanted)
      .remedy(room > 0 ? fmt::format("Lower --max-tokens to {} or less.", room)
                       : std::string("Shorten the prompt."));
}

Result<engine::TextResult> stream_text(engine::Engine& engine, const text::Tokenizer& tokenizer,
                                       const engine::TextRequest& request, bool json,
                                       const InterruptGuard& interrupt, Output& out) {
  Status written;
  const auto sink = [&](std::string_view text) {
    if (!json && written.ok()) written = out.write(text);
    return written.ok() && !interrupt.interrupted();
  };
  engine::TextResult result = TRY(engine::generate_text(engine, tokenizer, request, sink));
  TRY(written);
  if (!json) TRY(out.write("\n"));
  return result;
}

std::string ready(start::Session& session, std::chrono::duration<double> after) {
  const auto folder = std::filesystem::absolute(session.folder()).lexically_normal();
  const auto name = folder.has_filename() ? folder.filename() : folder.parent_path().filename();
  engine::Engine& engine = session.engine();
  const int32_t ranks = engine.ranks().size();
  return fmt::format(
      "{}: {}, {},{} ready after {}", name.string(), engine.config().family->class_name,
      dtype_name(engine.worker().model().options().dtype),
      ranks > 1 ? fmt::format(" {} ranks,", ranks) : "", format_seconds(after.count()));
}

std::string summary(const engine::TextResult& result) {
  return fmt::format(
      "{} prompt tokens, {} generated, prefill {:.1f} tokens/s, decode {:.1f} tokens/s, finished: "
      "{}",
      result.prompt_tokens, result.ids.size(), result.prefill_rate(), result.decode_rate(),
      name_of(result.finished));
}

Json to_json(const engine::TextResult& result) {
  Json json = {{"text", result.text},
               {"ids", result.ids},
               {"prompt_tokens", result.prompt_tokens},
               {"generated_tokens", result.ids.size()},
               {"prefill_tokens_per_second", result.prefill_rate()},
               {"decode_tokens_per_second", result.decode_rate()},
               {"finish_reason", name_of(result.finished)}};
  for (size_t i = 0; i < result.logprobs.size(); ++i) {
    Json top = Json::array();
    for (const auto& [token, logprob] : result.logprobs[i].top) {
      top.push_back({{"id", token}, {"logprob", logprob}});
    }
    json["logprobs"].push_back(
        {{"id", result.ids[i]}, {"logprob", result.logprobs[i].chosen}, {"top", std::move(top)}});
  }
  return json;
}

}  // namespace braid::cli
