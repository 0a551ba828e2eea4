#include "comm/control/join.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>

#include "base/digest.h"
#include "comm/control/message.h"
#include "comm/control/message_stream.h"
#include "comm/control/waiting_line.h"

namespace braid::comm {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAttempt{5000};  // for the connection and for each answer
constexpr milliseconds kBetween{50};    // attempts
// From the first node's first sign of life until the secret must be there: shared folders of
// networks show new files late.
constexpr std::chrono::seconds kSecretTime{40};

enum class Answer { none, refused, welcome };

// The next message, within kAttempt altogether.
std::optional<Message> receive_soon(MessageStream& stream) {
  const Clock::time_point end = Clock::now() + kAttempt;
  for (Clock::time_point now = Clock::now(); now < end; now = Clock::now()) {
    Result<std::optional<Message>> message = stream.receive();
    if (!message.ok()) return std::nullopt;
    if (message->has_value()) return std::move(**message);
    pollfd waiting{.fd = stream.socket(), .events = stream.events(), .revents = 0};
    const auto left = std::chrono::duration_cast<milliseconds>(end - now).count();
    ::poll(&waiting, 1, static_cast<int>(left) + 1);
    stream.flush();
  }
  return std::nullopt;
}

class Joining {
 public:
  explicit Joining(const JoinOptions& options)
      : options_(options), line_(options.console, options.timeout) {}

  Result<Joined> run() {
    const Clock::time_point end = Clock::now() + options_.timeout;
    for (;;) {
      if (const int signal = options_.signals == nullptr ? 0 : options_.signals->take()) {
        return Joined{.signal = signal};
      }
      const auto secret = TRY(find_secret());
      const int socket = TRY(try_to_connect(options_.address, kAttempt));
      const bool answers = socket >= 0;
      Answer answer = Answer::none;
      if (answers && secret) answer = shake_hands(socket, *secret);
      if (answer == Answer::welcome) return Joined{.socket = socket, .secret = *secret};
      if (answers) ::close(socket);
      if (answers && !answered_) answered_ = Clock::now();
      const bool shared = options_.secret.text.empty();
      if (answer == Answer::refused && !shared) return other_secret();
      const bool late = answered_ && Clock::now() - *answered_ > kSecretTime;
      if (shared && late && answer != Answer::none) return other_secret();
      if (shared && late && !secret) return no_secret();
      if (Clock::now() > end) return no_answer(options_.address, options_.timeout);
      line_.show(fmt::format(
          "{} at {}:{}",
          answers && !secret ? "the job's secret from the first host" : "the first host",
          options_.address.host, options_.address.port));
      ::poll(nullptr, 0, static_cast<int>(kBetween.count()));
    }
  }

 private:
  Result<std::optional<std::string>> find_secret() const {
    if (!options_.secret.text.empty()) return std::optional<std::string>(options_.secret.text);
    return read_shared_secret(options_.secret.shared_file);
  }

  Answer shake_hands(int socket, const std::string& secret) const {
    MessageStream stream(::dup(socket), kMaxHelloBytes);
    const std::optional<Message> challenge = receive_soon(stream);
    if (!challenge || challenge->kind != MessageKind::challenge) return Answer::none;
    const std::string hello =
        make_hello(options_.hello, challenge->bytes, random_bytes(kDigestBytes), secret);
    stream.send(MessageKind::hello, hello);
    const std::optional<Message> answer = receive_soon(stream);
    if (!answer) return Answer::none;
    const bool right = answer->kind == MessageKind::welcome &&
                       check_welcome(answer->bytes, hello, challenge->bytes, secret);
    return right ? Answer::welcome : Answer::refused;
  }

  Error other_secret() const {
    return Error(ErrorKind::fault, "the first host has another secret of the job")
        .with("address", fmt::format("{}:{}", options_.address.host, options_.address.port))
        .remedy("Give all nodes the same one, and no other job the same address.");
  }

  Error no_secret() const {
    return Error(ErrorKind::usage, "this host has no secret of the job")
        .with("file", options_.secret.shared_file)
        .remedy(
            "Where the hosts have no home folder in common, give all nodes the same "
            "--job-secret-file, or BRAID_JOB_SECRET in their environment.");
  }

  const JoinOptions& options_;
  WaitingLine line_;
  std::optional<Clock::time_point> answered_;
};

}  // namespace

Result<Joined> join(const JoinOptions& options) { return Joining(options).run(); }

}  // namespace braid::comm
