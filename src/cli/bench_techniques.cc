// braid bench techniques: each of the five techniques against what it replaces, in one table.
#include <algorithm>

#include "base/json.h"
#include "base/progress.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/technique_pairs.h"
#include "engine/paired_engines.h"
#include "model/checkpoint_source.h"
#include "model/dummy_source.h"

namespace braid::cli {
namespace {

using engine::EngineOptions;
using engine::Estimate;

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

struct Row {
  TechniquePair pair;
  Estimate before;  // seconds
  Estimate after;
  Estimate ratio;  // before / after
  std::optional<Estimate> hidden;
  double error = 0;  // relative, of the logits against before's; 0: bitwise equal

  bool exact() const { return error <= (pair.bitwise ? 0 : pair.bound); }
};

// Runs pairs on one model.
class Techniques {
 public:
  Techniques(const model::ModelConfig& config, const model::TensorSource& source,
             const Effort& effort, uint64_t seed)
      : config_(config), source_(source), effort_(effort), seed_(seed) {
    for (int32_t i = 0; i < kRequests; ++i) {
      requests_.push_back(random_request(config.vocab_size, effort.input_len, effort.output_len,
                                         seed + static_cast<uint64_t>(i)));
    }
  }

  // Links so slow that communication takes kLinkShare of a serial prefill at tp 2, whatever the
  // machine's speed.
  Result<LinkSpeed> calibrate(const EngineOptions& base) {
    constexpr LinkSpeed kProbe{.bytes_per_second = 5e7, .latency_us = kLinkLatency};
    EngineOptions without = base;
    without.layout = {.tp = kTechniqueRanks, .ep = 1, .dp = 1};
    EngineOptions with = without;
    with.worker.link = kProbe;
    const auto times = TRY(time({{"without", without}, {"with", with}}));
    const double compute = engine::estimate(times[0].prefill).median;
    const double link = engine::paired_difference(times[1].prefill, times[0].prefill).median;
    const double wanted = kLinkShare / (1 - kLinkShare) * compute;
    return LinkSpeed{
        .bytes_per_second = std::clamp(kProbe.bytes_per_second * link / wanted, 1e6, 1e12),
        .latency_us = kLinkLatency};
  }

  Result<Row> run(const TechniquePair& pair) {
    std::vector<engine::EngineVariant> variants = {{"before", pair.before}, {"after", pair.after}};
    if (pair.hides) {
      variants.push_back({"before, no link", pair.before});
      variants.back().options.worker.link.reset();
    }
    const auto times = TRY(time(std::move(variants)));
    const auto samples = [&](size_t variant) -> const std::vector<double>& {
      return pair.phase == Phase::prefill ? times[variant].prefill : times[variant].decode;
    };
    Row row{.pair = pair,
            .before = engine::estimate(samples(0)),
            .after = engine::estimate(samples(1)),
            .ratio = engine::paired_ratio(samples(0), samples(1)),
            .hidden = {},
            .error = TRY(error_of(pair))};
    if (pair.hides) row.hidden = hidden_share(samples(0), samples(1), samples(2));
    return row;
  }

 private:
  Result<std::vector<engine::EngineTimes>> time(std::vector<engine::EngineVariant> variants) {
    const auto engines = TRY(engine::PairedEngines::create(config_, std::move(variants), source_));
    return engines->time(requests_, effort_.rounds, seed_);
  }

  // Of the time that links add to serial execution, how much overlap takes away again.
  static Estimate hidden_share(std::span<const double> serial, std::span<const double> overlapped,
                               std::span<const double> compute) {
    std::vector<double> shares;
    for (size_t i = 0; i < serial.size(); ++i) {
      shares.push_back((serial[i] - overlapped[i]) / (serial[i] - compute[i]));
    }
    return engine::estimate(shares);
  }

  Result<double> error_of(const TechniquePair& pair) {
    const std::span<const int32_t> prompt = requests_.front().prompt;
    const auto ids = prompt.first(std::min(prompt.size(), size_t{kExactnessTokens}));
    const auto before = TRY(engine::logits_under(config_, pair.before, source_, ids));
    const auto after = TRY(engine::logits_under(config_, pair.after, source_, ids));
    return engine::relative_error(after, before);
  }

