#include "cli/profile_page.h"

#include <algorithm>
#include <limits>
#include <map>
#include <unordered_map>

#include "base/json.h"
#include "cli/page.h"
#include "cli/profile_table.h"

namespace braid::cli {
namespace {

using lab::Module;
using lab::PhaseReport;
using lab::Profile;
using lab::StepWindow;

using flow::Program;
using flow::Timeline;
using flow::TimelineEvent;

// Texts that many ops share.
class Strings {
 public:
  size_t index_of(const std::string& text) {
    const auto [found, added] = indices_.try_emplace(text, all_.size());
    if (added) all_.push_back(text);
    return found->second;
  }
  const std::vector<std::string>& all() const { return all_; }

 private:
  std::unordered_map<std::string, size_t> indices_;
  std::vector<std::string> all_;
};

// "in: x [4, 256] f32", a line each.
std::string operands_of(const Program& program, const flow::Op& op) {
  std::string text;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (!op.operands[i].present()) continue;
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", op.kind().operands[i].name,
                        program.describe(op.operands[i]));
  }
  return text;
}

// The ops of one rank's Schedules, each Schedule once, one behind the other.
class RankOps {
 public:
  RankOps(const Timeline& timeline, Strings& strings) {
    for (const auto& [number, step] : timeline.steps) {
      if (first_.try_emplace(step.schedule, ops_.size()).second) add(*step.schedule, strings);
    }
  }

  int64_t index_of(const flow::Schedule* schedule, int32_t op) const {
    return static_cast<int64_t>(first_.at(schedule)) + op;
  }
  Json take() { return std::move(ops_); }

 private:
  void add(const flow::Schedule& schedule, Strings& strings) {
    const auto first = static_cast<int64_t>(ops_.size());
    const Program& program = schedule.program;
    for (size_t i = 0; i < program.ops.size(); ++i) {
      const flow::Op& op = program.ops[i];
      const flow::Work work = program.work_of(op);
      Json waits = Json::array();
      for (const int32_t awaited : schedule.waits[i]) waits.push_back(first + awaited);
      ops_.push_back({strings.index_of(std::string(op.kind().name)),
                      strings.index_of(op.scope.to_string()),
                      strings.index_of(std::string(name_of(lab::module_of(op)))),
                      strings.index_of(operands_of(program, op)), work.flop, work.bytes,
                      work.link_bytes, std::move(waits)});
    }
  }

  std::map<const flow::Schedule*, size_t> first_;  // index of its first op
  Json ops_ = Json::array();
};

// A step's phase and its place in it.
using Places = std::map<int64_t, std::array<size_t, 2>>;

Places places_of(const std::vector<PhaseReport>& phases) {
  Places places;
  for (size_t phase = 0; phase < phases.size(); ++phase) {
    for (size_t i = 0; i < phases[phase].windows.size(); ++i) {
      places[phases[phase].windows[i].step] = {phase, i};
    }
  }
  return places;
}

Json rank_data(const Timeline& timeline, const std::vector<PhaseReport>& phases, int64_t origin,
               Strings& strings) {
  const Places places = places_of(phases);
  RankOps ops(timeline, strings);
  Json events = Json::array();
  for (const TimelineEvent& event : timeline.events) {
    const auto [phase, step] = places.at(event.step);
    events.push_back({phase, step, ops.index_of(timeline.steps.at(event.step).schedule, event.op),
                      flow::index_of(event.lane), event.start_ns - origin,
                      event.end_ns - event.start_ns});
  }
  Json exposed = Json::array();
  for (const PhaseReport& phase : phases) {
    for (const StepWindow& window : phase.windows) {
      const auto found = flow::moments(timeline.events, window.from_ns, window.to_ns);
      for (const auto& [start, end] : flow::exposed_intervals(found)) {
        exposed.push_back(start - origin);
        exposed.push_back(end - origin);
      }
    }
  }
  return {{"rank", timeline.rank},
          {"ops", ops.take()},
          {"events", std::move(events)},
          {"exposed", std::move(exposed)}};
}

Json meeting_data(const Profile& profile) {
  Json all = Json::array();
  for (const flow::Meeting& meeting : profile.meetings) {
    Json& row = all.emplace_back(Json::array());
    row.push_back(meeting.members[meeting.last].timeline);
    for (const flow::Meeting::Member& member : meeting.members) {
      row.push_back(member.timeline);
      row.push_back(member.event);
    }
  }
  return all;
}

Json phase_data(const PhaseReport& phase, const cost::Decisions& decisions, int64_t origin) {
  Json json = to_json(phase);
  json["steps"] = Json::array();
  for (const StepWindow& window : phase.windows) {
    json["steps"].push_back({window.step, window.from_ns - origin, window.to_ns - origin});
  }
  json["decisions"] = Json::array();
  for (const cost::Decision& decision : decisions) {
    json["decisions"].push_back({decision.pass, decision.choice, decision.why()});
  }
  return json;
}

std::string replace_once(std::string text, std::string_view what, std::string_view by) {
  const size_t place = text.find(what);
  BRAID_CHECK(place != std::string::npos, "(no {} in the page)", what);
  return text.replace(place, what.size(), by);
}

}  // namespace

Json page_data(const Profile& profile, const std::vector<PhaseReport>& phases,
               const PageFacts& facts) {
  int64_t origin = std::numeric_limits<int64_t>::max();
  for (const PhaseReport& phase : phases) origin = std::min(origin, phase.windows.front().from_ns);
  Strings strings;
  Json ranks = Json::array();
  for (const Timeline& timeline : profile.timelines) {
    ranks.push_back(rank_data(timeline, phases, origin, strings));
  }
  Json data = {{"model", facts.model},
               {"facts", facts.facts},
               {"ranks", std::move(ranks)},
               {"meetings", meeting_data(profile)}};
  for (size_t i = 0; i < phases.size(); ++i) {
    data["phases"].push_back(phase_data(phases[i], facts.decisions[i], origin));
  }
  for (size_t i = 0; i < lab::kNumModules; ++i) {
    data["modules"].push_back(name_of(static_cast<Module>(i)));
  }
  for (const flow::Lane lane : flow::kLanes) data["lanes"].push_back(name_of(lane));
  data["strings"] = strings.all();
  return data;
}

std::string make_page(const Json& data) {
  // No text of a model may end the element that holds the data.
  std::string json;
  for (const char c : data.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (c == '<') {
      json += "\\u003c";
    } else {
      json += c;
    }
  }
  std::string page = replace_once(std::string(page::kHtml), "/*style*/", page::kCss);
  page = replace_once(std::move(page), "/*script*/", page::kScript);
  return replace_once(std::move(page), "/*data*/", json);
}

}  // namespace braid::cli
