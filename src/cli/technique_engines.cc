// The techniques in whole steps of a model, on threads over emulated links.
#include <algorithm>

#include "base/json.h"
#include "base/progress.h"
#include "cli/bench.h"
#include "cli/bench_techniques.h"
#include "cli/technique_table.h"
#include "lab/paired_engines.h"
#include "start/rank_setting.h"
#include "start/weight_source.h"

namespace braid::cli {
namespace {

using lab::Estimate;
using lab::PairSide;
using start::EngineOptions;

constexpr int32_t kRequests = 2;          // one a group where there are groups
constexpr double kLinkShare = 0.3;        // of a serial prefill that communication takes
constexpr double kLinkLatency = 20;       // microseconds
constexpr int64_t kExactnessTokens = 96;  // whose logits are compared

// What is run, and how often.
struct Effort {
  int32_t input_len = 0;
  int32_t output_len = 0;
  int64_t rounds = 0;
};
constexpr Effort kQuick = {.input_len = 192, .output_len = 9, .rounds = 5};
constexpr Effort kFull = {.input_len = 512, .output_len = 33, .rounds = 15};

EngineOptions of_side(const EngineOptions& base, const PairSide& side) {
  EngineOptions options = base;
  options.layout = side.layout;
  options.worker.passes = side.passes;
  return options;
}

// Runs pairs on one model. `base`: sizes, dtype, and links.
class EngineTechniques {
 public:
  EngineTechniques(const model::ModelConfig& config, const model::TensorSource& source,
                   const Effort& effort, const EngineOptions& base, uint64_t seed)
      : config_(config), source_(source), effort_(effort), base_(base), seed_(seed) {
    for (int32_t i = 0; i < kRequests; ++i) {
      requests_.push_back(random_request(config.vocab_size, effort.input_len, effort.output_len,
                                         seed + static_cast<uint64_t>(i)));
    }
  }

  const LinkSpeed& link() const { return *base_.worker.link; }
  void set_link(const LinkSpeed& link) { base_.worker.link = link; }

  // Links so slow that communication takes kLinkShare of the serial prefill of `side`, whatever
  // the machine's speed.
  Result<LinkSpeed> calibrate(const PairSide& side) {
    constexpr LinkSpeed kProbe{.bytes_per_second = 5e7, .latency_us = kLinkLatency};
    const EngineOptions without = of_side(base_, side);
    EngineOptions with = without;
    with.worker.link = kProbe;
    const auto times = TRY(time({{"without", without}, {"with", with}}));
    const double compute = lab::estimate(times[0].prefill).median;
    const double link = lab::paired_difference(times[1].prefill, times[0].prefill).median;
    const double wanted = kLinkShare / (1 - kLinkShare) * compute;
    return LinkSpeed{
        .bytes_per_second = std::clamp(kProbe.bytes_per_second * link / wanted, 1e6, 1e12),
        .latency_us = kLinkLatency};
  }

  Result<TechniqueRow> run(const TechniquePair& pair) {
    const EngineOptions before = of_side(base_, pair.before), after = of_side(base_, pair.after);
    std::vector<lab::EngineVariant> variants = {{"before", before}, {"after", after}};
    if (pair.hides) {
      variants.push_back({"before, no link", before});
      variants.back().options.worker.link.reset();
    }
    const auto times = TRY(time(std::move(variants)));
    const auto samples = [&](size_t variant) -> const std::vector<double>& {
      return pair.phase == Phase::prefill ? times[variant].prefill : times[variant].decode;
    };
    TechniqueRow row{.pair = pair,
                     .before = lab::estimate(samples(0)),
                     .after = lab::estimate(samples(1)),
                     .ratio = lab::paired_ratio(samples(0), samples(1)),
                     .error = TRY(error_of(before, after))};
    row.equal = row.error == 0;
    if (pair.hides) row.hidden = hidden_share(samples(0), samples(1), samples(2));
    return row;
  }

 private:
  Result<std::vector<lab::EngineTimes>> time(std::vector<lab::EngineVariant> variants) {
    const auto engines = TRY(lab::PairedEngines::create(config_, std::move(variants), source_));
    return engines->time(requests_, effort_.rounds, seed_);
  }

