#include "lab/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "model/safetensors.h"
#include "ranks/serialization.h"

namespace braid::lab {
namespace {

using model::StorageType;

int64_t top_k(const model::ModelConfig& config) { return config.moe ? config.moe->top_k : 0; }

// Queues a prompt that is computed, with nothing generated.
Result<engine::RequestId> submit_prompt(engine::Engine& engine, std::span<const int32_t> ids) {
  return engine.submit({.prompt = {ids.begin(), ids.end()}, .max_tokens = 0});
}

// What looks at a step of all groups before it runs, or after it.
using Look = std::function<Status(std::span<const engine::GroupStep> groups)>;

// Runs all that is queued; an error of a look ends it.
Status run_to_end(engine::Engine& engine, const Look& prepare, const Look& observe) {
  Status status;
  const auto unless_failed = [&status](const Look& look) {
    return [&](int64_t, std::span<const engine::GroupStep> groups) {
      if (status.ok() && look) status = look(groups);
    };
  };
  engine.set_preparer(unless_failed(prepare));
  engine.set_observer(unless_failed(observe));
  Status ran;
  while (ran.ok() && status.ok() && !engine.idle()) ran = engine.step().status();
  engine.set_preparer(nullptr);  // they refer to locals
  engine.set_observer(nullptr);
  TRY(ran);
  return status;
}

// The rows of a prompt's tokens in a step of a group, which are all prefill rows.
class PromptRows {
 public:
  explicit PromptRows(const engine::GroupStep& step) : first_(step.shape.own.decode) {
    for (const engine::PlannedRows& planned : step.plan.prefill) {
      for (int32_t i = 0; i < planned.count; ++i) positions_.push_back(planned.first + i);
    }
  }

  ranks::ResidentRows of(int32_t resident) const {
    return {.resident = resident, .first = first_, .count = std::ssize(positions_)};
  }

  // `to` [N, columns] at each token's position, from the bytes of the rows.
  template <typename T, typename To>
  Status scatter(const std::string& bytes, int64_t columns, std::vector<To>& to) const {
    const std::vector<T> values = TRY(ranks::values_of_bytes<T>(bytes));
    for (int64_t row = 0; row < std::ssize(positions_); ++row) {
      const auto from = values.begin() + row * columns;
      std::copy(from, from + columns, to.begin() + positions_[static_cast<size_t>(row)] * columns);
    }
    return {};
  }

  // The rows' ids of a layer.
  std::vector<int32_t> gather(const LayerExperts& experts, int64_t columns) const {
    std::vector<int32_t> ids;
    for (const int64_t position : positions_) {
      for (int64_t k = 0; k < columns; ++k) {
        ids.push_back(static_cast<int32_t>(experts[static_cast<size_t>(position * columns + k)]));
      }
    }
    return ids;
  }

 private:
  int64_t first_;
  std::vector<int64_t> positions_;  // of the tokens, row by row
};

// Moves what steps compute between the ranks' probes and rows by token.
class LogitsReader {
 public:
  LogitsReader(engine::Engine& engine, size_t tokens, const ForcedRouting* forced)
      : ranks_(engine.ranks()),
        state_(engine.worker().model().state()),
        columns_(top_k(engine.config())),
        forced_(forced) {
    out_.num_tokens = static_cast<int64_t>(tokens);
    out_.vocab_size = engine.config().vocab_size;
    out_.values.resize(tokens * static_cast<size_t>(out_.vocab_size));
    if (!engine.worker().model().options().probes.routing) return;
    for (int64_t layer = 0; layer < engine.config().num_layers; ++layer) {
      if (!engine.config().is_moe(layer)) continue;
      const size_t size = tokens * static_cast<size_t>(columns_);
      out_.routing[layer] = {LayerExperts(size), std::vector<float>(size)};
    }
  }

  Status prepare(std::span<const engine::GroupStep> groups) {
    for (int32_t group = 0; forced_ != nullptr && group < std::ssize(groups); ++group) {
      const PromptRows rows(groups[static_cast<size_t>(group)]);
      for (const auto& [layer, experts] : *forced_) {
        const ranks::ResidentRows of_layer = rows.of(state_.forced_ids[static_cast<size_t>(layer)]);
        if (of_layer.count == 0) continue;
        const std::vector<int32_t> ids = rows.gather(experts, columns_);
        TRY(ranks_.ask(ranks_.members_of(group),
                       ranks::RankQuery::write(of_layer, ranks::bytes_of_values<int32_t>(ids))));
      }
    }
    return {};
  }

  Status observe(std::span<const engine::GroupStep> groups) {
    for (int32_t group = 0; group < std::ssize(groups); ++group) {
      const engine::GroupStep& step = groups[static_cast<size_t>(group)];
      if (!step.plan.empty()) TRY(read(ranks_.leader_of(group), step));
    }
    return {};
  }

