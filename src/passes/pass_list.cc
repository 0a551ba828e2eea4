#include "passes/pass_list.h"

#include <fmt/format.h>

#include <array>

#include "passes/chunk_collectives.h"
#include "passes/count_heat.h"
#include "passes/dual_stream.h"
#include "passes/fuse_decode_attention.h"
#include "passes/fuse_experts.h"
#include "passes/fuse_norm.h"
#include "passes/fuse_route.h"
#include "passes/quantize_dispatch.h"

namespace braid::passes {
namespace {

// A pass is one line here.
constexpr std::array kPasses = {
    &kQuantizeDispatch,     // first: the shared expert then runs beside the quantization as well
    &kDualStream,           // before reductions are cut: the ops on lane aux then stay whole
    &kChunkCollectives,     //
    &kFuseExperts,          // behind what moves and cuts ops: what is left whole becomes one
    &kFuseDecodeAttention,  //
    &kFuseNorm,             // what no other op took in
    &kFuseRoute,            // takes in the norms that no product took
    &kCountHeat,            // last: routing that counts can't be split by rows any more
};

}  // namespace

std::span<const Pass* const> all_passes() { return kPasses; }

Result<PassOptions> parse_passes(const ParsedOptions& options) {
  PassOptions parsed;
  for (const Pass* pass : kPasses) TRY(pass->parse(options, parsed));
  return parsed;
}

std::vector<std::string> describe_passes(const ParsedOptions& options) {
  std::vector<std::string> lines;
  for (const Pass* pass : kPasses) {
    std::vector<std::string> settings;
    for (const std::string_view name : pass->options) {
      settings.push_back(fmt::format("--{} {}", name, fmt::join(options.values(name), " ")));
    }
    lines.push_back(fmt::format("{}: {}", pass->name, fmt::join(settings, ", ")));
  }
  return lines;
}

Result<flow::Program> run_passes(flow::Program program, const PassContext& context) {
  for (const Pass* pass : kPasses) program = TRY(pass->run(std::move(program), context));
  return program;
}

flow::Program run_read_back_passes(flow::Program program, const PassContext& context) {
  for (const Pass* pass : kPasses) {
    if (pass->run_read_back != nullptr) program = pass->run_read_back(std::move(program), context);
  }
  return program;
}

}  // namespace braid::passes
