#include "lab/layer_part.h"

#include <gtest/gtest.h>

#include <set>

#include "model/testing.h"

namespace braid::lab {
namespace {

model::ModelConfig golden(const std::string& name) {
  return model::load_config(model::testing::golden_folder(name)).value();
}

model::ModelOptions options_on(const model::ModelConfig& config,
                               const layout::LayoutOptions& wanted) {
  model::ModelOptions options{
      .max_rows = {.decode = 4, .prefill = 16}, .page_size = 4, .num_blocks = 8, .max_blocks = 6};
  options.layout = layout::make_layout(model::layout_sizes(config), wanted).value();
  return options;
}

TEST(LayerPartTest, RowsOfALayerGoToTheirExpertsAsAskedFor) {
  const model::ModelConfig config = golden("qwen3_moe");
  const LayerPart part(config, options_on(config, {.tp = 1, .dp = 2}), Part::layer);
  const layers::RowCounts rows{.decode = 0, .prefill = 4};
  const auto moves = [&](ops::DispatchKind kind) {
    std::set<std::string_view> names;
    for (const flow::Op& op : part.build({rows, rows}, kind).value().ops) {
      if (op.desc.kind().collective != nullptr) names.insert(op.desc.kind().name);
    }
    return names;
  };
  using Names = std::set<std::string_view>;
  EXPECT_EQ(moves(ops::DispatchKind::gather), (Names{"all_gather_v", "reduce_scatter_v"}));
  EXPECT_EQ(moves(ops::DispatchKind::all_to_all), (Names{"all_to_all_v", "return_rows"}));
}

TEST(LayerPartTest, AProjectionIsOneGemmAndItsSum) {
  const model::ModelConfig config = golden("qwen2");
  model::ModelOptions options = options_on(config, {.tp = 2});
  options.rank = 1;
  for (const Part which : {Part::o_proj, Part::down}) {
    const LayerPart part(config, options, which);
    EXPECT_EQ(part.model().config().num_layers, 1);
    EXPECT_EQ(part.columns().first + part.columns().count, part.columns().total);
    EXPECT_NE(part.sums(), model::kAbsent);
    EXPECT_EQ(part.out(), model::kAbsent);  // it was not asked for
    const layers::RowCounts rows{.decode = 4, .prefill = 0};
    const flow::Program program = part.build({rows, rows}).value();
    ASSERT_EQ(program.ops.size(), 2u);
    EXPECT_EQ(program.ops[0].kind().name, "gemm");
    EXPECT_EQ(program.ops[1].kind().name, "all_reduce");
  }
}

}  // namespace
}  // namespace braid::lab