  Logits take() && { return std::move(out_); }

 private:
  Status read(int32_t leader, const engine::GroupStep& step) {
    for (int64_t row = 0; row < std::ssize(step.logit_rows); ++row) {
      const std::string bytes = TRY(ranks_.ask(
          leader, ranks::RankQuery::read({.resident = state_.logits, .first = row, .count = 1})));
      const int64_t position = step.logit_rows[static_cast<size_t>(row)].position;
      std::memcpy(&out_.values[static_cast<size_t>(position * out_.vocab_size)], bytes.data(),
                  bytes.size());
    }
    const PromptRows rows(step);
    for (auto& [layer, routing] : out_.routing) {
      const auto i = static_cast<size_t>(layer);
      const auto of = [&](int32_t probe) {
        return ranks_.ask(leader, ranks::RankQuery::read(rows.of(probe)));
      };
      TRY(rows.scatter<int32_t>(TRY(of(state_.expert_ids[i])), columns_, routing.experts));
      TRY(rows.scatter<float>(TRY(of(state_.expert_weights[i])), columns_, routing.weights));
    }
    return {};
  }

  ranks::Ranks& ranks_;
  const model::StateBuffers& state_;
  int64_t columns_;
  const ForcedRouting* forced_;
  Logits out_;
};

template <typename T>
model::TensorView view(const std::string& name, StorageType type, const std::vector<int64_t>& shape,
                       const std::vector<T>& values) {
  return {.name = name, .type = type, .shape = shape, .bytes = std::as_bytes(std::span(values))};
}

Error bad_routing(const std::string& path, const model::StoredTensor& tensor, std::string message) {
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
    const model::StoredTensor* tensor = file.find(name);
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
    TRY(tensor->read(0, std::as_writable_bytes(std::span(experts))));
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

Result<Logits> evaluate_logits(engine::Engine& engine, std::span<const int32_t> ids,
                               const ForcedRouting* forced) {
  const model::Probes& probes = engine.worker().model().options().probes;
  BRAID_CHECK(probes.all_logits && probes.force_routing == (forced != nullptr), "(probes)");
  LogitsReader reader(engine, ids.size(), forced);
  TRY(submit_prompt(engine, ids));
  TRY(run_to_end(
      engine, [&](std::span<const engine::GroupStep> groups) { return reader.prepare(groups); },
      [&](std::span<const engine::GroupStep> groups) { return reader.observe(groups); }));
  return std::move(reader).take();
}

int64_t first_not_finite(const Logits& logits) {
  const auto odd = std::find_if(logits.values.begin(), logits.values.end(),
                                [](float logit) { return !std::isfinite(logit); });
  return odd == logits.values.end() ? -1 : (odd - logits.values.begin()) / logits.vocab_size;
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

Result<Likelihood> evaluate_likelihood(engine::Engine& engine, std::span<const int32_t> ids,
                                       int64_t window,
                                       const std::function<void(int64_t)>& progress) {
  BRAID_CHECK(window > 0 && ids.size() >= 2, "({} ids in windows of {})", ids.size(), window);
  ranks::Ranks& ranks = engine.ranks();
  Likelihood likelihood;
  std::map<engine::RequestId, int64_t> first_of;  // the first id of each request's window
  const auto observe_group = [&](int32_t leader,
                                 const std::vector<engine::LogitRow>& rows) -> Status {
    std::vector<int32_t> targets;
    for (const engine::LogitRow& row : rows) {
      const int64_t first = first_of.at(row.sequence->id);
      targets.push_back(ids[static_cast<size_t>(first + row.position + 1)]);
    }
    if (targets.empty()) return {};
    const std::string scores = TRY(ranks.ask(leader, ranks::RankQuery::score(targets)));
    for (const double score : TRY(ranks::values_of_bytes<double>(scores)))
      likelihood.total_nll += score;
    likelihood.tokens += std::ssize(rows);
    if (progress) progress(std::ssize(rows));
    return {};
  };
  const auto observe = [&](std::span<const engine::GroupStep> groups) -> Status {
    for (int32_t group = 0; group < std::ssize(groups); ++group) {
      TRY(observe_group(ranks.leader_of(group), groups[static_cast<size_t>(group)].logit_rows));
    }
    return {};
  };
  const int64_t inputs = std::ssize(ids) - 1;  // the last id is a target only
  for (int64_t first = 0; first < inputs; first += window) {
    const auto size = static_cast<size_t>(std::min(window, inputs - first));
    first_of[TRY(submit_prompt(engine, ids.subspan(static_cast<size_t>(first), size)))] = first;
  }
  TRY(run_to_end(engine, nullptr, observe));
  return likelihood;
}

}  // namespace braid::lab
