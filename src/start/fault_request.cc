#include "base/text_parts.h"
#include "start/rank_setting.h"

namespace braid::start {

Result<FaultRequest> parse_fault(std::string_view text) {
  const auto parts = split(text, ':');
  const Error wrong = Error(ErrorKind::usage, "a fault is KIND:RANK:STEP:OP")
                          .with("--inject-fault", text)
                          .remedy("KIND is kill, hang, skip or fail; the others are numbers.");
  if (parts.size() != 4) return wrong;
  FaultRequest request;
  if (parts[0] == "kill") request.fault.kind = flow::FaultKind::kill;
  if (parts[0] == "hang") request.fault.kind = flow::FaultKind::hang;
  if (parts[0] == "skip") request.fault.kind = flow::FaultKind::skip;
  if (parts[0] == "fail") request.fault.kind = flow::FaultKind::fail;
  const auto rank = parse_number(parts[1]);
  const auto step = parse_number(parts[2]);
  const auto op = parse_number(parts[3]);
  const bool right =
      request.fault.kind != flow::FaultKind::none && rank.ok() && step.ok() && op.ok();
  if (!right) return wrong;
  request.rank = static_cast<int32_t>(*rank);
  request.fault.step = *step;
  request.fault.op = static_cast<int32_t>(*op);
  return request;
}

}  // namespace braid::start
