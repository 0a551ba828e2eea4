#include "passes/fuse_decode_attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "flow/rewrite.h"
#include "flow/uses.h"
#include "ops/attention.h"
#include "ops/norm.h"
#include "ops/rotary.h"

namespace braid::passes {
namespace {

using flow::Op;
using flow::Program;
using flow::Value;
using kernels::AttentionDesc;
using kernels::AttentionPlanDesc;
using kernels::DecodeAttentionDesc;
using kernels::DecodePlanDesc;
using kernels::KvWriteDesc;
using kernels::RmsNormDesc;
using kernels::RotaryDesc;
using ops::AttentionOperand;
using ops::AttentionPlanOperand;
using ops::DecodeAttentionOperand;
using ops::DecodePlanOperand;
using ops::KvWriteOperand;
using ops::RmsNormOperand;
using ops::RotaryOperand;

constexpr std::string_view kOptions[] = {"fuse-attention"};

// The ops of one layer that become one, and what they have beside attention's operands.
struct Chain {
  std::vector<int32_t> ops;  // ascending; empty: there is no such chain
  int32_t plan = -1;         // the op that makes attention's plan
  Value qkv, q_norm, k_norm;
  float eps = 1e-6f;
};

const Op& op_at(const Program& program, int32_t index) {
  return program.ops[static_cast<size_t>(index)];
}

// Whether `inner` is columns [first, first + inner's) of the matrix that `outer` begins.
bool is_columns(const Program& program, Value inner, Value outer, int64_t first) {
  const flow::ValueInfo& part = program.info(inner);
  const flow::ValueInfo& all = program.info(outer);
  return part.buffer == all.buffer && part.first_row == all.first_row && part.rows == all.rows &&
         part.stride == all.stride && part.format == all.format &&
         part.offset == all.offset + first * bytes_of(all.format);
}

// Finds a layer's chain backwards from its attention. All that touches the matrix of q, k and v is
// the op that makes it and the chain, which stands together.
class Finder {
 public:
  Finder(const Program& program, const flow::Uses& uses, int32_t attention)
      : program_(program),
        uses_(uses),
        attention_(op_at(program, attention)),
        desc_(attention_.desc.as<AttentionDesc>()),
        q_(attention_.operands[AttentionOperand::q]),
        touching_(uses.touching(q_)),
        end_(attention) {}

  Chain find() {
    if (!take(end_, true) || !take_write() || !take_rotary() || !take_norms() || !find_qkv()) {
      return {};
    }
    chain_.plan = uses_.last_writer(end_, attention_.operands[AttentionOperand::plan]);
    if (chain_.plan < 0 || !op_at(program_, chain_.plan).desc.is<AttentionPlanDesc>()) return {};
    std::reverse(chain_.ops.begin(), chain_.ops.end());
    return std::move(chain_);
  }

 private:
  int64_t q_cols() const { return int64_t{desc_.num_heads} * desc_.head_dim; }
  int64_t kv_cols() const { return int64_t{desc_.num_kv_heads} * desc_.head_dim; }
  int32_t last() const { return touching_.empty() ? -1 : touching_.back(); }

  // Takes the last op that is left, if `wanted`.
  bool take(int32_t op, bool wanted) {
    if (!wanted || op < 0 || last() != op || op_at(program_, op).lane != attention_.lane ||
        !(op_at(program_, op).scope == attention_.scope)) {
      return false;
    }
    touching_.pop_back();
    chain_.ops.push_back(op);
    return true;
  }

  bool take_write() {
    const int32_t op = last();
    if (op < 0 || !op_at(program_, op).desc.is<KvWriteDesc>()) return false;
    const auto& operands = op_at(program_, op).operands;
    const Value source = operands[KvWriteOperand::source];
    return take(op, is_columns(program_, source, q_, q_cols()) &&
                        program_.info(source).cols == 2 * kv_cols() &&
                        flow::same_memory(program_, operands[KvWriteOperand::cache],
                                          attention_.operands[AttentionOperand::cache]));
  }

  bool take_rotary() {
    const int32_t op = last();
    if (op < 0 || !op_at(program_, op).desc.is<RotaryDesc>()) return false;
    const Value x = op_at(program_, op).operands[RotaryOperand::x];
    return take(op,
                is_columns(program_, x, q_, 0) && program_.info(x).cols == q_cols() + kv_cols());
  }

