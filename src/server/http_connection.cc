#include "server/http_connection.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/status.hpp>

#include "server/head_check.h"

namespace braid::server {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr size_t kReadBytes = 4 << 10;
constexpr size_t kReadBodyBytes = 64 << 10;
// In which a client may read the last answer of a connection that ends, and close it.
constexpr std::chrono::seconds kLinger{2};
constexpr std::string_view kHeadEnd = "\r\n\r\n";

std::string_view text_of(const boost::beast::flat_buffer& buffer) {
  return {static_cast<const char*>(buffer.data().data()), buffer.size()};
}

bool would_block(error_code code) {
  return code == asio::error::would_block || code == asio::error::try_again;
}

std::string_view reason_of(int status) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  return {reason.data(), reason.size()};
}

// "http://host/path" is the same as "/path" (RFC 9112, 3.2.2).
std::string_view without_authority(std::string_view target) {
  const size_t scheme = target.find("://");
  if (target.starts_with('/') || scheme == target.npos) return target;
  const size_t path = target.find('/', scheme + 3);
  return path == target.npos ? "/" : target.substr(path);
}

}  // namespace

class ConnectionExchange final : public Exchange {
 public:
  explicit ConnectionExchange(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)) {}
  ~ConnectionExchange() override {
    if (!answered_) connection_->dropped();
  }

  HttpRequest& request() override { return connection_->request_; }
  void add_field(std::string name, std::string value) override {
    connection_->add_field(std::move(name), std::move(value));
  }
  void send(HttpAnswer answer) override {
    if (std::exchange(answered_, true)) return;
    connection_->send(std::move(answer));
  }
  void begin(HttpAnswer head) override { connection_->begin(head); }
  void write(std::string_view text) override {
    if (!answered_) connection_->write(text);
  }
  void end() override {
    if (!std::exchange(answered_, true)) connection_->end();
  }
  void on_gone(std::function<void()> gone) override {
    if (!answered_) connection_->gone_ = std::move(gone);
  }

 private:
  std::shared_ptr<Connection> connection_;
  bool answered_ = false;
};

Connection::Connection(Socket socket, ConnectionOwner& owner, bool from_this_host)
    : socket_(std::move(socket)),
      owner_(owner),
      from_this_host_(from_this_host),
      deadline_(Clock::now() + owner.limits.idle_time) {}

Connection::~Connection() { owner_.forget(this); }

void Connection::start() {
  error_code code;
  socket_.non_blocking(true, code);
  wait_to_read();
}

void Connection::wait_to_read() {
  if (reading_ || state_ == State::closed) return;
  // Requests that come while one is answered wait in the kernel, but for a few.
  if (state_ == State::answering && in_.size() >= kReadBytes) return;
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](error_code code) {
    self->reading_ = false;
    if (self->state_ == State::closed) return;
    code ? self->close() : self->read();
  });
}

void Connection::read() {
  error_code code;
  const size_t most = state_ == State::body ? kReadBodyBytes : kReadBytes;
  const size_t bytes = socket_.read_some(in_.prepare(most), code);
  if (code && !would_block(code)) return close();
  if (!code) in_.commit(bytes);
  if (state_ == State::lingering) in_.consume(in_.size());
  advance();
  wait_to_read();
}

// Goes as far as the bytes that are there allow.
void Connection::advance() {
  if (advancing_) return;
  advancing_ = true;
  bool moves = true;
  while (moves) {
    if (state_ == State::head) {
      moves = read_head();
    } else if (state_ == State::body) {
      moves = read_body();
    } else {
      moves = false;
    }
  }
  advancing_ = false;
}

bool Connection::read_head() {
  while (scanned_ == 0 && text_of(in_).starts_with("\r\n")) in_.consume(2);  // RFC 9112, 2.2
  const std::string_view text = text_of(in_);
  if (text.empty()) return false;
  if (scanned_ == 0) deadline_ = Clock::now() + owner_.limits.head_time;
  const size_t end = text.find(kHeadEnd, scanned_ < 3 ? 0 : scanned_ - 3);
  const size_t head_bytes = end == text.npos ? text.size() : end + kHeadEnd.size();
  scanned_ = text.size();
  if (head_bytes > owner_.limits.head_bytes) {
    refuse(431, fmt::format("the head has more than {} bytes", owner_.limits.head_bytes));
    return false;
  }
  if (end == text.npos) return false;
  scanned_ = 0;
  return begin_request(head_bytes);
}

