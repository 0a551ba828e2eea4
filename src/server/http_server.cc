#include "server/http_server.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <csignal>
#include <ctime>
#include <thread>
#include <unordered_set>

#include "server/http_connection.h"

namespace braid::server {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Local = asio::local::stream_protocol;

namespace {

constexpr std::chrono::milliseconds kSweep{250};
constexpr std::chrono::milliseconds kAcceptPause{100};  // when there are no file descriptors left
constexpr size_t kWorkers = 2;

// "Mon, 30 Nov 2026 12:00:00 GMT" (RFC 9110, 5.6.7).
std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  gmtime_r(&now, &parts);
  char text[40];
  const size_t size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text, size};
}

Error cannot_listen(const std::string& where, error_code code) {
  return Error(ErrorKind::usage, "the server can't listen there")
      .with("address", where)
      .with("error", code.message())
      .remedy("Choose another one with --host and --port, or --uds.");
}

// As many files as this process may open.
void raise_file_limit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(const HttpOptions& options) : options_(options), workers_(kWorkers) {
    owner_.limits = options.limits;
    owner_.forget = [this](Connection* connection) {
      connections_.erase(connection);
      if (connections_.empty() && finished_) asio::post(io_, std::exchange(finished_, nullptr));
    };
  }

  ~Impl() { stop(); }

  void stop() {
    workers_.join();
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      finished_ = nullptr;
      for (Connection* connection : open()) connection->close();
      owner_.stopped = true;
      io_.stop();
    });
    thread_.join();
    if (!options_.uds.empty()) ::unlink(options_.uds.c_str());
  }

  Status listen() { return options_.uds.empty() ? listen_tcp() : listen_local(); }

  void serve(Handlers handlers) {
    handlers_ = std::move(handlers);
    owner_.handler = handlers_.request;
    raise_file_limit();
    if (handlers_.signal) {
      signals_.emplace(io_, SIGTERM, SIGINT);
      await_signal();
    }
    owner_.date = http_date();
    sweep();
    if (handlers_.every_second) tick();
    if (tcp_) accept(*tcp_);
    if (local_) accept(*local_);
    thread_ = std::thread([this] { io_.run(); });
  }

  void finish(std::function<void()> done) {
    owner_.closing = true;
    error_code code;
    if (tcp_) tcp_->close(code);
    if (local_) local_->close(code);
    for (Connection* connection : open()) connection->finish();
    if (connections_.empty()) return done();
    finished_ = std::move(done);
  }

  void work(std::function<void()> job, std::function<void()> then) {
    asio::post(workers_, [this, job = std::move(job), then = std::move(then)]() mutable {
      job();
      asio::post(io_, std::move(then));
    });
  }

  void after(std::chrono::nanoseconds delay, std::function<void()> task) {
    auto timer = std::make_shared<asio::steady_timer>(io_, delay);
    timer->async_wait([timer, task = std::move(task)](error_code code) {
      if (!code) task();
    });
  }

  asio::io_context& io() { return io_; }
  const std::string& address() const { return address_; }
  int port() const { return port_; }
  size_t connections() const { return connections_.size(); }

 private:
  Status listen_tcp() {
    const std::string where = fmt::format("{}:{}", options_.host, options_.port);
    error_code code;
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(options_.host, std::to_string(options_.port),
                                        tcp::resolver::passive, code);
    if (code || found.empty()) return cannot_listen(where, code);
    const tcp::endpoint endpoint = found.begin()->endpoint();
    tcp_.emplace(io_);
    tcp_->open(endpoint.protocol(), code);
    if (!code) tcp_->set_option(tcp::acceptor::reuse_address(true), code);
    if (!code) tcp_->bind(endpoint, code);
    if (!code) tcp_->listen(asio::socket_base::max_listen_connections, code);
    if (code) return cannot_listen(where, code);
    port_ = tcp_->local_endpoint(code).port();
    const std::string host = endpoint.address().to_string();
    address_ = endpoint.address().is_v6() ? fmt::format("http://[{}]:{}", host, port_)
                                          : fmt::format("http://{}:{}", host, port_);
    return {};
  }

  Status listen_local() {
    error_code code;
    Local::endpoint endpoint;
    if (options_.uds.size() >= sizeof(sockaddr_un::sun_path)) {
      return cannot_listen(options_.uds, asio::error::name_too_long);
    }
    endpoint = Local::endpoint(options_.uds);
    remove_stale(endpoint);
    Local::acceptor acceptor(io_);
    acceptor.open(endpoint.protocol(), code);
    if (!code) acceptor.bind(endpoint, code);
    if (!code) acceptor.listen(asio::socket_base::max_listen_connections, code);
    if (code) return cannot_listen(options_.uds, code);
    local_.emplace(std::move(acceptor));
    address_ = "unix:" + options_.uds;
    return {};
  }

  // A socket at which nobody listens is left from before; any other file stays.
  void remove_stale(const Local::endpoint& endpoint) {
    struct stat file = {};
    if (::lstat(options_.uds.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return;
    error_code code;
    Local::socket probe(io_);
    probe.connect(endpoint, code);
    if (code == asio::error::connection_refused) ::unlink(options_.uds.c_str());
  }

  template <typename Acceptor>
  void accept(Acceptor& acceptor) {
    acceptor.async_accept([this, &acceptor](error_code code, auto socket) {
      if (!acceptor.is_open()) return;
      if (code) return after(kAcceptPause, [this, &acceptor] { accept(acceptor); });
      let_in(std::move(socket));
      accept(acceptor);
    });
  }

  void let_in(tcp::socket socket) {
    error_code code;
    socket.set_option(tcp::no_delay(true), code);
    const tcp::endpoint peer = socket.remote_endpoint(code);
    if (code) return;  // gone again
    let_in(Socket(std::move(socket)), peer.address().is_loopback());
  }
  void let_in(Local::socket socket) { let_in(Socket(std::move(socket)), true); }

  void let_in(Socket socket, bool from_this_host) {
    if (connections_.size() >= owner_.limits.connections) {
      static constexpr std::string_view kFull =
          "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
          "Content-Length: 0\r\n\r\n";
      error_code code;
      socket.non_blocking(true, code);
      socket.write_some(asio::buffer(kFull.data(), kFull.size()), code);
      return;
    }
    const auto connection = std::make_shared<Connection>(std::move(socket), owner_, from_this_host);
    connections_.insert(connection.get());
    connection->start();
  }

  // Those that are open now: what is done with one may close others.
  std::vector<Connection*> open() const { return {connections_.begin(), connections_.end()}; }

  void sweep() {
    after(kSweep, [this] {
      const auto now = Clock::now();
      owner_.date = http_date();
      for (Connection* connection : open()) {
        if (!connections_.contains(connection)) continue;
        // It lives while it is looked at.
        const auto held = connection->weak_from_this().lock();
        if (held) held->check_time(now);
      }
      sweep();
    });
  }

  void tick() {
    after(std::chrono::seconds(1), [this] {
      handlers_.every_second();
      tick();
    });
  }

  void await_signal() {
    signals_->async_wait([this](error_code code, int signal) {
      if (code) return;
      handlers_.signal(signal);
      await_signal();
    });
  }

  HttpOptions options_;
  Handlers handlers_;
  ConnectionOwner owner_;
  std::unordered_set<Connection*> connections_;
  std::function<void()> finished_;
  std::string address_;
  int port_ = 0;
  // Connections in handlers that never ran are destroyed with it, and use what stands above.
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::optional<tcp::acceptor> tcp_;
  std::optional<Local::acceptor> local_;
  std::optional<asio::signal_set> signals_;
  asio::thread_pool workers_;
  std::thread thread_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const HttpOptions& options) {
  auto impl = std::make_unique<Impl>(options);
  TRY(impl->listen());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

const std::string& HttpServer::address() const { return impl_->address(); }
int HttpServer::port() const { return impl_->port(); }
void HttpServer::serve(Handlers handlers) { impl_->serve(std::move(handlers)); }
void HttpServer::stop() { impl_->stop(); }
void HttpServer::post(std::function<void()> task) { asio::post(impl_->io(), std::move(task)); }
void HttpServer::post_after(double seconds, std::function<void()> task) {
  post([this, seconds, task = std::move(task)]() mutable {
    impl_->after(std::chrono::nanoseconds(static_cast<int64_t>(1e9 * seconds)), std::move(task));
  });
}
void HttpServer::work(std::function<void()> job, std::function<void()> then) {
  impl_->work(std::move(job), std::move(then));
}
void HttpServer::finish(std::function<void()> done) { impl_->finish(std::move(done)); }
size_t HttpServer::connections() const { return impl_->connections(); }

}  // namespace braid::server
