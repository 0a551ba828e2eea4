#include "engine/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "model/safetensors.h"

namespace braid::engine {
namespace {

using model::StorageType;

int64_t top_k(const model::ModelConfig& config) { return config.moe ? config.moe->top_k : 0; }

// Queues a prompt that is computed, with nothing generated.
Result<RequestId> submit_prompt(Engine& engine, std::span<const int32_t> ids) {
  return engine.submit({.prompt = {ids.begin(), ids.end()}, .max_tokens = 0});
}

Status run_to_end(Engine& engine) {
  while (!engine.idle()) TRY(engine.step());
  return {};
}

// Takes the hooks off the engine again, since they refer to locals.
class Hooks {
 public:
  Hooks(Engine& engine, StepObserver preparer, StepObserver observer) : engine_(engine) {
    engine.set_preparer(std::move(preparer));
    engine.set_observer(std::move(observer));
  }
  ~Hooks() {
    engine_.set_preparer(nullptr);
    engine_.set_observer(nullptr);
  }
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

 private:
  Engine& engine_;
};

// Moves what one step computed between the device's probes and rows by token.
class StepRows {
 public:
  StepRows(Worker& worker, const Plan& plan, const layers::StepShape& shape)
      : worker_(worker), plan_(plan), first_(shape.own.decode) {}

  // visit(position of the token, row of the step); a prompt's tokens are prefill rows.
  template <typename Visit>
  void for_each(Visit visit) const {
    int64_t row = first_;
    for (const PlannedRows& planned : plan_.prefill) {
      for (int32_t i = 0; i < planned.count; ++i) visit(planned.first + i, row++);
    }
  }

  // `to` [N, K] at each token's position, from the resident's row.
  template <typename T, typename To>
  void fetch(int32_t resident, int64_t columns, std::vector<To>& to) const {
    std::vector<T> values(static_cast<size_t>(columns));
    for_each([&](int64_t position, int64_t row) {
      worker_.device().download(values.data(), at(resident, row),
                                columns * static_cast<int64_t>(sizeof(T)));
      std::copy(values.begin(), values.end(), to.begin() + position * columns);
    });
  }

  void place_experts(int32_t resident, int64_t columns, const LayerExperts& from) const {
    std::vector<int32_t> ids(static_cast<size_t>(columns));
    for_each([&](int64_t position, int64_t row) {
      std::transform(from.begin() + position * columns, from.begin() + (position + 1) * columns,
                     ids.begin(), [](int64_t id) { return static_cast<int32_t>(id); });
      worker_.device().upload(at(resident, row), ids.data(),
                              columns * static_cast<int64_t>(sizeof(int32_t)));
    });
  }

 private:
  std::byte* at(int32_t resident, int64_t row) const {
    return worker_.data(resident) + row * worker_.model().residents()[resident].row_bytes();
  }

