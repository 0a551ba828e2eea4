#include "model/safetensors_header.h"

#include <limits>
#include <unordered_set>
#include <utility>

#include "base/json.h"

namespace braid::model {
namespace {

constexpr size_t kMaxRank = 16;

// Consumes the parser's events; what() holds the first thing that is wrong.
class HeaderHandler final : public nlohmann::json_sax<Json> {
 public:
  std::vector<HeaderEntry> take_entries() { return std::move(entries_); }
  const std::string& what() const { return what_; }
  const std::string& tensor() const { return entry_.name; }

  bool null() override { return fail("unexpected null"); }
  bool boolean(bool) override { return fail("unexpected boolean"); }
  bool number_float(number_float_t, const string_t&) override {
    return fail("a number is not an integer");
  }
  bool binary(binary_t&) override { return fail("unexpected binary value"); }
  bool number_integer(number_integer_t value) override {
    return value < 0 ? fail("a shape or an offset is negative")
                     : number(static_cast<uint64_t>(value));
  }
  bool number_unsigned(number_unsigned_t value) override { return number(value); }
  bool string(string_t& value) override;
  bool start_object(size_t) override;
  bool key(string_t& name) override;
  bool end_object() override;
  bool start_array(size_t) override;
  bool end_array() override;
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
    return fail("the header is not valid JSON");
  }

 private:
  // What is expected next.
  enum class State {
    root,            // the opening brace
    names,           // a tensor's name, or the end
    entry,           // a tensor's opening brace
    fields,          // dtype, shape, data_offsets, or the end of the tensor
    dtype,           // a string
    shape,           // an opening bracket
    shape_items,     // numbers, or the closing bracket
    offsets,         // an opening bracket
    offset_items,    // numbers, or the closing bracket
    metadata,        // the opening brace of __metadata__
    metadata_keys,   // a key, or the end
    metadata_value,  // a string
    done,
  };

  bool number(uint64_t value);
  bool begin_tensor(std::string name);
  bool field(std::string_view name);
  bool finish_tensor();
  bool advance(State next) {
    state_ = next;
    return true;
  }
  bool fail(std::string what) {
    if (what_.empty()) what_ = std::move(what);
    return false;
  }

  State state_ = State::root;
  HeaderEntry entry_;
  std::vector<int64_t> offsets_;
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  std::unordered_set<std::string> names_;
  std::vector<HeaderEntry> entries_;
  std::string what_;
};

bool HeaderHandler::start_object(size_t) {
  switch (state_) {
    case State::root: return advance(State::names);
    case State::entry: return advance(State::fields);
    case State::metadata: return advance(State::metadata_keys);
    default: return fail("unexpected object");
  }
}

bool HeaderHandler::end_object() {
  switch (state_) {
    case State::names: return advance(State::done);
    case State::fields: return finish_tensor();
    default: return advance(State::names);  // the end of __metadata__
  }
}

bool HeaderHandler::key(string_t& name) {
  switch (state_) {
    case State::names: return begin_tensor(std::move(name));
    case State::fields: return field(name);
    default: return advance(State::metadata_value);
  }
}

bool HeaderHandler::begin_tensor(std::string name) {
  entry_ = {.name = std::move(name)};
  offsets_.clear();
  has_dtype_ = has_shape_ = has_offsets_ = false;
  if (!names_.insert(entry_.name).second) return fail("a tensor is named twice");
  return advance(entry_.name == "__metadata__" ? State::metadata : State::entry);
}

bool HeaderHandler::field(std::string_view name) {
  const auto once = [&](bool& seen, State next) {
    if (std::exchange(seen, true)) return fail("a tensor's key stands twice");
    return advance(next);
  };
  if (name == "dtype") return once(has_dtype_, State::dtype);
  if (name == "shape") return once(has_shape_, State::shape);
  if (name == "data_offsets") return once(has_offsets_, State::offsets);
  return fail("a tensor has an unknown key");
}

bool HeaderHandler::string(string_t& value) {
  if (state_ == State::metadata_value) return advance(State::metadata_keys);
  if (state_ != State::dtype) return fail("unexpected string");
  const auto type = parse_storage_type(value);
  if (!type) return fail("unknown dtype " + value.substr(0, 40));
  entry_.type = *type;
  return advance(State::fields);
}

bool HeaderHandler::start_array(size_t) {
  switch (state_) {
    case State::shape: return advance(State::shape_items);
    case State::offsets: return advance(State::offset_items);
    default: return fail("unexpected array");
  }
}

bool HeaderHandler::number(uint64_t value) {
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return fail("a number is too large");
  }
  if (state_ == State::shape_items) {
    if (entry_.shape.size() == kMaxRank) return fail("a shape has too many dimensions");
    entry_.shape.push_back(static_cast<int64_t>(value));
    return true;
  }
  if (state_ != State::offset_items) return fail("unexpected number");
  if (offsets_.size() == 2) return fail("data_offsets is not a pair");
  offsets_.push_back(static_cast<int64_t>(value));
  return true;
}

bool HeaderHandler::end_array() {
  if (state_ == State::offset_items && offsets_.size() != 2) {
    return fail("data_offsets is not a pair");
  }
  return advance(State::fields);
}

bool HeaderHandler::finish_tensor() {
  if (!has_dtype_) return fail("a tensor has no dtype");
  if (!has_shape_) return fail("a tensor has no shape");
  if (!has_offsets_) return fail("a tensor has no data_offsets");
  const std::optional<int64_t> bytes = tensor_bytes(entry_.type, entry_.shape);
  if (!bytes) return fail("the size of a shape overflows");
  entry_.begin = offsets_[0];
  entry_.end = offsets_[1];
  if (entry_.end < entry_.begin || entry_.end - entry_.begin != *bytes) {
    return fail(fmt::format("data_offsets [{}, {}] do not agree with {} {}, which takes {} bytes",
                            entry_.begin, entry_.end, name_of(entry_.type),
                            shape_text(entry_.shape), *bytes));
  }
  entries_.push_back(std::move(entry_));
  return advance(State::names);
}

}  // namespace

Result<std::vector<HeaderEntry>> parse_safetensors_header(std::string_view json,
                                                          std::string_view source) {
  HeaderHandler handler;
  if (Json::sax_parse(json.begin(), json.end(), &handler)) return handler.take_entries();
  Error error = Error(ErrorKind::corrupt_data, "bad safetensors header: " + handler.what())
                    .with("file", source);
  if (!handler.tensor().empty()) {
    error = std::move(error).with("tensor", handler.tensor());
  }
  return std::move(error).remedy("Download the file again.");
}

std::optional<int64_t> tensor_bytes(StorageType type, std::span<const int64_t> shape) {
  int64_t bytes = bytes_of(type);
  for (const int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(bytes, dimension, &bytes)) return std::nullopt;
  }
  return bytes;
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace braid::model
