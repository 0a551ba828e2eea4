#include "ranks/step_message.h"

#include "ranks/serialization.h"

namespace braid::ranks {
namespace {

constexpr size_t kHeadWords = 3;  // the step's number in two words, and whether rank 0 waits
// Four row counts, the sampling, and how many words of inputs follow.
constexpr size_t kWordsOfAGroup = 6;

Error no_step(size_t words) {
  return Error(ErrorKind::fault, "the control plane brought bytes that are not a step")
      .with("words", words);
}

}  // namespace

std::string StepMessage::to_bytes() const {
  std::vector<int32_t> all = {static_cast<int32_t>(step), static_cast<int32_t>(step >> 32),
                              waits_first ? 1 : 0};
  for (size_t group = 0; group < shapes.size(); ++group) {
    const layers::StepShape& shape = shapes[group];
    for (const layers::RowCounts& rows : {shape.own, shape.group}) {
      all.push_back(rows.decode);
      all.push_back(rows.prefill);
    }
    all.push_back(static_cast<int32_t>(shape.sampling));
    all.push_back(static_cast<int32_t>(words[group].size()));
  }
  for (const std::vector<int32_t>& of_group : words) {
    all.insert(all.end(), of_group.begin(), of_group.end());
  }
  return bytes_of_values<int32_t>(all);
}

Result<StepMessage> StepMessage::from_bytes(std::string_view bytes, int32_t groups) {
  const std::vector<int32_t> all = TRY(values_of_bytes<int32_t>(bytes));
  StepMessage message;
  if (all.size() < kHeadWords) return no_step(all.size());
  message.step = (int64_t{all[1]} << 32) | static_cast<uint32_t>(all[0]);
  message.waits_first = all[2] != 0;
  size_t at = kHeadWords + kWordsOfAGroup * static_cast<size_t>(groups);
  if (all.size() < at) return no_step(all.size());
  for (size_t group = 0; group < static_cast<size_t>(groups); ++group) {
    const int32_t* head = &all[kHeadWords + kWordsOfAGroup * group];
    const layers::Sampling sampling =
        head[4] == 0 ? layers::Sampling::plain : layers::Sampling::extended;
    message.shapes.push_back({{head[0], head[1]}, {head[2], head[3]}, sampling});
    const int32_t count = head[5];
    if (head[4] < 0 || head[4] > 1) return no_step(all.size());
    if (count < 0 || all.size() - at < static_cast<size_t>(count)) return no_step(all.size());
    const auto first = all.begin() + static_cast<int64_t>(at);
    message.words.emplace_back(first, first + count);
    at += static_cast<size_t>(count);
  }
  return at == all.size() ? Result<StepMessage>(std::move(message)) : no_step(all.size());
}

}  // namespace braid::ranks