  // Of the time that links add to serial execution, how much overlap takes away again.
  static Estimate hidden_share(std::span<const double> serial, std::span<const double> overlapped,
                               std::span<const double> compute) {
    std::vector<double> shares;
    for (size_t i = 0; i < serial.size(); ++i) {
      shares.push_back((serial[i] - overlapped[i]) / (serial[i] - compute[i]));
    }
    return lab::estimate(shares);
  }

  Result<double> error_of(const EngineOptions& before, const EngineOptions& after) {
    const std::span<const int32_t> prompt = requests_.front().prompt;
    const auto ids = prompt.first(std::min(prompt.size(), size_t{kExactnessTokens}));
    const auto expected = TRY(lab::logits_under(config_, before, source_, ids));
    const auto found = TRY(lab::logits_under(config_, after, source_, ids));
    return lab::relative_error(found, expected);
  }

  const model::ModelConfig& config_;
  const model::TensorSource& source_;
  const Effort effort_;
  EngineOptions base_;
  const uint64_t seed_;
  std::vector<engine::Request> requests_;
};

// As large as the requests need.
EngineOptions base_options(const Effort& effort, Format dtype) {
  EngineOptions options{.context_length = effort.input_len + effort.output_len,
                        .max_running = kRequests,
                        .chunked_prefill_size = kRequests * effort.input_len};
  options.num_blocks =
      kRequests * (engine::blocks_for(options.context_length, options.page_size) + 1);
  options.worker.model.dtype = dtype;
  return options;
}

Status print(const Context& context, const Effort& effort, const LinkSpeed& link,
             const TechniqueDevice& device, std::span<const TechniqueRow> rows,
             std::span<const LeftOut> left_out) {
  Output& out = context.streams.out;
  if (context.options.flag("json")) {
    return out.json_line({{"device", "cpu"},
                          {"link", link.to_string()},
                          {"input_len", effort.input_len},
                          {"output_len", effort.output_len},
                          {"rounds", effort.rounds},
                          {"techniques", technique_json(rows)},
                          {"left_out", technique_json(left_out)}});
  }
  TRY(out.line(fmt::format(
      "{} ranks (threads) over emulated links of {}; {} requests of {} + {} tokens, {} rounds in "
      "random order, medians with 95 % intervals",
      kTechniqueRanks, link.to_string(), kRequests, effort.input_len, effort.output_len,
      effort.rounds)));
  if (!device.note.empty()) TRY(out.line(device.note));
  return out.write(technique_table(rows, left_out));
}

}  // namespace

Status engine_techniques(const Context& context, const TechniqueDevice& device) {
  const ParsedOptions& options = context.options;
  Console& console = context.streams.console;
  const std::string overrides =
      options.has("json-model-override-args") ? options.text("json-model-override-args") : "";
  const auto config = TRY(model::load_config(options.text("model"), overrides));
  const EnginePairs list = TRY(engine_pairs(config));
  const auto source = TRY(start::open_weights(options, config, console));
  const Effort& effort = options.flag("quick") ? kQuick : kFull;
  EngineTechniques techniques(config, *source.tensors, effort,
                              base_options(effort, TRY(start::dtype_of(options, device.kind))),
                              static_cast<uint64_t>(options.integer("seed")));
  {
    const auto chunked = std::find_if(list.pairs.begin(), list.pairs.end(),
                                      [](const TechniquePair& pair) { return pair.hides; });
    Stage calibrating("looking for a link of 30 % of a serial prefill", console);
    techniques.set_link(options.has("emulate-link")
                            ? TRY(parse_link_speed("--emulate-link", options.text("emulate-link")))
                            : TRY(techniques.calibrate(chunked->before)));
    calibrating.done(techniques.link().to_string());
  }
  std::vector<TechniqueRow> rows;
  for (const TechniquePair& pair : list.pairs) {
    Stage stage(pair.technique, console);
    rows.push_back(TRY(techniques.run(pair)));
    stage.done(fmt::format("x{:.3f}", rows.back().ratio.median));
  }
  TRY(print(context, effort, techniques.link(), device, rows, list.left_out));
  return check_exactness(rows);
}

}  // namespace braid::cli
