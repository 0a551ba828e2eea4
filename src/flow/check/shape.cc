// Whether a Schedule is one that can be checked at all, and whether its summary is true.
#include <fmt/format.h>

#include <map>

#include "flow/check/access.h"

namespace braid::flow::check {

ResidentSpaces::ResidentSpaces(const Program& program) : of_buffer(program.buffers.size(), -1) {
  std::map<ResidentKey, int32_t> numbers;
  for (size_t i = 0; i < program.buffers.size(); ++i) {
    const Buffer& buffer = program.buffers[i];
    if (buffer.lifetime == Lifetime::step) continue;
    const auto [entry, fresh] = numbers.try_emplace({buffer.resident, buffer.owner},
                                                    static_cast<int32_t>(first_buffer.size()));
    if (fresh) first_buffer.push_back(static_cast<int32_t>(i));
    of_buffer[i] = entry->second;
  }
}

std::string rows_text(const Buffer& buffer, int64_t first_byte, int64_t last_byte) {
  const int64_t row = std::max<int64_t>(buffer.row_bytes, 1);
  return fmt::format("[{}, {})", first_byte / row, (last_byte + row - 1) / row);
}

std::string op_text(const Program& program, int32_t op) {
  return fmt::format("op {} ({})", op, program.describe(op_at(program, op)));
}

namespace {

Error malformed(const std::string& what) {
  return Error(ErrorKind::internal, "a Schedule is malformed: " + what);
}

bool in_range(int32_t index, size_t size) {
  return index >= 0 && static_cast<size_t>(index) < size;
}

Status check_buffers(const Schedule& schedule) {
  const Program& program = schedule.program;
  if (schedule.buffers.size() != program.buffers.size()) return malformed("places of buffers");
  const ResidentSpaces spaces(program);
  for (size_t i = 0; i < program.buffers.size(); ++i) {
    const Buffer& buffer = program.buffers[i];
    if (buffer.rows < 0 || buffer.row_bytes < 0) {
      return malformed("a buffer's size").with("buffer", buffer.label);
    }
    if (buffer.lifetime == Lifetime::step) continue;
    if (buffer.resident < 0 || buffer.copies < 1 || buffer.copies > 2) {
      return malformed("a resident's number or copies").with("buffer", buffer.label);
    }
    const auto first = static_cast<size_t>(spaces.of_buffer[i]);
    const Buffer& like = buffer_at(program, spaces.first_buffer[first]);
    if (like.lifetime != buffer.lifetime || like.copies != buffer.copies ||
        like.row_bytes != buffer.row_bytes) {
      return malformed("two buffers describe one resident differently")
          .with("first", like.label)
          .with("second", buffer.label);
    }
  }
  return {};
}

Status check_values(const Program& program) {
  for (const ValueInfo& value : program.values) {
    if (!in_range(value.buffer, program.buffers.size())) return malformed("a value's buffer");
    if (value.count.id >= 0 && !in_range(value.count.id, program.values.size())) {
      return malformed("a value's count");
    }
    const Buffer& buffer = buffer_at(program, value.buffer);
    const int64_t last_row = value.first_row + value.region_rows;
    if (value.first_row < 0 || value.region_rows < 0 || last_row > buffer.rows) {
      return malformed("a Region lies outside its buffer")
          .with("buffer", buffer.label)
          .with("rows", fmt::format("[{}, {})", value.first_row, last_row))
          .with("buffer rows", buffer.rows);
    }
    if (value.rows <= 0 || value.cols <= 0) continue;
    const int64_t end =
        value.offset + (value.rows - 1) * value.stride + value.cols * bytes_of(value.format);
    if (value.offset < value.first_row * buffer.row_bytes || end > last_row * buffer.row_bytes) {
      return malformed("a view reaches outside the Region that it declares")
          .with("buffer", buffer.label)
          .with("rows", fmt::format("[{}, {})", value.first_row, last_row))
          .with("row bytes", buffer.row_bytes)
          .with("view bytes", fmt::format("[{}, {})", value.offset, end));
    }
  }
  return {};
}

Status check_place(const Schedule& schedule, const Extent& place, int64_t bytes, int32_t op,
                   std::string_view label) {
  const bool inside = place.offset >= 0 && place.bytes >= bytes &&
                      place.offset + place.bytes <= schedule.workspace_bytes;
  if (inside) return {};
  return Error(ErrorKind::internal, place.offset < 0 ? "a step buffer has no place in the workspace"
                                                     : "a place reaches outside the workspace")
      .with("buffer", label)
      .with("bytes", bytes)
      .with("place", fmt::format("[{}, {})", place.offset, place.offset + place.bytes))
      .with("workspace", schedule.workspace_bytes)
      .with("op", op_text(schedule.program, op));
}

Status check_op(const Schedule& schedule, int32_t index) {
  const Program& program = schedule.program;
  const Op& op = op_at(program, index);
  if (op.operands.size() > op.desc.kind().operands.size()) return malformed("an op's operands");
  for (const Value operand : op.operands) {
    if (operand.id >= 0 && !in_range(operand.id, program.values.size())) {
      return malformed("an op's operand").with("op", index).with("value", operand.id);
    }
  }
  for (const int32_t wait : schedule.waits[static_cast<size_t>(index)]) {
    if (!in_range(wait, program.ops.size())) return malformed("a wait").with("op", index);
  }
  Status status;
  for_each_access(program, index, [&](const RowAccess& access) {
    const Buffer& buffer = buffer_at(program, access.buffer);
    if (!status.ok()) return;
    if (buffer.lifetime == Lifetime::step) {
      const Extent& place = schedule.buffers[static_cast<size_t>(access.buffer)];
      status = check_place(schedule, place, buffer.bytes(), index, buffer.label);
    } else if (buffer.lifetime == Lifetime::weight && access.written) {
      status = Error(ErrorKind::internal, "an op writes a weight")
                   .with("op", op_text(program, index))
                   .with("lane", name_of(op.lane))
                   .with("buffer", buffer.label);
    }
  });
  const Extent& scratch = schedule.scratch[static_cast<size_t>(index)];
  if (status.ok() && (scratch.offset >= 0 || scratch.bytes > 0)) {
    status = check_place(schedule, scratch, scratch.bytes, index, "scratch");
  }
  return status;
}

Status check_lanes(const Schedule& schedule) {
  const Program& program = schedule.program;
  std::vector<int> issued(program.ops.size());
  for (const Lane lane : kLanes) {
    for (const int32_t op : schedule.lanes[index_of(lane)]) {
      if (!in_range(op, program.ops.size())) return malformed("an op on a lane");
      if (op_at(program, op).lane != lane) {
        return malformed("an op stands on another lane")
            .with("op", op_text(program, op))
            .with("its lane", name_of(op_at(program, op).lane))
            .with("issued on", name_of(lane));
      }
      ++issued[static_cast<size_t>(op)];
    }
  }
  for (size_t op = 0; op < issued.size(); ++op) {
    if (issued[op] == 1) continue;
    return malformed("an op isn't issued exactly once")
        .with("op", op_text(program, static_cast<int32_t>(op)))
        .with("issued", issued[op]);
  }
  return {};
}

// Where ops and summary differ, per resident.
struct Claims {
  bool read = false;
  bool written = false;
  bool said_read = false;
  bool said_written = false;
};

}  // namespace

Status check_shape(const Schedule& schedule) {
  const size_t ops = schedule.program.ops.size();
  if (schedule.waits.size() != ops) return malformed("waits of ops");
  if (schedule.scratch.size() != ops) return malformed("scratch of ops");
  if (schedule.successions.size() != ops) return malformed("successions of ops");
  TRY(check_buffers(schedule));
  TRY(check_values(schedule.program));
  for (size_t op = 0; op < ops; ++op) TRY(check_op(schedule, static_cast<int32_t>(op)));
  return check_lanes(schedule);
}

Status check_summary(const Schedule& schedule) {
  const Program& program = schedule.program;
  const ResidentSpaces spaces(program);
  std::vector<SegmentMap<Claims>> claims(spaces.first_buffer.size());
  for (size_t op = 0; op < program.ops.size(); ++op) {
    for_each_access(program, static_cast<int32_t>(op), [&](const RowAccess& access) {
      if (buffer_at(program, access.buffer).lifetime != Lifetime::carried) return;
      const auto space = static_cast<size_t>(spaces.of_buffer[static_cast<size_t>(access.buffer)]);
      for (auto& segment : claims[space].at(access.first, access.last)) {
        segment.state.read |= access.read;
        segment.state.written |= access.written;
      }
    });
  }
  std::map<ResidentKey, size_t> numbers;
  for (size_t space = 0; space < spaces.first_buffer.size(); ++space) {
    const Buffer& buffer = buffer_at(program, spaces.first_buffer[space]);
    numbers[{buffer.resident, buffer.owner}] = space;
  }
  for (const SummaryEntry& entry : schedule.summary) {
    const auto found = numbers.find({entry.resident, entry.owner});
    if (found == numbers.end() ||
        buffer_at(program, spaces.first_buffer[found->second]).copies != entry.copies) {
      return Error(ErrorKind::internal, "a summary names a resident that the Program doesn't have")
          .with("resident", entry.resident)
          .with("owner", entry.owner)
          .with("copies", entry.copies);
    }
    for (auto& segment : claims[found->second].at(entry.first, entry.last)) {
      segment.state.said_read |= entry.read;
      segment.state.said_written |= entry.written;
    }
  }
  for (size_t space = 0; space < claims.size(); ++space) {
    for (const auto& [first, last, state] : claims[space].all()) {
      if (state.read == state.said_read && state.written == state.said_written) continue;
      return Error(ErrorKind::internal, "a summary differs from what the ops do")
          .with("buffer", buffer_at(program, spaces.first_buffer[space]).label)
          .with("rows", fmt::format("[{}, {})", first, last))
          .with("read", fmt::format("{} (summary: {})", state.read, state.said_read))
          .with("written", fmt::format("{} (summary: {})", state.written, state.said_written));
    }
  }
  return {};
}

}  // namespace braid::flow::check