  // Both norms or none: of k, and before it of q, in place.
  bool take_norms() {
    if (!is_norm(last(), q_cols(), kv_cols())) return true;
    const auto desc = op_at(program_, last()).desc.as<RmsNormDesc>();
    chain_.eps = desc.eps;
    chain_.k_norm = op_at(program_, last()).operands[RmsNormOperand::weight];
    take(last(), true);
    if (!is_norm(last(), 0, q_cols()) ||
        op_at(program_, last()).desc.as<RmsNormDesc>().eps != desc.eps) {
      return false;
    }
    chain_.q_norm = op_at(program_, last()).operands[RmsNormOperand::weight];
    return take(last(), true);
  }
  bool is_norm(int32_t index, int64_t first, int64_t cols) const {
    if (index < 0 || !op_at(program_, index).desc.is<RmsNormDesc>()) return false;
    const Op& op = op_at(program_, index);
    const Value x = op.operands[RmsNormOperand::x];
    return op.desc.as<RmsNormDesc>().group == desc_.head_dim &&
           is_columns(program_, x, q_, first) && program_.info(x).cols == cols &&
           flow::same_memory(program_, x, op.operands[RmsNormOperand::y]);
  }

  // The op that is left makes the whole matrix.
  bool find_qkv() {
    if (touching_.size() != 1 || program_.buffer_of(q_).lifetime != flow::Lifetime::step) {
      return false;
    }
    for (const Value value : op_at(program_, last()).operands) {
      if (value.present() && is_columns(program_, value, q_, 0) &&
          program_.info(value).cols == q_cols() + 2 * kv_cols()) {
        chain_.qkv = value;
      }
    }
    return chain_.qkv.present();
  }

  const Program& program_;
  const flow::Uses& uses_;
  const Op& attention_;
  AttentionDesc desc_;
  Value q_;
  std::vector<int32_t> touching_;  // ops that touch the matrix of q, k and v and are not taken yet
  int32_t end_;
  Chain chain_;
};

Op fused(const Program& program, const Chain& chain, Value plan) {
  // … rotary, kv_write, attention
  const Op& attention = op_at(program, chain.ops.back());
  const Op& write = op_at(program, chain.ops[chain.ops.size() - 2]);
  const Op& rotary = op_at(program, chain.ops[chain.ops.size() - 3]);
  const flow::AnyDesc desc(DecodeAttentionDesc{.attention = attention.desc.as<AttentionDesc>(),
                                               .rotary = rotary.desc.as<RotaryDesc>(),
                                               .eps = chain.eps});
  const flow::NamedValue operands[] = {
      {DecodeAttentionOperand::qkv, chain.qkv},
      {DecodeAttentionOperand::q_norm, chain.q_norm},
      {DecodeAttentionOperand::k_norm, chain.k_norm},
      {DecodeAttentionOperand::rotary_table, rotary.operands[RotaryOperand::table]},
      {DecodeAttentionOperand::sequences, attention.operands[AttentionOperand::sequences]},
      {DecodeAttentionOperand::positions, attention.operands[AttentionOperand::positions]},
      {DecodeAttentionOperand::kv_slots, write.operands[KvWriteOperand::kv_slots]},
      {DecodeAttentionOperand::block_table, attention.operands[AttentionOperand::block_table]},
      {DecodeAttentionOperand::plan, plan},
      {DecodeAttentionOperand::cache, write.operands[KvWriteOperand::cache]},
      {DecodeAttentionOperand::out, attention.operands[AttentionOperand::out]}};
  return {.desc = desc,
          .operands = flow::operands_of(desc.kind(), operands),
          .scope = attention.scope,
          .lane = attention.lane};
}

// Puts decode plans where the attention plans were.
class Plans {
 public:
  Plans(const Program& program, flow::Rewriter& rewrite) : program_(program), rewrite_(rewrite) {}

