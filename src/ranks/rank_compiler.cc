#include "ranks/rank_compiler.h"

namespace braid::ranks {

Result<std::unique_ptr<RankCompiler>> RankCompiler::create(const model::ModelConfig& config,
                                                           const WorkerOptions& options) {
  std::unique_ptr<RankCompiler> compiler(new RankCompiler(config, options));
  TRY(register_kernels(compiler->table_, options.device));
  if (!options.overlap_kernels) compiler->table_.forbid_overlap();
  return compiler;
}

}  // namespace braid::ranks
