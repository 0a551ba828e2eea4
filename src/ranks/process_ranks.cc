#include "ranks/process_ranks.h"

#include <algorithm>
#include <utility>

#include "comm/control/message.h"
#include "ranks/serialization.h"
#include "ranks/step_message.h"
#include "ranks/thread_ranks.h"

namespace braid::ranks {
namespace {

// What rank 0 tells the others: the first byte of its message.
constexpr char kEnd = 'e';  // this is the last message
constexpr char kStep = 's';
constexpr char kWait = 'w';  // wait for the step in flight: rank 0 has no next one to start
constexpr char kQuery = 'i';

// Longer than a collective's timeout, which names the op.
std::chrono::milliseconds patience(const WorkerOptions& options) {
  return options.step_timeout + std::chrono::seconds(2);
}

}  // namespace

Result<std::unique_ptr<RankProcess>> RankProcess::create(const model::ModelConfig& config,
                                                         WorkerOptions options,
                                                         comm::ControlPlane& control) {
  options.model.rank = control.rank();
  if (options.fault_rank != control.rank()) options.fault = {};
  std::unique_ptr<RankProcess> process(new RankProcess(control, options));
  std::vector<comm::Communicator*> ends;
  if (options.device == DeviceKind::cpu) TRY(process->connect(ends));
  auto backend = TRY(make_backend(options, ends, control));
  process->worker_ = TRY(Worker::create(config, options, std::move(backend)));
  process->queries_ = std::make_unique<QueryService>(*process->worker_);
  return process;
}

Status RankProcess::connect(std::vector<comm::Communicator*>& ends) {
  comm::GlooDevice device = TRY(comm::GlooDevice::open(control_));
  for (const layout::RankGroups& communicator : options_.model.layout.communicators) {
    for (const std::vector<int32_t>& members : communicator.groups) {
      if (std::find(members.begin(), members.end(), control_.rank()) == members.end()) continue;
      groups_.push_back(
          TRY(comm::GlooGroup::connect(device, control_, members, options_.step_timeout)));
      ends.push_back(groups_.back().get());
    }
  }
  return {};
}

Status RankProcess::load(const model::TensorSource& source,
                         const std::function<void(int64_t)>& progress) {
  TRY(worker_->load(source, control_.size(), [&](int64_t more) {
    control_.alive();
    if (progress) progress(more);
  }));
  return control_.barrier();
}

Result<std::string> RankProcess::capture() {
  Result<std::string> captured = worker_->capture();
  if (!captured.ok()) control_.fail(Error(captured.error()).with("rank", control_.rank()));
  return captured;
}

Status RankProcess::submit(const layers::StepShape& shape, int64_t step) {
  extended_[static_cast<size_t>(step & 1)] = shape.sampling == layers::Sampling::extended;
  Status submitted = worker_->submit(shape, step);
  if (!submitted.ok()) control_.fail(Error(submitted.error()).with("rank", control_.rank()));
  return submitted;
}

Status RankProcess::wait(int64_t step) {
  Status ended = worker_->wait(step);
  if (!ended.ok()) control_.fail(Error(ended.error()).with("rank", control_.rank()));
  return ended;
}

Result<std::vector<std::string>> RankProcess::gather_sampled(int64_t step) {
  const layout::Mesh& mesh = options_.model.layout.attention;
  if (mesh.sizes[0] == 1) return std::vector<std::string>();
  const bool leads = mesh.coordinates(control_.rank())[1] == 0;
  std::string own = leads ? bytes_of_values(worker_->sampled(step)) : "";
  if (leads && extended_[static_cast<size_t>(step & 1)]) {
    own += bytes_of_values(worker_->logprobs(step));
  }
  return control_.all_gather(
      own, control_.rank() == 0 ? patience(options_) : comm::ControlPlane::kForever);
}

Status RankProcess::follow() {
  for (;;) {
    const std::vector<std::string> told =
        TRY(control_.all_gather("", comm::ControlPlane::kForever));
    const std::string_view message = told[0];
    if (message.starts_with(kStep)) {
      TRY(follow_step(message.substr(1)));
    } else if (message.starts_with(kWait)) {
      TRY(follow_to_end());
    } else if (message.starts_with(kQuery)) {
      TRY(follow_query(message.substr(1)));
    } else {
      return {};
    }
  }
}

Status RankProcess::follow_step(std::string_view told) {
  const layout::Mesh& mesh = options_.model.layout.attention;
  const auto group = static_cast<size_t>(mesh.coordinates(control_.rank())[0]);
  const StepMessage message = TRY(StepMessage::from_bytes(told, mesh.sizes[0]));
  const std::vector<int32_t>& words = message.words[group];
  const std::span<int32_t> room = worker_->host_words(message.step);
  if (words.size() > room.size()) {
    return Error(ErrorKind::fault, "a step has more inputs than this rank has room for")
        .with("words", words.size())
        .with("room", room.size());
  }
  std::copy(words.begin(), words.end(), room.begin());
  TRY(submit(message.shapes[group], message.step));
  TRY(follow_to_end());  // of the step before
  in_flight_ = message.step;
  return message.waits_first ? follow_to_end() : Status();
}

Status RankProcess::follow_to_end() {
  if (in_flight_ == 0) return {};
  const int64_t step = std::exchange(in_flight_, 0);
  TRY(wait(step));
  return gather_sampled(step).status();
}

Status RankProcess::follow_query(std::string_view told) {
  const std::vector<std::string> parts = TRY(comm::unpack(told));
  if (parts.size() != 2) {
    return Error(ErrorKind::fault, "the control plane brought bytes that are not a query")
        .with("parts", parts.size());
  }
  const std::vector<int32_t> ranks = TRY(values_of_bytes<int32_t>(parts[0]));
  return answer(ranks, TRY(RankQuery::from_bytes(parts[1]))).status();
}

Result<std::vector<std::string>> RankProcess::answer(const std::vector<int32_t>& ranks,
                                                     const RankQuery& query) {
  std::string own;
  if (std::find(ranks.begin(), ranks.end(), control_.rank()) != ranks.end()) {
    Result<std::string> said = queries_->answer(query);
    if (!said.ok()) control_.fail(Error(said.error()).with("rank", control_.rank()));
    own = std::move(*said);
  }
  return gather_answers(own);
}

// Answers come in pieces that the control plane carries, as many as the longest one has.
Result<std::vector<std::string>> RankProcess::gather_answers(std::string_view own) {
  const auto size = static_cast<size_t>(control_.size());
  const size_t piece = comm::kMaxMessageBytes / 2 / size;
  std::vector<std::string> answers(size);
  const auto wait = control_.rank() == 0 ? patience(options_) : comm::ControlPlane::kForever;
  for (size_t sent = 0, longest = 1; sent < longest; sent += piece) {
    const auto own_bytes = static_cast<int64_t>(own.size());
    const std::string_view part = own.substr(std::min(sent, own.size()), piece);
    const std::vector<std::string> parts = TRY(
        control_.all_gather(bytes_of_values<int64_t>({&own_bytes, 1}) + std::string(part), wait));
    for (size_t rank = 0; rank < size; ++rank) {
      const std::string_view said = parts[rank];
      const auto total = TRY(values_of_bytes<int64_t>(said.substr(0, sizeof(int64_t))));
      if (total.empty()) return Error(ErrorKind::fault, "an answer has no length");
      longest = std::max(longest, static_cast<size_t>(total[0]));
      if (control_.rank() == 0) answers[rank] += said.substr(sizeof(int64_t));
    }
  }
  return answers;
}

ProcessRanks::ProcessRanks(const WorkerOptions& options, std::unique_ptr<RankProcess> own)
    : Ranks(options.model.layout), own_(std::move(own)) {
  const size_t room = own_->worker().host_words(0).size();
  const auto groups = static_cast<size_t>(num_groups());
  words_.assign(groups, std::vector<int32_t>(room));
  shared_.resize(groups);
  sampled_.resize(groups);
}

Result<std::unique_ptr<Ranks>> ProcessRanks::create(const model::ModelConfig& config,
                                                    const WorkerOptions& options,
                                                    comm::ControlPlane& control) {
  auto own = TRY(RankProcess::create(config, options, control));
  return std::unique_ptr<Ranks>(new ProcessRanks(options, std::move(own)));
}

ProcessRanks::~ProcessRanks() { (void)tell(kEnd, ""); }

Status ProcessRanks::tell(char what, std::string_view bytes) {
  return own_->control_.all_gather(what + std::string(bytes), patience(own_->options_)).status();
}

std::span<int32_t> ProcessRanks::words(int32_t group, int64_t /*step*/) {
  return words_[static_cast<size_t>(group)];
}

void ProcessRanks::share_inputs(int64_t step, int32_t group, int64_t words) {
  shared_[static_cast<size_t>(group)] = words;
  if (group != 0) return;
  const auto& from = words_[0];
  std::copy(from.begin(), from.begin() + words, own_->worker().host_words(step).begin());
}

Status ProcessRanks::submit(std::span<const layers::StepShape> shapes, int64_t step, Order order) {
  StepMessage message{.step = step,
                      .waits_first = order == Order::waits_first,
                      .shapes = {shapes.begin(), shapes.end()},
                      .words = {}};
  for (size_t group = 0; group < words_.size(); ++group) {
    const auto& words = words_[group];
    message.words.emplace_back(words.begin(), words.begin() + shared_[group]);
  }
  TRY(tell(kStep, message.to_bytes()));
  last_ = step;
  order_ = order;
  return own_->submit(shapes[0], step);
}

Status ProcessRanks::wait(int64_t step) {
  if (step == last_ && order_ == Order::submits_next) TRY(tell(kWait, ""));
  TRY(own_->wait(step));
  const std::vector<std::string> all = TRY(own_->gather_sampled(step));
  for (int32_t group = 1; group < num_groups(); ++group) {
    sampled_[static_cast<size_t>(group)] =
        TRY(values_of_bytes<int32_t>(all[static_cast<size_t>(leader_of(group))]));
  }
  return {};
}

std::span<const int32_t> ProcessRanks::sampled(int32_t group, int64_t step) {
  if (group == 0) return own_->worker().sampled(step);
  return sampled_[static_cast<size_t>(group)];
}

std::span<const int32_t> ProcessRanks::logprobs(int32_t group, int64_t step) {
  if (group == 0) return own_->worker().logprobs(step);
  const std::span<const int32_t> gathered = sampled_[static_cast<size_t>(group)];
  return gathered.subspan(own_->worker().sampled(step).size());
}

Result<std::vector<std::string>> ProcessRanks::ask(const std::vector<int32_t>& ranks,
                                                   const RankQuery& query) {
  if (ranks == std::vector<int32_t>{0}) {
    return std::vector<std::string>{TRY(own_->queries_->answer(query))};
  }
  TRY(tell(kQuery, comm::pack({bytes_of_values<int32_t>(ranks), query.to_bytes()})));
  std::vector<std::string> all = TRY(own_->answer(ranks, query));
  std::vector<std::string> answers;
  for (const int32_t rank : ranks) answers.push_back(std::move(all[static_cast<size_t>(rank)]));
  return answers;
}

}  // namespace braid::ranks
