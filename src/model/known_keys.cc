#include "model/known_keys.h"

#include <algorithm>
#include <array>

#include "base/spelling.h"
#include "model/ignore_list.h"

namespace braid::model {
namespace {

// Keys that change no result of inference as braid runs it, as globs of their paths: training,
// bookkeeping, other programs' settings, how activations and caches may be quantized.
constexpr std::string_view kHarmless[] = {
    // config.json
    "_name_or_path",
    "_attn_implementation",
    "_commit_hash",
    "_experts_implementation",
    "transformers_version",
    "architectures",
    "model_type",
    "auto_map",
    "dtype",
    "torch_dtype",
    "use_cache",
    "initializer_range",
    "attention_dropout",
    "bos_token_id",
    "pad_token_id",
    "output_router_logits",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "aux_loss_alpha",
    "seq_aux",
    "ep_size",
    "pretraining_tp",
    "is_encoder_decoder",
    "id2label",
    "label2id",
    "problem_type",
    "chunk_size_feed_forward",
    "num_nextn_predict_layers",
    "num_mtp_layers",
    "unsloth_version",
    "unsloth_fixed",
    "task_specific_params",
    "tokenizer_class",
    // rotary sections
    "*.finetuned",
    // quantization sections
    "*activation_scheme",
    "*scale_fmt",
    "*is_checkpoint_fp8_serialized",
    "*producer",
    "*producer.name",
    "*producer.version",
    "*quantization_status",
    "*global_compression_ratio",
    "*version",
    "*.targets",
    "*.input_activations",
    "*.output_activations",
    "*.weights.observer",
    "*.weights.observer_kwargs",
    "*.weights.actorder",
    "*.weights.scale_dtype",
    "*.weights.zp_dtype",
    "*.weights.block_structure",
    "*.weights.group_size",
    "*config_groups",
    "*kv_cache_scheme",
    "*kv_cache_quant_algo",
    "*kv_cache_quant_method",
    // generation_config.json
    "_from_model_config",
    "cache_implementation",
    "cache_config",
    "return_dict_in_generate",
    "output_scores",
    "output_logits",
    "decoder_start_token_id",
    "trust_remote_code",
    "chat_format",
    "disable_compile",
    "compile_config",
    "assistant_*",
    "num_assistant_tokens*",
    "prompt_lookup_num_tokens",
    "is_assistant",
    "low_memory",
    "max_window_size",
    "user_token_id",
    "assistant_token_id",
    "use_mtp",
};

bool is_harmless(std::string_view path, std::span<const std::string_view> unused) {
  const auto covers = [&](std::string_view glob) { return glob_matches(glob, path); };
  return std::find(unused.begin(), unused.end(), path) != unused.end() ||
         std::any_of(std::begin(kHarmless), std::end(kHarmless), covers);
}

std::vector<std::string> known_paths(const ConfigReader& config,
                                     std::span<const std::string_view> unused) {
  std::vector<std::string> known;
  for (const std::string& path : config.keys().read) {
    if (!path.empty() && path.back() != '.') known.push_back(path);
  }
  known.insert(known.end(), unused.begin(), unused.end());
  for (const std::string_view glob : kHarmless) {
    if (glob.find('*') == glob.npos) known.emplace_back(glob);
  }
  return known;
}

// The keys whose meaning is not known.
std::vector<std::string> unknown_paths(const ConfigReader& config,
                                       std::span<const std::string_view> unused) {
  std::vector<std::string> unknown = config.unread();
  std::erase_if(unknown, [&](const std::string& path) { return is_harmless(path, unused); });
  return unknown;
}

// "num_hidden_layer (nearest known key: num_hidden_layers)". A key that is there itself was not
// misspelt.
std::string with_nearest(const std::string& path, const std::vector<std::string>& known) {
  const std::string nearest = nearest_word(path, known);
  if (nearest.empty()) return path;
  return fmt::format("{} (nearest known key: {})", path, nearest);
}

std::string first_component(const std::string& path) { return path.substr(0, path.find('.')); }

}  // namespace

void account(const ConfigReader& config, std::span<const std::string_view> unused,
             std::vector<Note>& notes) {
  for (const std::string& text : config.keys().warnings) notes.push_back({true, text});
  std::vector<std::string> unknown = unknown_paths(config, unused);
  if (!unknown.empty()) {
    const std::vector<std::string> known = known_paths(config, unused);
    for (std::string& path : unknown) path = with_nearest(path, known);
    notes.push_back({true, fmt::format("{} has keys that braid does not use: {}", config.where(),
                                       fmt::join(unknown, ", "))});
  }
  std::string taken;
  for (const auto& [path, value] : config.keys().left_out) {
    taken += fmt::format("{}{} = {}", taken.empty() ? "" : ", ", path, value);
  }
  if (!taken.empty()) {
    notes.push_back({false, fmt::format("{} leaves out keys, for which braid takes the defaults of "
                                        "transformers: {}",
                                        config.where(), taken)});
  }
}

Status account_overrides(const ConfigReader& config, std::span<const std::string_view> unused,
                         const std::set<std::string>& given, std::vector<Note>& notes) {
  for (const std::string& path : config.unread()) {
    if (given.count(first_component(path)) == 0) continue;
    if (is_harmless(path, unused)) {
      notes.push_back({true, fmt::format("--json-model-override-args sets {}, which changes "
                                         "nothing: braid does not use it for this model",
                                         path)});
      continue;
    }
    const std::string nearest = nearest_word(path, known_paths(config, unused));
    return Error(ErrorKind::usage, "--json-model-override-args has a key that braid does not use")
        .with("key", path)
        .remedy(nearest.empty() ? "Leave it out." : fmt::format("The nearest key is {}.", nearest));
  }
  return {};
}

}  // namespace braid::model
