// Messages for people, on stderr: stages with their time and memory, and warnings.
//
//   Stage stage("loading weights");
//   ...
//   stage.done("17.4 MB");        loading weights … 0.8 s, 17.4 MB, rss 45 MB
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/terminal.h"

namespace braid {

using Clock = std::chrono::steady_clock;

// What a process is doing: its present stage, and how much of it is done, where that is known.
struct Activity {
  std::string stage;
  std::optional<double> share = {};
  std::optional<double> seconds_left = {};
};

// Where messages go. On a terminal one line may be transient: shown, then replaced; and control
// characters in a message are written out (visible.h). All threads may use a Console.
class Console {
 public:
  struct Settings {
    std::function<void(std::string_view)> write;  // gets whole lines, or terminal control
    bool is_terminal = false;
    bool moves_cursor = true;  // of a terminal: lines can be replaced
    std::function<size_t()> columns = [] { return kUsualColumns; };  // how wide it is now
    bool quiet = false;  // stages and progress are silent; warnings are not
    std::function<Clock::time_point()> now = Clock::now;
  };
  explicit Console(Settings settings) : settings_(std::move(settings)) {}

  bool is_terminal() const { return settings_.is_terminal; }
  bool replaces_lines() const { return settings_.is_terminal && settings_.moves_cursor; }
  // Of the terminal, at least 20; where there is none, as many as a text may take.
  size_t columns() const;
  Clock::time_point now() const { return settings_.now(); }
  void set_quiet(bool quiet);
  // Whether stages that have ended get a line, where it isn't quiet. At first they do.
  void set_shows_stages(bool shows);

  void line(std::string_view text);       // nothing when quiet
  void stage(std::string_view text);      // a line where stages are shown
  void transient(std::string_view text);  // a terminal only, nothing when quiet; cut to its width
  void prompt(std::string_view text);     // for a person's next line, quiet or not
  void report(std::string_view text);     // what was asked for: quiet or not
  void warn(std::string_view text);       // "braid: warning: text", quiet or not
  void error(std::string_view text);      // "braid: error: text", quiet or not

  // Stages and progress tell it; it is not printed.
  void set_activity(Activity activity);
  Activity activity() const;

 private:
  void write_line(std::string_view text);

  mutable std::mutex mutex_;
  Settings settings_;         // quiet is guarded by mutex_
  bool shows_stages_ = true;  // guarded by mutex_, as what follows
  bool shows_transient_ = false;
  Activity activity_;
};

// The process's console: stderr.
Console& console();

// One stage of start-up. Prints its line at done(); one that is left without done(), because of an
// error, says so.
class Stage {
 public:
  explicit Stage(std::string name, Console& out = console());
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // `detail`: what else to say ("17.4 MB"). Once only.
  void done(std::string_view detail = {});

  const std::string& name() const { return name_; }
  double seconds() const;

 private:
  std::string name_;
  Console& out_;
  Clock::time_point start_;
  bool done_ = false;
};

// Memory of this process that is in RAM, in bytes; 0 where the system does not tell.
int64_t resident_bytes();

std::string format_bytes(double bytes);      // "17.4 MB": decimal units, three digits
std::string format_seconds(double seconds);  // "61.2 µs", "0.8 s", "2 min 5 s", "1 h 2 min"

}  // namespace braid
