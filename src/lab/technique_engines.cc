#include "lab/technique_engines.h"

#include <algorithm>

#include "base/progress.h"
#include "engine/block_pool.h"
#include "lab/engine_runs.h"
#include "lab/paired_engines.h"

namespace braid::lab {
namespace {

using start::EngineOptions;

constexpr int32_t kRequests = kTechniqueRequests;
constexpr double kLinkShare = 0.3;        // of a serial prefill that communication takes
constexpr double kLinkLatency = 20;       // microseconds
constexpr int64_t kExactnessTokens = 96;  // whose logits are compared

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
                   const TechniqueEffort& effort, const EngineOptions& base, uint64_t seed)
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
    const double compute = estimate(times[0].prefill).median;
    const double link = paired_difference(times[1].prefill, times[0].prefill).median;
    const double wanted = kLinkShare / (1 - kLinkShare) * compute;
    return LinkSpeed{
        .bytes_per_second = std::clamp(kProbe.bytes_per_second * link / wanted, 1e6, 1e12),
        .latency_us = kLinkLatency};
  }

  Result<TechniqueRow> run(const TechniquePair& pair) {
    const EngineOptions before = of_side(base_, pair.before), after = of_side(base_, pair.after);
    std::vector<EngineVariant> variants = {{"before", before}, {"after", after}};
    if (pair.hides) {
      variants.push_back({"before, no link", before});
      variants.back().options.worker.link.reset();
    }
    const auto times = TRY(time(std::move(variants)));
    const auto samples = [&](size_t variant) -> const std::vector<double>& {
      return pair.phase == Phase::prefill ? times[variant].prefill : times[variant].decode;
    };
    TechniqueRow row{.pair = pair,
                     .before = estimate(samples(0)),
                     .after = estimate(samples(1)),
                     .ratio = paired_ratio(samples(0), samples(1)),
                     .error = TRY(error_of(before, after))};
    row.equal = row.error == 0;
    if (pair.hides) row.hidden = hidden_share(samples(0), samples(1), samples(2));
    return row;
  }

 private:
  Result<std::vector<EngineTimes>> time(std::vector<EngineVariant> variants) {
    const auto engines = TRY(PairedEngines::create(config_, std::move(variants), source_));
    return engines->time(requests_, effort_.rounds, seed_);
  }

  // The share of the time added by links that overlap takes away again.
  static Estimate hidden_share(std::span<const double> serial, std::span<const double> overlapped,
                               std::span<const double> compute) {
    std::vector<double> shares;
    for (size_t i = 0; i < serial.size(); ++i) {
      shares.push_back((serial[i] - overlapped[i]) / (serial[i] - compute[i]));
    }
    return estimate(shares);
  }

  Result<double> error_of(const EngineOptions& before, const EngineOptions& after) {
    const std::span<const int32_t> prompt = requests_.front().prompt;
    const auto ids = prompt.first(std::min(prompt.size(), size_t{kExactnessTokens}));
    const auto expected = TRY(logits_under(config_, before, source_, ids));
    const auto found = TRY(logits_under(config_, after, source_, ids));
    return relative_error(found, expected);
  }

  const model::ModelConfig& config_;
  const model::TensorSource& source_;
  const TechniqueEffort effort_;
  EngineOptions base_;
  const uint64_t seed_;
  std::vector<engine::Request> requests_;
};

// An engine just large enough for the requests.
EngineOptions base_options(const TechniqueEffort& effort, Format dtype) {
  EngineOptions options{.context_length = effort.input_len + effort.output_len,
                        .max_running = kRequests,
                        .chunked_prefill_size = kRequests * effort.input_len};
  options.num_blocks =
      kRequests * (engine::blocks_for(options.context_length, options.page_size) + 1);
  options.worker.model.dtype = dtype;
  return options;
}

}  // namespace

Result<EngineTechniqueRows> compare_engines(const EngineTechniqueSetting& setting,
                                            Console& console) {
  const EnginePairs list = TRY(engine_pairs(setting.config));
  EngineTechniques techniques(setting.config, setting.source, setting.effort,
                              base_options(setting.effort, setting.dtype), setting.seed);
  {
    const auto chunked = std::find_if(list.pairs.begin(), list.pairs.end(),
                                      [](const TechniquePair& pair) { return pair.hides; });
    Stage calibrating("looking for a link of 30 % of a serial prefill", console);
    techniques.set_link(setting.link ? *setting.link : TRY(techniques.calibrate(chunked->before)));
    calibrating.done(techniques.link().to_string());
  }
  EngineTechniqueRows found{.link = techniques.link(), .rows = {}, .left_out = list.left_out};
  for (const TechniquePair& pair : list.pairs) {
    if (setting.ends_early && setting.ends_early()) break;
    Stage stage(
        fmt::format("{} ({} of {})", pair.technique, found.rows.size() + 1, list.pairs.size()),
        console);
    found.rows.push_back(TRY(techniques.run(pair)));
    stage.done(fmt::format("x{:.3f}", found.rows.back().ratio.median));
  }
  return found;
}

}  // namespace braid::lab
