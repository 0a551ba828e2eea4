#include "support/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <sstream>
#include <thread>

namespace braid::testing {
namespace {

namespace fs = std::filesystem;

struct Entry {
  pid_t pid = 0, parent = 0, session = 0;
  char state = 0;
};

// Empty where the file, or the process that it tells of, has gone: unlike the iterators of a stream
// operator<< doesn't throw then.
std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Reads /proc/PID/stat: the name, in parentheses, may contain anything.
bool read_entry(const fs::path& folder, Entry& entry) {
  const std::string text = text_of(folder / "stat");
  const size_t end = text.rfind(')');
  if (end == text.npos) return false;
  std::istringstream rest(text.substr(end + 1));
  pid_t group = 0;
  entry.pid = std::atoi(text.c_str());
  return static_cast<bool>(rest >> entry.state >> entry.parent >> group >> entry.session);
}

std::vector<pid_t> processes(const std::function<bool(const Entry&)>& wanted) {
  std::vector<pid_t> found;
  std::error_code failed;
  for (const auto& folder : fs::directory_iterator("/proc", failed)) {
    Entry entry;
    const std::string name = folder.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    if (read_entry(folder.path(), entry) && entry.state != 'Z' && wanted(entry)) {
      found.push_back(entry.pid);
    }
  }
  return found;
}

}  // namespace

Program::Program(const std::string& words) {
  std::string folder = (fs::temp_directory_path() / "braid_program_XXXXXX").string();
  folder_ = ::mkdtemp(folder.data());
  pid_ = ::fork();
  if (pid_ != 0) return;
  ::setsid();
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) std::signal(number, SIG_DFL);
  const auto open_as = [&](int descriptor, const std::string& path, int flags) {
    ::dup2(::open(path.c_str(), flags, 0600), descriptor);
  };
  open_as(STDIN_FILENO, "/dev/null", O_RDONLY);
  open_as(STDOUT_FILENO, folder_ + "/out", O_WRONLY | O_CREAT);
  open_as(STDERR_FILENO, folder_ + "/err", O_WRONLY | O_CREAT);
  ::execl("/bin/sh", "sh", "-c", ("exec " + words).c_str(), nullptr);
  ::_exit(127);
}

Program::~Program() {
  signal_group(SIGKILL);
  for (const pid_t left : session()) ::kill(left, SIGKILL);
  if (code_ < 0) ::waitpid(pid_, nullptr, 0);
  std::error_code failed;
  fs::remove_all(folder_, failed);
}

std::vector<pid_t> Program::children() const {
  return processes([this](const Entry& entry) { return entry.parent == pid_; });
}

std::vector<pid_t> Program::session() const {
  return processes(
      [this](const Entry& entry) { return entry.session == pid_ && entry.pid != pid_; });
}

bool Program::wait_for_children(size_t count, std::chrono::seconds most) const {
  const auto end = std::chrono::steady_clock::now() + most;
  while (children().size() < count) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

void Program::signal(int number) const { ::kill(pid_, number); }
void Program::signal_group(int number) const { ::kill(-pid_, number); }

int Program::wait(std::chrono::seconds most) {
  const auto end = std::chrono::steady_clock::now() + most;
  while (code_ < 0 && std::chrono::steady_clock::now() < end) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return code_;
}

std::string Program::out() const { return text_of(folder_ + "/out"); }
std::string Program::err() const { return text_of(folder_ + "/err"); }

}  // namespace braid::testing
