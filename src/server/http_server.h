// HttpServer: HTTP/1.1 on one thread, for as many clients as there are.
//
// Behind the parser (Boost.Beast) it bounds what a client can hold on to: heads, bodies, time,
// connections, unsent bytes. Requests of a connection are answered one after the other. A client
// that closes its connection, or its half of it, has gone: what it asked for is not wanted any
// more.
#pragma once

#include "base/status.h"
#include "server/http.h"

namespace braid::server {

struct HttpOptions {
  std::string host = "127.0.0.1";  // a name, or an address
  int port = 30000;                // 0: any that is free
  std::string uds;                 // path of a Unix socket, instead of host and port
  HttpLimits limits;
};

class HttpServer {
 public:
  // Binds the address: clients can connect, and wait until serve() lets them in. `usage` where it
  // can't be bound.
  static Result<std::unique_ptr<HttpServer>> listen(const HttpOptions& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // "http://127.0.0.1:30000" or "unix:/run/braid.sock".
  const std::string& address() const;
  int port() const;

  struct Handlers {
    HttpHandler request;
    std::function<void()> every_second;
    // SIGTERM or SIGINT, which no longer end the process. Null: they still do.
    std::function<void(int signal)> signal;
  };
  // Starts the server's thread; all handlers are called on it. Once only.
  void serve(Handlers handlers);

  // From any thread: runs on the server's thread.
  void post(std::function<void()> task);
  // The same, in so many seconds.
  void post_after(double seconds, std::function<void()> task);
  // Runs `job` on one of two more threads, for what takes long, and then `then` on the server's.
  void work(std::function<void()> job, std::function<void()> then);

  // On the server's thread: lets nobody in any more, and closes each connection when the answer
  // that it is in has been sent. `done` when there is no connection left.
  void finish(std::function<void()> done);

  // Ends all connections at once, and the server's thread. From another thread; exchanges that are
  // left must be destroyed before the server is.
  void stop();

  // On the server's thread.
  size_t connections() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace braid::server
