// One client's connection: part of http_server.h, for its two sources alone (Boost takes long to
// compile).
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/basic_dynamic_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <optional>

#include "base/log.h"
#include "server/http.h"

namespace braid::server {

using Socket = boost::asio::generic::stream_protocol::socket;

// What the connections of a server share.
struct ConnectionOwner {
  HttpLimits limits;
  HttpHandler handler;
  bool closing = false;  // no connection lives longer than the answer that it is in
  bool stopped = false;  // its thread has ended
  std::string date;      // of now, as heads have it
  std::function<void(class Connection*)> forget;
};

// All of it on the server's thread. Reads and writes happen when the socket is ready, without
// buffers that an operation in flight could still use. It lives as long as it waits for its socket,
// or an exchange of it.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Socket socket, ConnectionOwner& owner, bool from_this_host);
  ~Connection();

  void start();
  // Ends what takes too long.
  void check_time(Clock::time_point now);
  // Closes it, or sees to it that the answer that it is in is the last one.
  void finish();
  // At once. Whoever answers is told.
  void close();

 private:
  friend class ConnectionExchange;
  using Body = boost::beast::http::basic_dynamic_body<boost::beast::flat_buffer>;
  using Parser = boost::beast::http::request_parser<Body>;
  enum class State { head, body, answering, lingering, closed };

  void wait_to_read();
  void read();
  void advance();
  bool read_head();
  bool begin_request(size_t head_bytes);
  bool read_body();
  void hand_over();
  void refuse(int status, std::string_view why);

  // Of an exchange.
  void add_field(std::string name, std::string value);
  void send(HttpAnswer answer);
  void begin(const HttpAnswer& head);
  void write(std::string_view text);
  void end();
  void dropped();

  std::string head_of(const HttpAnswer& answer) const;
  void answer_done();
  void flush();
  void linger();

  Socket socket_;
  ConnectionOwner& owner_;
  const bool from_this_host_;
  State state_ = State::head;
  bool advancing_ = false;
  Clock::time_point deadline_;  // of the state; none while answering

  boost::beast::flat_buffer in_;
  bool reading_ = false;  // waits for bytes
  size_t scanned_ = 0;    // of in_, without an end of the head
  std::optional<Parser> parser_;
  HttpRequest request_;
  bool http_1_1_ = true;
  bool keeps_alive_ = true;

  std::vector<HttpField> extra_;  // of the answer's head
  bool chunked_ = false;
  std::string out_;
  size_t sent_ = 0;                         // of out_
  std::optional<Clock::time_point> stuck_;  // since when the socket takes nothing
  std::function<void()> gone_;
};

}  // namespace braid::server