// Reads the head, and checks it; whether the body may follow.
bool Connection::begin_request(size_t head_bytes) {
  const auto refused = [this](int status, std::string_view why) {
    refuse(status, why);
    return false;
  };
  const std::string_view fault = fault_in_head(text_of(in_).substr(0, head_bytes));
  if (!fault.empty()) return refused(400, fault);
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(head_bytes));
  parser_->body_limit(owner_.limits.body_bytes);
  error_code code;
  parser_->put(asio::buffer(in_.data().data(), head_bytes), code);
  if (code == http::error::body_limit) {
    return refused(413, fmt::format("the body has more than {} bytes", owner_.limits.body_bytes));
  }
  if (code || !parser_->is_header_done()) return refused(400, "the head is no head of HTTP/1");
  in_.consume(head_bytes);

  request_ = HttpRequest{.from_this_host = from_this_host_};
  extra_.clear();
  const auto& head = parser_->get();
  http_1_1_ = head.version() >= 11;
  keeps_alive_ = parser_->keep_alive();
  request_.method = std::string(head.method_string());
  for (const auto& field : head) {
    request_.fields.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  if (request_.fields.size() > owner_.limits.fields) {
    return refused(431, fmt::format("the head has more than {} fields", owner_.limits.fields));
  }
  const std::string_view unsafe = fault_in_fields(http_1_1_ ? 11 : 10, request_.fields);
  if (!unsafe.empty()) return refused(400, unsafe);
  const std::string_view target = without_authority({head.target().data(), head.target().size()});
  const size_t question = target.find('?');
  request_.path = target.substr(0, question);
  if (question != target.npos) request_.query = target.substr(question + 1);

  state_ = State::body;
  deadline_ = Clock::now() + owner_.limits.body_time;
  if (const std::string* expects = request_.field("expect"); expects != nullptr && http_1_1_) {
    if (!equal_names(*expects, "100-continue"))
      return refused(417, "only 100-continue is expected");
    if (in_.size() == 0 && !parser_->is_done()) {
      out_ += "HTTP/1.1 100 Continue\r\n\r\n";
      flush();
    }
  }
  return state_ == State::body;
}

bool Connection::read_body() {
  parser_->eager(true);
  while (!parser_->is_done()) {
    if (in_.size() == 0) return false;
    error_code code;
    const size_t used = parser_->put(in_.data(), code);
    in_.consume(used);
    if (code == http::error::need_more) {
      // Between two chunks; their lines are short.
      if (in_.size() > owner_.limits.head_bytes)
        refuse(400, "a line between two chunks is too long");
      return false;
    }
    if (code == http::error::body_limit) {
      refuse(413, fmt::format("the body has more than {} bytes", owner_.limits.body_bytes));
      return false;
    }
    if (code) {
      refuse(400, "the body is not in chunks of HTTP/1.1");
      return false;
    }
  }
  hand_over();
  return true;
}

void Connection::hand_over() {
  request_.body = boost::beast::buffers_to_string(parser_->get().body().data());
  parser_.reset();
  if (in_.size() == 0) in_.shrink_to_fit();
  state_ = State::answering;
  owner_.handler(std::make_shared<ConnectionExchange>(shared_from_this()));
}

// What can't be read ends the connection: nobody knows where the next request begins.
void Connection::refuse(int status, std::string_view why) {
  state_ = State::answering;
  send(
      {.status = status,
       .body = fmt::format(
           R"({{"error":{{"message":"{}","type":"invalid_request_error","param":null,"code":null}}}})",
           why),
       .closes = true});
}

void Connection::add_field(std::string name, std::string value) {
  extra_.push_back({std::move(name), std::move(value)});
}

