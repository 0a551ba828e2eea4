#include "model/generation_config.h"

#include <array>

#include "base/json.h"

namespace braid::model {
namespace {

constexpr std::string_view kWhere = "generation_config.json";

// A recommendation that braid does not apply, and the value that asks for nothing.
struct NotApplied {
  std::string_view key;
  double neutral = 0;
  bool without_sampling = true;  // whether it counts where do_sample is false, too
};
constexpr std::array kNotApplied = {
    NotApplied{"top_h", 0, false},
    NotApplied{"typical_p", 1, false},
    NotApplied{"epsilon_cutoff", 0, false},
    NotApplied{"eta_cutoff", 0, false},
    NotApplied{"penalty_alpha", 0},
    NotApplied{"dola_layers", 0},
    NotApplied{"encoder_repetition_penalty", 1},
    NotApplied{"length_penalty", 1},
    NotApplied{"no_repeat_ngram_size", 0},
    NotApplied{"encoder_no_repeat_ngram_size", 0},
    NotApplied{"diversity_penalty", 0},
    NotApplied{"guidance_scale", 1},
    NotApplied{"num_beams", 1},
    NotApplied{"num_beam_groups", 1},
    NotApplied{"num_return_sequences", 1},
    NotApplied{"early_stopping", 0},
    NotApplied{"renormalize_logits", 0},
    NotApplied{"remove_invalid_values", 0},
    NotApplied{"token_healing", 0},
    NotApplied{"max_length", 20},  // transformers' own default, which older files carry
    NotApplied{"min_length", 0},
    NotApplied{"min_new_tokens", 0},
    NotApplied{"max_new_tokens", -1},
    NotApplied{"max_time", -1},
    NotApplied{"bad_words_ids", -1},
    NotApplied{"force_words_ids", -1},
    NotApplied{"constraints", -1},
    NotApplied{"forced_bos_token_id", -1},
    NotApplied{"forced_eos_token_id", -1},
    NotApplied{"forced_decoder_ids", -1},
    NotApplied{"suppress_tokens", -1},
    NotApplied{"begin_suppress_tokens", -1},
    NotApplied{"sequence_bias", -1},
    NotApplied{"exponential_decay_length_penalty", -1},
    NotApplied{"stop_strings", -1},
    NotApplied{"watermarking_config", -1},
};

bool asks_for_nothing(const Json& value, double neutral) {
  if (value.is_boolean()) return (value.get<bool>() ? 1.0 : 0.0) == neutral;
  if (value.is_number()) return value.get<double>() == neutral;
  return value.is_structured() && value.empty();
}

void name_what_is_not_applied(const ConfigReader& generation, bool samples,
                              std::vector<Note>& notes) {
  std::string list;
  for (const NotApplied& known : kNotApplied) {
    const Json* value = generation.has(known.key) ? generation.find(known.key) : nullptr;
    if (value == nullptr || asks_for_nothing(*value, known.neutral)) continue;
    if (!samples && !known.without_sampling) continue;
    const std::string text = value->is_structured() ? "..." : value->dump();
    list += fmt::format("{}{} = {}", list.empty() ? "" : ", ", known.key, text);
  }
  if (list.empty()) return;
  notes.push_back({true, fmt::format("{} recommends what braid does not apply: {}", kWhere, list)});
}

}  // namespace

Result<GenerationConfig> parse_generation(const Json& json, std::vector<Note>& notes) {
  const ConfigReader generation(json, std::string(kWhere));
  GenerationConfig out;
  out.eos_token_ids = TRY(generation.integers("eos_token_id", kTokenRange));
  SamplingDefaults& sampling = out.sampling;
  if (generation.has("temperature")) {
    sampling.temperature = TRY(generation.real("temperature", {0.0, 1e3}));
  }
  if (generation.has("top_p")) sampling.top_p = TRY(generation.real("top_p", {0.0, 1.0}));
  if (generation.has("top_k")) {
    const int64_t top_k = TRY(generation.integer("top_k", {-1, kVocabRange.high}));
    sampling.top_k = top_k < 0 ? 0 : top_k;  // both mean all tokens
  }
  if (generation.has("min_p")) sampling.min_p = TRY(generation.real("min_p", {0.0, 1.0}));
  struct Penalty {
    std::string_view key;
    std::optional<double>& value;
    RealRange range;
  };
  for (const Penalty& penalty :
       {Penalty{"repetition_penalty", sampling.repetition_penalty, {1e-3, 1e3}},
        Penalty{"presence_penalty", sampling.presence_penalty, {-2.0, 2.0}},
        Penalty{"frequency_penalty", sampling.frequency_penalty, {-2.0, 2.0}}}) {
    if (generation.has(penalty.key)) {
      penalty.value = TRY(generation.real(penalty.key, penalty.range));
    }
  }
  if (generation.has("do_sample")) sampling.do_sample = TRY(generation.boolean("do_sample"));
  name_what_is_not_applied(generation, sampling.do_sample.value_or(true), notes);
  account(generation, {}, notes);
  return out;
}

}  // namespace braid::model
