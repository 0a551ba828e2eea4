// What --explain says about a layout: the meshes, what each rank holds, what it sends and why.
#pragma once

#include <string>

#include "base/options.h"
#include "model/decoder_model.h"

namespace braid::start {

// Lines of the section "layout". Of `model` dtype and layout count; nothing is allocated or read.
// `ranks`: what the ranks are, where there are several.
std::string explain_layout(const model::ModelConfig& config, const model::ModelOptions& model,
                           const ParsedOptions& options, const std::string& ranks);

}  // namespace braid::start
