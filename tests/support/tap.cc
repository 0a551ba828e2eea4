#include "support/tap.h"

#include <cstring>

#include "base/float16.h"

namespace braid::testing {
namespace {

const flow::Residents& residents_of(engine::Engine& engine) {
  return engine.worker().model().residents();
}

template <typename T>
std::vector<T> row_of(engine::Engine& engine, int32_t resident, int64_t row) {
  const flow::Resident& info = residents_of(engine)[resident];
  std::vector<T> values(static_cast<size_t>(info.cols));
  std::memcpy(values.data(), engine.worker().data(resident) + row * info.row_bytes(),
              static_cast<size_t>(info.row_bytes()));
  return values;
}

std::vector<float> float_row(engine::Engine& engine, int32_t resident, int64_t row) {
  if (residents_of(engine)[resident].format == Format::f32) {
    return row_of<float>(engine, resident, row);
  }
  std::vector<float> values;
  for (const bf16 value : row_of<bf16>(engine, resident, row)) values.push_back(to_float(value));
  return values;
}

bool same_bytes(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

Tap::Tap(engine::Engine& engine) : engine_(engine) {
  BRAID_CHECK(engine.options().worker.model.probes.all_logits, "(a Tap reads all logits)");
  engine.set_observer(
      [this](int64_t, const engine::Plan& plan, const layers::StepShape& shape,
             const std::vector<engine::LogitRow>& logit_rows) { record(plan, shape, logit_rows); });
}

const std::vector<TokenRecord>& Tap::of(engine::RequestId request) const {
  return records_.at(request);
}

TokenRecord Tap::read(int64_t row, int64_t logit_row) const {
  const model::StateBuffers& state = engine_.worker().model().state();
  TokenRecord record;
  record.logits = float_row(engine_, state.logits, logit_row);
  for (const int32_t hidden : state.hidden) {
    record.hidden.push_back(float_row(engine_, hidden, row));
  }
  const bool routing = engine_.options().worker.model.probes.routing;
  for (size_t layer = 0; routing && layer < state.expert_ids.size(); ++layer) {
    record.experts.emplace_back();
    record.expert_weights.emplace_back();
    record.router_logits.emplace_back();
    if (state.expert_ids[layer] == model::kAbsent) continue;
    record.experts.back() = row_of<int32_t>(engine_, state.expert_ids[layer], row);
    record.expert_weights.back() = row_of<float>(engine_, state.expert_weights[layer], row);
    record.router_logits.back() = row_of<float>(engine_, state.router_logits[layer], row);
  }
  return record;
}

void Tap::record(const engine::Plan& plan, const layers::StepShape& shape,
                 const std::vector<engine::LogitRow>& logit_rows) {
  // Rows with logits follow the plan: decode rows, then prefill rows behind the decode bucket.
  int64_t logit_row = 0;
  const auto add = [&](const engine::PlannedRows& planned, int64_t first_row) {
    std::vector<TokenRecord>& records = records_[planned.sequence->id];
    for (int32_t i = 0; i < planned.count; ++i, ++logit_row) {
      BRAID_CHECK(logit_rows[static_cast<size_t>(logit_row)].sequence == planned.sequence, "");
      const auto position = static_cast<size_t>(planned.first + i);
      if (records.size() <= position) records.resize(position + 1);
      TokenRecord read_now = read(first_row + i, logit_row);
      if (!records[position].logits.empty() &&
          !same_bytes(records[position].logits, read_now.logits)) {
        ++mismatches_;
      }
      records[position] = std::move(read_now);
    }
  };
  int64_t row = 0;
  for (const engine::PlannedRows& planned : plan.decode) add(planned, row++);
  row = shape.own.decode;
  for (const engine::PlannedRows& planned : plan.prefill) {
    add(planned, row);
    row += planned.count;
  }
}

}  // namespace braid::testing
