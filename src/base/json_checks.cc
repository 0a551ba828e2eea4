#include "base/json_checks.h"

#include <algorithm>
#include <set>

#include "base/json.h"

namespace braid {
namespace {

// Follows the parser through the objects that are open.
class KeyWatcher {
 public:
  void take(int depth, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::key) {
      open_.resize(static_cast<size_t>(depth));  // objects that are closed
      Object& object = open_.back();
      object.key = parsed.get<std::string>();
      if (!object.seen.insert(object.key).second) add(path());
    } else if (event == Json::parse_event_t::object_start) {
      open_.resize(static_cast<size_t>(depth) + 1);
      open_.back() = {};
    }
  }
  std::vector<std::string> found() && { return std::move(found_); }

 private:
  struct Object {
    std::set<std::string> seen;
    std::string key;  // the last one
  };

  std::string path() const {
    std::string text;
    for (const Object& object : open_) {
      if (!object.key.empty()) text += (text.empty() ? "" : ".") + object.key;
    }
    return text;
  }
  void add(std::string path) {
    if (std::find(found_.begin(), found_.end(), path) == found_.end()) {
      found_.push_back(std::move(path));
    }
  }

  std::vector<Object> open_;  // by depth; an array has an entry without keys
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> duplicate_keys(std::string_view text) {
  KeyWatcher watcher;
  const auto take = [&](int depth, Json::parse_event_t event, Json& parsed) {
    watcher.take(depth, event, parsed);
    return true;
  };
  const Json json = Json::parse(text.begin(), text.end(), take, /*allow_exceptions=*/false);
  if (json.is_discarded()) return {};
  return std::move(watcher).found();
}

}  // namespace braid
