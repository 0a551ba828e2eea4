#include "text/template/functions.h"

#include <ctime>
#include <span>

#include "text/template/access.h"
#include "text/template/callable.h"
#include "text/template/compare.h"
#include "text/template/print.h"
#include "text/template/sequence.h"

namespace braid::text::tmpl {
namespace {

constexpr int64_t kMaxRange = 100'000;  // as jinja2's sandbox
constexpr size_t kMaxTime = 4096;       // bytes that strftime_now may write

Result<Value> range(Runtime&, const Value&, const Arguments& arguments) {
  const size_t count = arguments.positional.size();
  if (!arguments.named.empty() || count == 0 || count > 3) {
    return failure("range takes one to three arguments without names");
  }
  int64_t numbers[3] = {0, 0, 1};
  for (size_t i = 0; i < count; ++i) {
    if (!arguments.positional[i].as_int(numbers[i])) {
      return misuse("range", arguments.positional[i]);
    }
    if (numbers[i] > kMaxRangeBound || numbers[i] < -kMaxRangeBound) {
      return not_supported("a range beyond {}", kMaxRangeBound);
    }
  }
  if (numbers[2] == 0) return failure("range has a step of 0");
  if (count == 1) std::swap(numbers[0], numbers[1]);
  const Range range{numbers[0], numbers[1], numbers[2]};
  if (range.size() > kMaxRange) {
    return Error(ErrorKind::exhausted, "a range is too long")
        .with("numbers", range.size())
        .with("limit", kMaxRange);
  }
  return Value(std::make_shared<const Range>(range));
}

// Puts the arguments of dict() or namespace() into `builder`: a dict or pairs, then named values.
Status collect(Runtime& runtime, std::string_view function, const Arguments& arguments,
               DictBuilder& builder) {
  if (arguments.positional.size() > 1) {
    return failure("{} takes at most one argument without a name", function);
  }
  for (const Value& source : arguments.positional) {
    if (const Entries* entries = source.dict()) {
      for (const auto& [key, value] : entries->pairs) TRY(builder.set(key, value));
      continue;
    }
    const ItemsPtr items = TRY(iterate(runtime, source));
    for (const Value& item : items->values) {
      const ItemsPtr pair = TRY(iterate(runtime, item));
      if (pair->values.size() != 2) return failure("{} needs pairs", function);
      TRY(builder.set(pair->values[0], pair->values[1]));
    }
  }
  for (const auto& [name, value] : arguments.named) {
    const Value key = TRY(runtime.text(name));
    TRY(builder.set(key, value));
  }
  return {};
}

Result<Value> make_dict(Runtime& runtime, const Value&, const Arguments& arguments) {
  DictBuilder builder(runtime);
  TRY(collect(runtime, "dict", arguments, builder));
  return builder.finish();
}

Result<Value> make_namespace(Runtime& runtime, const Value&, const Arguments& arguments) {
  DictBuilder builder(runtime);
  TRY(collect(runtime, "namespace", arguments, builder));
  const Value dict = TRY(builder.finish());
  Namespace* space = runtime.new_namespace();
  for (const auto& [key, value] : dict.dict()->pairs) {
    const Text* name = key.text();
    if (name == nullptr) return misuse("the name of a namespace's attribute", key);
    TRY(set_attribute(runtime, *space, name->bytes, value));
  }
  return Value(space);
}

Result<Value> raise_exception(Runtime& runtime, const Value&, const Arguments& arguments) {
  const Bound bound = TRY(bind("raise_exception", arguments, {"message"}, 1));
  const TextPtr message = TRY(to_text(runtime, bound[0]));
  return Error(ErrorKind::usage, message->bytes);
}

// Checks that every conversion is one whose result Python and the C library agree on, and drops
// those of the time zone, which Python leaves empty for a time without one.
Result<std::string> prepare_time_format(std::string_view format) {
  std::string out;
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%') {
      out += format[at];
      continue;
    }
    const bool unpadded = at + 1 < format.size() && format[at + 1] == '-';
    const size_t letter = at + (unpadded ? 2 : 1);
    if (letter < format.size() && (format[letter] == 'z' || format[letter] == 'Z')) {
      at = letter;
      continue;
    }
    if (letter >= format.size() ||
        std::string_view("aAbBcCdDeFgGhHIjklmMnprRStTuUVwWxXyY%").find(format[letter]) ==
            std::string_view::npos) {
      return not_supported("the time format '{}'", format);
    }
    out += format.substr(at, letter - at + 1);
    at = letter;
  }
  return out;
}

Result<Value> strftime_now(Runtime& runtime, const Value&, const Arguments& arguments) {
  const Bound bound = TRY(bind("strftime_now", arguments, {"format"}, 1));
  const Text* format = bound[0].text();
  if (format == nullptr) return misuse("strftime_now", bound[0]);
  if (format->bytes.find('\0') != std::string::npos) return failure("a time format holds a NUL");
  const std::string prepared = TRY(prepare_time_format(format->bytes));
  if (prepared.empty()) return runtime.text("");
  const std::tm now = runtime.now();
  std::string out(kMaxTime, '\0');
  // A blank in front tells an empty result from one that does not fit.
  out.resize(std::strftime(out.data(), out.size(), (" " + prepared).c_str(), &now));
  if (out.empty()) return not_supported("a time of more than {} bytes", kMaxTime);
  return runtime.text(out.substr(1));
}

constexpr NamedFunction kGlobals[] = {{"dict", make_dict},
                                      {"namespace", make_namespace},
                                      {"raise_exception", raise_exception},
                                      {"range", range},
                                      {"strftime_now", strftime_now}};
constexpr std::string_view kLackedGlobals[] = {"cycler", "joiner", "lipsum", "self"};

}  // namespace

Result<Value> find_global(const std::string& name) {
  if (const Function function = find_function(kGlobals, name)) {
    return Value(
        std::make_shared<const Callable>(Callable{.name = name, .function = function, .self = {}}));
  }
  for (const std::string_view lacked : kLackedGlobals) {
    if (lacked == name) return not_supported("the function '{}'", name);
  }
  return undefined(fmt::format("'{}' is undefined", name));
}

}  // namespace braid::text::tmpl
