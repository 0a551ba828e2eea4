#include "support/tap.h"

#include <cstring>

#include "base/float16.h"

namespace braid::testing {
namespace {

template <typename T>
std::vector<T> row_of(ranks::Worker& worker, int32_t resident, int64_t row) {
  const flow::Resident& info = worker.model().residents()[resident];
  std::vector<T> values(static_cast<size_t>(info.cols));
  std::memcpy(values.data(), worker.data(resident) + row * info.row_bytes(),
              static_cast<size_t>(info.row_bytes()));
  return values;
}

std::vector<float> float_row(ranks::Worker& worker, int32_t resident, int64_t row) {
  if (worker.model().residents()[resident].format == Format::f32) {
    return row_of<float>(worker, resident, row);
  }
  std::vector<float> values;
  for (const bf16 value : row_of<bf16>(worker, resident, row)) values.push_back(to_float(value));
  return values;
}

bool same_bytes(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

Tap::Tap(engine::Engine& engine) : engine_(engine) {
  BRAID_CHECK(engine.plan().model().probes.all_logits, "(a Tap reads all logits)");
  engine.set_observer([this](int64_t, std::span<const engine::GroupStep> groups) {
    for (int32_t group = 0; group < std::ssize(groups); ++group) {
      record(engine_.ranks().leader(group), groups[static_cast<size_t>(group)]);
    }
  });
}

const std::vector<TokenRecord>& Tap::of(engine::RequestId request) const {
  return records_.at(request);
}

TokenRecord Tap::read(ranks::Worker& leader, int64_t row, int64_t logit_row) const {
  const model::StateBuffers& state = leader.model().state();
  TokenRecord record;
  record.logits = float_row(leader, state.logits, logit_row);
  for (const int32_t hidden : state.hidden) {
    record.hidden.push_back(float_row(leader, hidden, row));
  }
  const bool routing = engine_.plan().model().probes.routing;
  for (size_t layer = 0; routing && layer < state.expert_ids.size(); ++layer) {
    record.experts.emplace_back();
    record.expert_weights.emplace_back();
    record.router_logits.emplace_back();
    if (state.expert_ids[layer] == model::kAbsent) continue;
    record.experts.back() = row_of<int32_t>(leader, state.expert_ids[layer], row);
    record.expert_weights.back() = row_of<float>(leader, state.expert_weights[layer], row);
    record.router_logits.back() = row_of<float>(leader, state.router_logits[layer], row);
  }
  return record;
}

void Tap::record(ranks::Worker& leader, const engine::GroupStep& step) {
  // Rows with logits follow the plan: decode rows, then prefill rows behind the decode bucket.
  int64_t logit_row = 0;
  const auto add = [&](const engine::PlannedRows& planned, int64_t first_row) {
    std::vector<TokenRecord>& records = records_[planned.sequence->id];
    for (int32_t i = 0; i < planned.count; ++i, ++logit_row) {
      BRAID_CHECK(step.logit_rows[static_cast<size_t>(logit_row)].sequence == planned.sequence, "");
      const auto position = static_cast<size_t>(planned.first + i);
      if (records.size() <= position) records.resize(position + 1);
      TokenRecord read_now = read(leader, first_row + i, logit_row);
      if (!records[position].logits.empty() &&
          !same_bytes(records[position].logits, read_now.logits)) {
        ++mismatches_;
      }
      records[position] = std::move(read_now);
    }
  };
  int64_t row = 0;
  for (const engine::PlannedRows& planned : step.plan.decode) add(planned, row++);
  row = step.shape.own.decode;
  for (const engine::PlannedRows& planned : step.plan.prefill) {
    add(planned, row);
    row += planned.count;
  }
}

}  // namespace braid::testing
