// What the server and its handlers say to one another: requests, answers, exchanges. No socket.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace braid::server {

struct HttpField {
  std::string name;
  std::string value;
};

// Names of fields are compared without regard to case (RFC 9110, 5.1).
bool equal_names(std::string_view a, std::string_view b);

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // without the query, as it was written
  std::string query;   // without its '?'
  std::vector<HttpField> fields;
  std::string body;
  bool from_this_host = false;  // by the loopback interface or a Unix socket

  // The value of the first field of that name; null where there is none.
  const std::string* field(std::string_view name) const;
};

struct HttpAnswer {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  std::vector<HttpField> fields = {};
  bool closes = false;  // the connection ends behind it
};

// A request and its answer, which is sent whole, or begun and written in parts. One that is dropped
// without an answer ends the connection. Only on the server's thread.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual HttpRequest& request() = 0;
  // Another field of the answer's head, whoever makes it; before send() or begin().
  virtual void add_field(std::string name, std::string value) = 0;
  virtual void send(HttpAnswer answer) = 0;

  // A streamed answer: its head (the body is not looked at), parts, and the end.
  virtual void begin(HttpAnswer head) = 0;
  virtual void write(std::string_view text) = 0;
  virtual void end() = 0;

  // Is called once if the client goes away before the answer ends, or is cut off because it doesn't
  // read; what is written then goes nowhere. Never from within another call.
  virtual void on_gone(std::function<void()> gone) = 0;
};

using HttpHandler = std::function<void(std::shared_ptr<Exchange>)>;

struct HttpLimits {
  size_t head_bytes = 32 << 10;  // of a request: its line and its fields
  size_t fields = 100;
  uint64_t body_bytes = uint64_t{64} << 20;
  size_t unsent_bytes = 1 << 20;  // of a streamed answer, that the client hasn't taken
  size_t connections = 4096;
  std::chrono::milliseconds head_time{10'000};   // from a request's first byte to its last field
  std::chrono::milliseconds body_time{60'000};   // from there to the body's end
  std::chrono::milliseconds idle_time{75'000};   // between two requests of a connection
  std::chrono::milliseconds stall_time{30'000};  // in which a client takes no byte of an answer
};

}  // namespace braid::server