  // The plan of a layer with so many KV heads whose attention had its plan from op `before`.
  Value of(int32_t before, int32_t num_kv_heads) {
    auto [entry, added] = plans_[before].try_emplace(num_kv_heads);
    if (!added) return entry->second;
    const Op& op = op_at(program_, before);
    const Value sequences = op.operands[AttentionPlanOperand::sequences];
    const kernels::DecodePlanLayout layout(program_.info(sequences).rows, num_kv_heads);
    entry->second = rewrite_.like(op.operands[AttentionPlanOperand::plan], layout.words, 1);
    const flow::AnyDesc desc(DecodePlanDesc{num_kv_heads});
    const flow::NamedValue operands[] = {
        {DecodePlanOperand::sequences, sequences},
        {DecodePlanOperand::positions, op.operands[AttentionPlanOperand::positions]},
        {DecodePlanOperand::plan, entry->second}};
    ops_[before].push_back({.desc = desc,
                            .operands = flow::operands_of(desc.kind(), operands),
                            .scope = op.scope,
                            .lane = op.lane});
    return entry->second;
  }

  void issue() {
    for (const auto& [before, ops] : ops_) {
      std::vector<int32_t> parts;
      for (const Op& op : ops) parts.push_back(rewrite_.substitute(op, before));
      rewrite_.replace({before}, parts);
    }
  }

 private:
  const Program& program_;
  flow::Rewriter& rewrite_;
  std::map<int32_t, std::map<int32_t, Value>> plans_;  // by the op before, by KV heads
  std::map<int32_t, std::vector<Op>> ops_;
};

double us_of(const Program& program, const std::vector<int32_t>& ops, const cost::CostModel& cost) {
  double us = 0;
  for (const int32_t op : ops) us += cost.us_of(program, op_at(program, op));
  return us;
}

// The chains of all layers with such attention, or why they stay as they are.
std::string find_chains(const Program& program, std::vector<Chain>& chains) {
  const flow::Uses uses(program);
  for (int32_t i = 0; i < static_cast<int32_t>(program.ops.size()); ++i) {
    if (!op_at(program, i).desc.is<AttentionDesc>()) continue;
    chains.push_back(Finder(program, uses, i).find());
    if (chains.back().ops.empty()) {
      return fmt::format("layer {} has other ops before its attention",
                         op_at(program, i).scope.layer);
    }
  }
  return chains.empty() ? "no layer has grouped-query attention" : "";
}

}  // namespace

Result<Program> fuse_decode_attention(Program program, const FuseAttentionOptions& options,
                                      const PassContext& context) {
  const auto decide = [&](std::string choice, std::string reason, int rewrites = 0,
                          std::vector<cost::Alternative> alternatives = {}) {
    context.decisions.push_back({"fuse_decode_attention", std::move(choice), std::move(reason),
                                 rewrites, std::move(alternatives)});
  };
  const auto leave = [&](std::string reason) {
    decide("off", std::move(reason));
    return std::move(program);
  };
  if (options.mode == Switch::off) return leave("switched off");
  if (context.shape.own.prefill > 0) return leave("the step has rows in prefill");
  std::vector<Chain> chains;
  std::string why_not = find_chains(program, chains);
  if (!why_not.empty()) return leave(std::move(why_not));

  flow::Rewriter rewrite(program);
  Plans plans(program, rewrite);
  double apart = 0, together = 0;
  for (const Chain& chain : chains) {
    const auto desc = op_at(program, chain.ops.back()).desc.as<AttentionDesc>();
    const Op op = fused(program, chain, plans.of(chain.plan, desc.num_kv_heads));
    apart += us_of(program, chain.ops, context.cost());
    together += context.cost().us_of(program, op);
    rewrite.replace(chain.ops, {rewrite.substitute(op, chain.ops.back())});
  }
  plans.issue();
  decide("on",
         fmt::format("{}: {} layers; on GPUs sums over positions have another order",
                     options.mode == Switch::on ? "asked for" : "auto", chains.size()),
         rewrite.rewrites(), {{"off", apart}, {"on", together}});
  return std::move(rewrite).finish();
}

constinit const Pass kFuseDecodeAttention = {
    .name = "fuse_decode_attention",
    .options = kOptions,
    .parse = [](const ParsedOptions& from, PassOptions& to) -> Status {
      to.of<FuseAttentionOptions>().mode =
          TRY(parse_switch("--fuse-attention", from.text("fuse-attention")));
      return {};
    },
    .run =
        [](Program program, const PassContext& context) {
          return fuse_decode_attention(std::move(program),
                                       context.options.of<FuseAttentionOptions>(), context);
        }};

}  // namespace braid::passes