std::string Connection::head_of(const HttpAnswer& answer) const {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", answer.status,
                                 reason_of(answer.status), owner_.date);
  if (!answer.type.empty()) head += fmt::format("Content-Type: {}\r\n", answer.type);
  for (const auto* fields : {&answer.fields, &extra_}) {
    for (const HttpField& field : *fields)
      head += fmt::format("{}: {}\r\n", field.name, field.value);
  }
  if (!keeps_alive_) {
    head += "Connection: close\r\n";
  } else if (!http_1_1_) {
    head += "Connection: keep-alive\r\n";
  }
  return head;
}

void Connection::send(HttpAnswer answer) {
  if (state_ != State::answering) return;
  keeps_alive_ = keeps_alive_ && !answer.closes && !owner_.closing;
  out_ += head_of(answer);
  const bool bodiless = answer.status == 204;
  if (!bodiless) out_ += fmt::format("Content-Length: {}\r\n", answer.body.size());
  out_ += "\r\n";
  if (!bodiless && request_.method != "HEAD") out_ += answer.body;
  answer_done();
}

void Connection::begin(const HttpAnswer& head) {
  if (state_ != State::answering) return;
  chunked_ = http_1_1_;
  keeps_alive_ = keeps_alive_ && chunked_ && !owner_.closing;
  out_ += head_of(head);
  if (chunked_) out_ += "Transfer-Encoding: chunked\r\n";
  out_ += "\r\n";
  flush();
}

void Connection::write(std::string_view text) {
  if (state_ != State::answering || text.empty()) return;
  if (out_.size() - sent_ + text.size() > owner_.limits.unsent_bytes) return close();
  if (chunked_) {
    fmt::format_to(std::back_inserter(out_), "{:x}\r\n", text.size());
    out_ += text;
    out_ += "\r\n";
  } else {
    out_ += text;
  }
  flush();
}

void Connection::end() {
  if (state_ != State::answering) return;
  if (chunked_) out_ += "0\r\n\r\n";
  answer_done();
}

// Nobody answers.
void Connection::dropped() {
  if (state_ == State::answering) close();
}

void Connection::answer_done() {
  gone_ = nullptr;
  chunked_ = false;
  request_ = {};
  if (owner_.closing) keeps_alive_ = false;
  state_ = State::head;
  scanned_ = 0;
  deadline_ = Clock::now() + owner_.limits.idle_time;
  if (!keeps_alive_) linger();
  flush();
  if (state_ != State::head) return;
  advance();
  wait_to_read();
}

// Lets the client read what it was sent: a socket that is closed with unread bytes loses them.
void Connection::linger() {
  state_ = State::lingering;
  deadline_ = Clock::now() + owner_.limits.stall_time;
  in_.consume(in_.size());
}

void Connection::flush() {
  if (stuck_ || state_ == State::closed) return;
  while (sent_ < out_.size()) {
    error_code code;
    sent_ += socket_.write_some(asio::buffer(out_.data() + sent_, out_.size() - sent_), code);
    if (would_block(code)) {
      stuck_ = Clock::now();
      socket_.async_wait(Socket::wait_write, [self = shared_from_this()](error_code failed) {
        self->stuck_.reset();
        failed ? self->close() : self->flush();
      });
      return;
    }
    if (code) return close();
  }
  out_.clear();
  if (out_.capacity() > kReadBodyBytes) out_.shrink_to_fit();
  sent_ = 0;
  if (state_ != State::lingering) return;
  error_code code;
  socket_.shutdown(Socket::shutdown_send, code);
  deadline_ = std::min(deadline_, Clock::now() + kLinger);
  wait_to_read();
}

void Connection::check_time(Clock::time_point now) {
  if (stuck_ && now > *stuck_ + owner_.limits.stall_time) return close();
  if (state_ == State::answering || now < deadline_) return;
  const bool late = state_ == State::body || (state_ == State::head && scanned_ > 0);
  late ? refuse(408, "the request has not come in time") : close();
}

void Connection::finish() {
  keeps_alive_ = false;
  if (state_ == State::head) close();
}

void Connection::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  error_code code;
  socket_.close(code);
  if (gone_ && !owner_.stopped) asio::post(socket_.get_executor(), std::exchange(gone_, nullptr));
}

}  // namespace braid::server
