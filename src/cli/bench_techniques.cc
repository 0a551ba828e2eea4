// braid bench techniques: each of the five techniques against what it replaces, in one table.
#include "cli/bench_techniques.h"

namespace braid::cli {

Result<Outcome> bench_techniques(const Context& context) {
  const ParsedOptions& options = context.options;
  const std::string& asked = options.text("device");
  const bool emulates_link = options.has("emulate-link");
  const bool asks = asked != "cpu" && !emulates_link;
  const lab::TechniqueDevice device =
      TRY(lab::technique_device(asked, emulates_link, asks ? TRY(lab::count_gpus()) : 0));
  const bool layers = device.kind == ranks::DeviceKind::cuda || options.flag("layer");
  if (!layers) return engine_techniques(context, device);
  TRY(layer_techniques(context, device));
  return Outcome::success;
}

}  // namespace braid::cli