  Worker& worker_;
  const Plan& plan_;
  int64_t first_;
};

// Probes don't travel between processes: they are no small messages.
Status need_here(const Ranks& ranks, int32_t rank) {
  if (ranks.here(rank)) return {};
  return Error(ErrorKind::unsupported, "a rank of another process can't be looked into")
      .with("rank", rank)
      .remedy("Use --cpu-ranks thread, or one group (--dp 1) and no --force-routing.");
}

// The logits of one row of the probe.
void fetch_logits(Worker& worker, size_t row, std::span<float> out) {
  const auto bytes = static_cast<int64_t>(out.size_bytes());
  worker.device().download(
      out.data(), worker.data(worker.model().state().logits) + static_cast<int64_t>(row) * bytes,
      bytes);
}

template <typename T>
model::TensorView view(const std::string& name, StorageType type, const std::vector<int64_t>& shape,
                       const std::vector<T>& values) {
  return {.name = name, .type = type, .shape = shape, .bytes = std::as_bytes(std::span(values))};
}

Error bad_routing(const std::string& path, const model::TensorView& tensor, std::string message) {
  return Error(ErrorKind::corrupt_data, std::move(message))
      .with("file", path)
      .with("tensor", tensor.name)
      .with("dtype", name_of(tensor.type))
      .with("shape", fmt::format("[{}]", fmt::join(tensor.shape, ", ")));
}

}  // namespace

Result<ForcedRouting> read_forced_routing(const std::string& path, const model::ModelConfig& config,
                                          int64_t num_tokens) {
  const model::SafetensorsFile file = TRY(model::SafetensorsFile::open(path));
  ForcedRouting routing;
  const std::vector<int64_t> shape = {num_tokens, top_k(config)};
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    if (!config.is_moe(layer)) continue;
    const std::string name = fmt::format("experts.{}", layer);
    const model::TensorView* tensor = file.find(name);
    if (tensor == nullptr) {
      return Error(ErrorKind::not_found, "the file lacks the expert ids of a layer")
          .with("file", path)
          .with("tensor", name)
          .remedy("Write the file with braid eval logits --with-routing.");
    }
    if (tensor->type != StorageType::i64 || tensor->shape != shape) {
      return bad_routing(path, *tensor, "expert ids must be I64 of one row a token")
          .with("expected shape", fmt::format("[{}]", fmt::join(shape, ", ")));
    }
    LayerExperts& experts = routing[layer];
    experts.resize(static_cast<size_t>(shape[0] * shape[1]));
    std::memcpy(experts.data(), tensor->bytes.data(), tensor->bytes.size());
    for (const int64_t expert : experts) {
      if (expert >= 0 && expert < config.moe->num_experts) continue;
      return bad_routing(path, *tensor, "an expert id is out of range")
          .with("id", expert)
          .with("experts", config.moe->num_experts);
    }
    for (int64_t token = 0; token < num_tokens; ++token) {
      const auto of_token = experts.begin() + token * shape[1];
      const std::set<int64_t> distinct(of_token, of_token + shape[1]);
      if (std::ssize(distinct) == shape[1]) continue;
      return bad_routing(path, *tensor, "a token names an expert twice").with("token", token);
    }
  }
  return routing;
}

Result<Logits> evaluate_logits(Engine& engine, std::span<const int32_t> ids,
                               const ForcedRouting* forced) {
  Ranks& ranks = engine.ranks();
  const model::StateBuffers& state = engine.worker().model().state();
  const model::Probes& probes = engine.worker().model().options().probes;
  BRAID_CHECK(probes.all_logits && probes.force_routing == (forced != nullptr), "(probes)");
  for (int32_t rank = 0; forced != nullptr && rank < ranks.size(); ++rank) {
    TRY(need_here(ranks, rank));
  }
  const int64_t columns = top_k(engine.config());
  Logits out{.num_tokens = std::ssize(ids), .vocab_size = engine.config().vocab_size};
  out.values.resize(ids.size() * static_cast<size_t>(out.vocab_size));
  for (int64_t layer = 0; probes.routing && layer < engine.config().num_layers; ++layer) {
    if (!engine.config().is_moe(layer)) continue;
    const size_t size = ids.size() * static_cast<size_t>(columns);
    out.routing[layer] = {LayerExperts(size), std::vector<float>(size)};
  }
  const auto prepare = [&](int64_t, std::span<const GroupStep> groups) {
    if (forced == nullptr) return;
    for (int32_t rank = 0; rank < ranks.size(); ++rank) {
      const GroupStep& group = groups[static_cast<size_t>(ranks.group_of(rank))];
      const StepRows step(ranks[rank], group.plan, group.shape);
      for (const auto& [layer, experts] : *forced) {
        step.place_experts(state.forced_ids[static_cast<size_t>(layer)], columns, experts);
      }
    }
  };
  const auto observe_group = [&](Worker& worker, const GroupStep& group) {
    for (size_t row = 0; row < group.logit_rows.size(); ++row) {
      const int64_t at = group.logit_rows[row].position * out.vocab_size;
      fetch_logits(worker, row,
                   {&out.values[static_cast<size_t>(at)], static_cast<size_t>(out.vocab_size)});
    }
    const StepRows step(worker, group.plan, group.shape);
    for (auto& [layer, routing] : out.routing) {
      const auto i = static_cast<size_t>(layer);
      step.fetch<int32_t>(state.expert_ids[i], columns, routing.experts);
      step.fetch<float>(state.expert_weights[i], columns, routing.weights);
    }
  };
  const auto observe = [&](int64_t, std::span<const GroupStep> groups) {
    for (int32_t group = 0; group < std::ssize(groups); ++group) {
      const GroupStep& step = groups[static_cast<size_t>(group)];
      if (!step.plan.empty()) observe_group(ranks.leader(group), step);
    }
  };
  const Hooks hooks(engine, prepare, observe);
  TRY(submit_prompt(engine, ids));
  TRY(run_to_end(engine));
  return out;
}

