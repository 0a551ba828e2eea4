#include "engine/process_ranks.h"

#include <algorithm>

#include "engine/step_message.h"
#include "engine/thread_ranks.h"

namespace braid::engine {
namespace {

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
  return process;
}

Status RankProcess::connect(std::vector<comm::Communicator*>& ends) {
  comm::GlooDevice device = TRY(comm::GlooDevice::open(control_));
  for (const layout::Communicator& communicator : options_.model.layout.communicators) {
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
  TRY(worker_->load(source, progress));
  return control_.barrier();
}

Status RankProcess::run(const layers::StepShape& shape, int64_t step) {
  const Status ran = worker_->run(shape, step);
  if (!ran.ok()) control_.fail(Error(ran.error()).with("rank", control_.rank()));
  return ran;
}

Result<std::vector<std::string>> RankProcess::gather_sampled(int64_t step) {
  const layout::Mesh& mesh = options_.model.layout.attention;
  if (mesh.sizes[0] == 1) return std::vector<std::string>();
  const bool leads = mesh.coordinates(control_.rank())[1] == 0;
  const std::string own = leads ? bytes_of_words(worker_->sampled(step)) : "";
  return control_.all_gather(
      own, control_.rank() == 0 ? patience(options_) : std::chrono::milliseconds(0));
}

Status RankProcess::follow() {
  const layout::Mesh& mesh = options_.model.layout.attention;
  const auto group = static_cast<size_t>(mesh.coordinates(control_.rank())[0]);
  for (;;) {
    const std::vector<std::string> told = TRY(control_.all_gather(""));
    const StepMessage message = TRY(StepMessage::from_bytes(told[0], mesh.sizes[0]));
    if (message.step == 0) return {};
    const std::vector<int32_t>& words = message.words[group];
    const std::span<int32_t> room = worker_->host_words(message.step);
    if (words.size() > room.size()) {
      return Error(ErrorKind::fault, "a step has more inputs than this rank has room for")
          .with("words", words.size())
          .with("room", room.size());
    }
    std::copy(words.begin(), words.end(), room.begin());
    TRY(run(message.shapes[group], message.step));
    TRY(gather_sampled(message.step));
  }
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

ProcessRanks::~ProcessRanks() {
  (void)own_->control_.all_gather(StepMessage{}.to_bytes(), patience(own_->options_));
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

Status ProcessRanks::run(std::span<const layers::StepShape> shapes, int64_t step) {
  StepMessage message{.step = step, .shapes = {shapes.begin(), shapes.end()}, .words = {}};
  for (size_t group = 0; group < words_.size(); ++group) {
    const auto& words = words_[group];
    message.words.emplace_back(words.begin(), words.begin() + shared_[group]);
  }
  TRY(own_->control_.all_gather(message.to_bytes(), patience(own_->options_)));
  TRY(own_->run(shapes[0], step));
  const std::vector<std::string> all = TRY(own_->gather_sampled(step));
  for (int32_t group = 1; group < num_groups(); ++group) {
    sampled_[static_cast<size_t>(group)] =
        TRY(words_of_bytes(all[static_cast<size_t>(leader_of(group))]));
  }
  return {};
}

std::span<const int32_t> ProcessRanks::sampled(int32_t group, int64_t step) {
  if (group == 0) return own_->worker().sampled(step);
  return sampled_[static_cast<size_t>(group)];
}

void ProcessRanks::set_execution(bool serial, flow::Delays delays) {
  own_->worker().set_execution(serial, delays);
}

}  // namespace braid::engine
