#include "model/unread_tensors.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <unordered_set>

#include "model/model_weights.h"

namespace braid::model {
namespace {

constexpr std::string_view kLayers = "model.layers.";
constexpr std::string_view kWeight = ".weight";

// What may stand beside X.weight in a quantized checkpoint.
constexpr std::array<std::string_view, 4> kScales = {".weight_scale", ".weight_scale_inv",
                                                     ".weight_scale_2", ".input_scale"};
// braid quantizes neither caches nor activations, and computes its frequencies itself.
constexpr std::array<std::string_view, 6> kHarmless = {
    ".k_scale", ".v_scale", ".q_scale", ".kv_scale", ".output_scale", ".rotary_emb.inv_freq"};

using Names = std::unordered_set<std::string>;

// The tensors that the model reads on one rank, and their scales.
Names names_read(const ModelConfig& config) {
  flow::Residents residents;
  WeightPlan plan;
  plan_weights(config, Format::bf16, layout::Shards(layout_sizes(config), {}, 0),
               /*with_ends=*/true, /*placement=*/nullptr, residents, plan);
  Names names;
  for (const std::string& name : plan.tensors()) {
    names.insert(name);
    if (!name.ends_with(kWeight)) continue;
    const std::string module = name.substr(0, name.size() - kWeight.size());
    for (const std::string_view scale : kScales) names.insert(module + std::string(scale));
  }
  return names;
}

// The layer of "model.layers.N.…"; nothing for other tensors.
std::optional<int64_t> layer_of(std::string_view name) {
  if (!name.starts_with(kLayers)) return std::nullopt;
  const std::string_view rest = name.substr(kLayers.size());
  int64_t layer = 0;
  const auto [end, code] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  if (code != std::errc() || end == rest.data() + rest.size() || *end != '.') return std::nullopt;
  return layer;
}

// A layer's name without numbers: "model.layers.*.mlp.experts.*.up_proj.bias".
std::string kind_of(std::string_view name) {
  std::string kind;
  for (const char letter : name) {
    const bool digit = letter >= '0' && letter <= '9';
    const bool in_number = digit && !kind.empty() && (kind.back() == '.' || kind.back() == '*');
    if (!in_number) {
      kind += letter;
    } else if (kind.back() == '.') {
      kind += '*';
    }
  }
  return kind;
}

bool is_harmless(std::string_view name) {
  return std::any_of(kHarmless.begin(), kHarmless.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

// Whether two tensors of a vocabulary differ in one of some rows that lie far apart. Rows that
// can't be read count as different.
bool differ(const StoredTensor& a, const StoredTensor& b) {
  if (a.type != b.type || a.shape != b.shape || a.shape.empty() || a.shape[0] == 0) return true;
  constexpr int64_t kRows = 64;
  const int64_t rows = a.shape[0];
  const int64_t row_bytes = a.bytes / rows;
  std::vector<std::byte> of_a(static_cast<size_t>(row_bytes));
  std::vector<std::byte> of_b(of_a.size());
  for (int64_t i = 0; i < std::min(rows, kRows); ++i) {
    const int64_t at = i * rows / std::min(rows, kRows) * row_bytes;
    if (!a.read(at, of_a).ok() || !b.read(at, of_b).ok() || of_a != of_b) return true;
  }
  return false;
}

class Findings {
 public:
  Findings(const Checkpoint& checkpoint, const ModelConfig& config)
      : checkpoint_(checkpoint), config_(config) {
    const Names read = names_read(config);
    each_tensor([&](const std::string& name) {
      const std::optional<int64_t> layer = layer_of(name);
      // Only the layers that predict further tokens merge two inputs.
      const bool merges = name.find(".eh_proj.") != name.npos;
      if (layer && *layer >= config.num_layers && merges) mtp_layers_.insert(*layer);
    });
    each_tensor([&](const std::string& name) {
      if (read.count(name) == 0 && !is_harmless(name)) add(name);
    });
  }

  std::vector<Note> notes() const {
    std::vector<Note> notes;
    if (mtp_ > 0) {
      notes.push_back({false, fmt::format("the checkpoint has {} tensors of {} layers that predict "
                                          "further tokens: braid does not run these layers",
                                          mtp_, mtp_layers_.size())});
    }
    if (behind_ > 0) {
      notes.push_back({true, fmt::format("the checkpoint has {} tensors of layers up to {}, but "
                                         "num_hidden_layers is {}: they are not read",
                                         behind_, last_layer_, config_.num_layers)});
    }
    if (!kinds_.empty()) notes.push_back({true, describe_kinds()});
    if (other_head_) {
      notes.push_back({true,
                       "the checkpoint has an lm_head.weight that is not its embedding, but "
                       "tie_word_embeddings is true: it is not read"});
    }
    return notes;
  }

 private:
  template <typename F>
  void each_tensor(const F& f) const {
    for (const SafetensorsFile& file : checkpoint_.files()) {
      for (const StoredTensor& tensor : file.tensors()) f(tensor.name);
    }
  }

  void add(const std::string& name) {
    const std::optional<int64_t> layer = layer_of(name);
    if (layer && *layer >= config_.num_layers) {
      const bool mtp = mtp_layers_.count(*layer) > 0;
      ++(mtp ? mtp_ : behind_);
      if (!mtp) last_layer_ = std::max(last_layer_, *layer);
    } else if (name == "lm_head.weight" && config_.tie_word_embeddings) {
      const auto embedding = checkpoint_.find("model.embed_tokens.weight");
      other_head_ = !embedding.ok() || differ(**checkpoint_.find(name), **embedding);
    } else {
      ++kinds_[kind_of(name)];
    }
  }

  std::string describe_kinds() const {
    constexpr size_t kMostKinds = 8;
    int64_t count = 0;
    for (const auto& [kind, of_kind] : kinds_) count += of_kind;
    std::string text;
    size_t shown = 0;
    for (const auto& [kind, of_kind] : kinds_) {
      if (++shown > kMostKinds) break;
      text += fmt::format("{}{} ({})", shown == 1 ? "" : ", ", kind, of_kind);
    }
    if (kinds_.size() > kMostKinds) text += ", ...";
    return fmt::format(
        "config.json does not announce {} tensors of the checkpoint, which are not "
        "read: {}",
        count, text);
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  std::set<int64_t> mtp_layers_;
  int64_t mtp_ = 0, behind_ = 0, last_layer_ = 0;
  std::map<std::string, int64_t> kinds_;
  bool other_head_ = false;
};

}  // namespace

std::vector<Note> unread_tensors(const Checkpoint& checkpoint, const ModelConfig& config) {
  return Findings(checkpoint, config).notes();
}

}  // namespace braid::model