Status write_logits(const std::string& path, const Logits& logits) {
  std::vector<model::TensorView> tensors = {
      view("logits", StorageType::f32, {logits.num_tokens, logits.vocab_size}, logits.values)};
  for (const auto& [layer, routing] : logits.routing) {
    const int64_t columns = std::ssize(routing.experts) / logits.num_tokens;
    tensors.push_back(view(fmt::format("experts.{}", layer), StorageType::i64,
                           {logits.num_tokens, columns}, routing.experts));
    tensors.push_back(view(fmt::format("expert_weights.{}", layer), StorageType::f32,
                           {logits.num_tokens, columns}, routing.weights));
  }
  return model::write_safetensors(path, tensors);
}

double Likelihood::perplexity() const { return std::exp(mean_nll()); }

Result<Likelihood> evaluate_likelihood(Engine& engine, std::span<const int32_t> ids, int64_t window,
                                       const std::function<void(int64_t)>& progress) {
  BRAID_CHECK(window > 0 && ids.size() >= 2, "({} ids in windows of {})", ids.size(), window);
  for (int32_t group = 0; group < engine.ranks().num_groups(); ++group) {
    TRY(need_here(engine.ranks(), engine.ranks().leader_of(group)));
  }
  Likelihood likelihood;
  std::map<RequestId, int64_t> first_of;  // the first id of each request's window
  std::vector<float> logits(static_cast<size_t>(engine.config().vocab_size));
  const auto observe_group = [&](Worker& worker, const std::vector<LogitRow>& rows) {
    for (size_t row = 0; row < rows.size(); ++row) {
      const int64_t first = first_of.at(rows[row].sequence->id);
      const int64_t target = ids[static_cast<size_t>(first + rows[row].position + 1)];
      fetch_logits(worker, row, logits);
      likelihood.total_nll += negative_log_likelihood(logits, target);
    }
    likelihood.tokens += std::ssize(rows);
    if (progress) progress(std::ssize(rows));
  };
  const auto observe = [&](int64_t, std::span<const GroupStep> groups) {
    for (int32_t group = 0; group < std::ssize(groups); ++group) {
      observe_group(engine.ranks().leader(group), groups[static_cast<size_t>(group)].logit_rows);
    }
  };
  const Hooks hooks(engine, nullptr, observe);
  const int64_t inputs = std::ssize(ids) - 1;  // the last id is a target only
  for (int64_t first = 0; first < inputs; first += window) {
    const auto size = static_cast<size_t>(std::min(window, inputs - first));
    first_of[TRY(submit_prompt(engine, ids.subspan(static_cast<size_t>(first), size)))] = first;
  }
  TRY(run_to_end(engine));
  return likelihood;
}

double negative_log_likelihood(std::span<const float> logits, int64_t target) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - highest);
  return highest + std::log(sum) - static_cast<double>(logits[static_cast<size_t>(target)]);
}

}  // namespace braid::engine