  const model::ModelConfig& config_;
  const model::TensorSource& source_;
  const Effort effort_;
  const uint64_t seed_;
  std::vector<engine::Request> requests_;
};

Result<std::unique_ptr<model::TensorSource>> open_source(const ParsedOptions& options,
                                                         const model::ModelConfig& config) {
  if (options.text("load-format") == "dummy") {
    return std::unique_ptr<model::TensorSource>(
        std::make_unique<model::DummySource>(options.integer("seed"), model::SourceOptions{}));
  }
  model::Checkpoint checkpoint = TRY(model::Checkpoint::open(options.text("model")));
  return std::unique_ptr<model::TensorSource>(std::make_unique<model::CheckpointSource>(
      std::move(checkpoint), config.quantization, model::SourceOptions{}));
}

// Two ranks as large as the requests need, with every technique off.
EngineOptions base_options(const Effort& effort) {
  EngineOptions options{.context_length = effort.input_len + effort.output_len,
                        .max_running = kRequests,
                        .chunked_prefill_size = kRequests * effort.input_len};
  options.num_blocks =
      kRequests * (engine::blocks_for(options.context_length, options.page_size) + 1);
  options.worker.passes.dual_stream.mode = passes::Switch::off;
  options.worker.passes.chunks.chunks = 1;
  options.worker.passes.quantize_dispatch.dtype = passes::DispatchDtype::unquantized;
  options.worker.passes.heat.mode = passes::Switch::off;
  return options;
}

std::string exactness(const Row& row) {
  const std::string said =
      row.error == 0 ? "bitwise equal" : fmt::format("error {:.1e}", row.error);
  return row.exact() ? said : said + ": TOO LARGE";
}

std::string table(std::span<const Row> rows) {
  std::string text = fmt::format("{:<20}{:>12}{:>12}{:>24}{:>22}  {}\n", "technique", "serial ms",
                                 "with it ms", "times as fast", "share hidden", "results");
  for (const Row& row : rows) {
    const std::string hidden =
        row.hidden ? fmt::format("{:.0f} % [{:.0f}, {:.0f}]", 1e2 * row.hidden->median,
                                 1e2 * row.hidden->low, 1e2 * row.hidden->high)
                   : "";
    const std::string ratio =
        fmt::format("x{:.3f} [{:.3f}, {:.3f}]", row.ratio.median, row.ratio.low, row.ratio.high);
    text +=
        fmt::format("{:<20}{:>12.2f}{:>12.2f}{:>24}{:>22}  {}\n", row.pair.technique,
                    1e3 * row.before.median, 1e3 * row.after.median, ratio, hidden, exactness(row));
    text += fmt::format("  {}\n  published: {}\n", row.pair.setting, row.pair.published);
  }
  return text;
}

Json to_json(const Estimate& estimate) {
  return {{"median", estimate.median}, {"low", estimate.low}, {"high", estimate.high}};
}

Json to_json(const Row& row) {
  return {{"technique", row.pair.technique},
          {"setting", row.pair.setting},
          {"before_seconds", to_json(row.before)},
          {"after_seconds", to_json(row.after)},
          {"ratio", to_json(row.ratio)},
          {"hidden", row.hidden ? to_json(*row.hidden) : Json()},
          {"error", row.error},
          {"published", row.pair.published}};
}

}  // namespace

Result<Outcome> bench_techniques(const Context& context) {
  const ParsedOptions& options = context.options;
  Console& console = context.streams.console;
  const std::string overrides =
      options.has("json-model-override-args") ? options.text("json-model-override-args") : "";
  const auto config = TRY(model::load_config(options.text("model"), overrides));
  const auto source = TRY(open_source(options, config));
  const Effort& effort = options.flag("quick") ? kQuick : kFull;
  EngineOptions base = base_options(effort);
  const std::string& dtype = options.text("dtype");
  base.worker.model.dtype = dtype == "auto" ? Format::f32 : TRY(parse_dtype(dtype));
  Techniques techniques(config, *source, effort, static_cast<uint64_t>(options.integer("seed")));
  Stage calibrating("looking for a link of 30 % of a serial prefill", console);
  base.worker.link = options.has("emulate-link")
                         ? TRY(parse_link_speed("--emulate-link", options.text("emulate-link")))
                         : TRY(techniques.calibrate(base));
  calibrating.done(base.worker.link->to_string());
  std::vector<Row> rows;
  for (const TechniquePair& pair : TRY(technique_pairs(base, config))) {
    Stage stage(pair.technique, console);
    rows.push_back(TRY(techniques.run(pair)));
    stage.done(fmt::format("x{:.3f}", rows.back().ratio.median));
  }
  if (options.flag("json")) {
    Json json = {{"link", base.worker.link->to_string()},
                 {"input_len", effort.input_len},
                 {"output_len", effort.output_len},
                 {"rounds", effort.rounds},
                 {"techniques", Json::array()}};
    for (const Row& row : rows) json["techniques"].push_back(to_json(row));
    TRY(context.streams.out.json_line(json));
  } else {
    TRY(context.streams.out.line(fmt::format(
        "{} ranks (threads) over emulated links of {}; {} requests of {} + {} tokens, {} rounds in "
        "random order, medians with 95 % intervals",
        kTechniqueRanks, base.worker.link->to_string(), kRequests, effort.input_len,
        effort.output_len, effort.rounds)));
    TRY(context.streams.out.write(table(rows)));
  }
  const auto wrong = std::find_if(rows.begin(), rows.end(), [](auto& row) { return !row.exact(); });
  if (wrong == rows.end()) return Outcome::success;
  return Error(ErrorKind::internal, "a technique changes the results by more than it may")
      .with("technique", wrong->pair.technique)
      .with("error", wrong->error)
      .with("bound", wrong->pair.bitwise ? 0 : wrong->pair.bound);
}

}  // namespace braid::cli
