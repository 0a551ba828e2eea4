#include "server/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <random>
#include <thread>

#include "base/log.h"
#include "base/temp_folder.h"
#include "server/socket_test_util.h"

namespace braid::server {
namespace {

using testing::RawClient;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

// Answers /echo with the body, /stream with parts of it until the client has gone, and /hold never.
class EchoServer {
 public:
  explicit EchoServer(HttpLimits limits = {}, const std::string& uds = {})
      : http_(std::move(HttpServer::listen({.port = 0, .uds = uds, .limits = limits})).value()) {
    http_->serve({.request = [this](std::shared_ptr<Exchange> exchange) { take(exchange); }});
  }
  ~EchoServer() {
    http_->stop();
    held_.clear();
  }

  HttpServer& http() { return *http_; }
  int port() const { return http_->port(); }
  int gone() const { return gone_; }
  int handled() const { return handled_; }

 private:
  void take(const std::shared_ptr<Exchange>& exchange) {
    ++handled_;
    const HttpRequest& request = exchange->request();
    exchange->on_gone([this] { ++gone_; });
    if (request.path == "/hold") {
      held_.push_back(exchange);
    } else if (request.path == "/stream") {
      exchange->begin({.type = "text/plain"});
      exchange->write("one ");
      exchange->write("two");
      exchange->end();
    } else if (request.path == "/flood") {
      exchange->begin({.type = "text/plain"});
      for (int i = 0; i < 1000; ++i) exchange->write(std::string(65536, 'x'));
      held_.push_back(exchange);
    } else if (request.path == "/drop") {
      return;
    } else {
      exchange->send({.type = "text/plain", .body = request.path + "|" + request.body});
    }
  }

  std::unique_ptr<HttpServer> http_;
  std::vector<std::shared_ptr<Exchange>> held_;
  std::atomic<int> gone_ = 0;
  std::atomic<int> handled_ = 0;
};

std::string get(std::string_view path) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", path);
}

bool soon(const std::function<bool()>& holds) {
  for (int i = 0; i < 500 && !holds(); ++i) std::this_thread::sleep_for(10ms);
  return holds();
}

TEST(HttpServerTest, AnswersOneRequestBehindTheOther) {
  EchoServer server;
  RawClient client(server.port());
  client.send(get("/a?q=1"));
  RawClient::Answer answer = client.read_answer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "/a|");
  EXPECT_TRUE(answer.has("Content-Type: text/plain\r\n"));
  EXPECT_TRUE(answer.has("Date: "));
  // Pipelined: three at once, with bodies of both kinds.
  client.send(
      "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyz"
      "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3;e=1\r\nabc\r\n2\r\nde\r\n0\r\n"
      "Trailer: t\r\n\r\n" +
      get("/stream"));
  EXPECT_EQ(client.read_answer().body, "/b|xyz");
  EXPECT_EQ(client.read_answer().body, "/c|abcde");
  answer = client.read_answer();
  EXPECT_TRUE(answer.has("Transfer-Encoding: chunked"));
  EXPECT_EQ(answer.body, "one two");
  client.send("HEAD /d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.read_to_end());
  EXPECT_TRUE(client.got().ends_with("Connection: close\r\nContent-Length: 3\r\n\r\n"));
  EXPECT_EQ(server.gone(), 0);
}

TEST(HttpServerTest, OldAndOddClients) {
  EchoServer server;
  RawClient old(server.port());
  old.send("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(old.read_to_end());
  EXPECT_TRUE(old.got().ends_with("\r\n\r\none two")) << old.got();

  RawClient absolute(server.port());
  absolute.send("\r\nGET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(absolute.read_answer().body, "/b|");

  RawClient polite(server.port());
  polite.send("POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  ASSERT_TRUE(polite.read_until("HTTP/1.1 100 Continue\r\n\r\n"));
  polite.take();
  polite.send("hi");
  EXPECT_EQ(polite.read_answer().body, "/p|hi");

  RawClient slow(server.port());  // byte by byte
  for (const char c : get("/slow")) slow.send({&c, 1});
  EXPECT_EQ(slow.read_answer().body, "/slow|");

  RawClient dropped(server.port());
  dropped.send(get("/drop"));
  EXPECT_TRUE(dropped.read_to_end());
  EXPECT_EQ(dropped.got(), "");
}

struct Refused {
  std::string request;
  int status;
};

TEST(HttpServerTest, RefusesWhatIsMalformed) {
  EchoServer server;
  const std::string post = "POST / HTTP/1.1\r\nHost: a\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 100; ++i) many += "X: y\r\n";
  const std::vector<Refused> table = {
      {"nonsense\r\n\r\n", 400},
      {"GET /\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400},
      {std::string("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 38), 400},
      {post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
      {post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400},
      {post + "Transfer-Encoding: xchunked\r\n\r\n", 400},
      {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400},
      {post + "Content-Length: 1, 1\r\n\r\nx", 400},
      {post + "Content-Length: -1\r\n\r\n", 400},
      {post + "Content-Length: 1x\r\n\r\n", 400},
      {post + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {post + "Content-Length: 67108865\r\n\r\n", 413},
      {chunked + "4000001\r\n", 413},
      {chunked + "zz\r\n", 400},
      {chunked + "ffffffffffffffffff\r\n", 400},
      {chunked + "1\r\nabc\r\n", 400},
      {chunked + "1;" + std::string(70000, 'e'), 400},
      {post + "Expect: the-best\r\nContent-Length: 1\r\n\r\n", 417},
      {"GET /" + std::string(40000, 'x'), 431},
      {many + "\r\n", 431},
  };
  for (const Refused& row : table) {
    RawClient client(server.port());
    client.send(row.request);
    const RawClient::Answer answer = client.read_answer();
    EXPECT_EQ(answer.status, row.status) << row.request.substr(0, 200);
    EXPECT_TRUE(answer.has("Connection: close")) << row.request.substr(0, 200);
    EXPECT_TRUE(client.read_to_end());
  }
  EXPECT_EQ(server.handled(), 0);
  RawClient next(server.port());
  next.send(get("/next"));
  EXPECT_EQ(next.read_answer().body, "/next|");
}

// Whatever is sent: an answer or the end of the connection, and the next client is served.
TEST(HttpServerTest, SurvivesRandomBytes) {
  EchoServer server;
  const std::string good =
      "POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n" +
      get("/b");
  constexpr std::string_view kBytes = "\r\n :;,0159afZ/\t\0\x7f\xff-+"sv;
  std::mt19937_64 random(11);
  const int64_t before = resident_bytes();
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = good;
    for (size_t edits = 1 + random() % 4; edits > 0; --edits) {
      const size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0: bytes[at] = kBytes[random() % kBytes.size()]; break;
        case 1: bytes.insert(at, 1 + random() % 3, kBytes[random() % kBytes.size()]); break;
        case 2: bytes.erase(at, 1 + random() % 8); break;
        default: bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 40));
      }
      if (bytes.empty()) bytes = "x";
    }
    RawClient client(server.port());
    ASSERT_TRUE(client.connected());
    client.send(bytes);
    if (round % 2 == 0) client.read_until("HTTP/1.1 ", 0.002);
  }
  RawClient next(server.port());
  next.send(get("/next"));
  EXPECT_EQ(next.read_answer().body, "/next|");
  EXPECT_TRUE(soon([&] {
    std::promise<size_t> count;
    server.http().post([&] { count.set_value(server.http().connections()); });
    return count.get_future().get() == 1;
  }));
  EXPECT_LT(resident_bytes() - before, 5 << 20);
}

TEST(HttpServerTest, AnswersAtAUnixSocket) {
  const TempFolder folder;
  const std::string path = folder.file("socket");
  EchoServer server({}, path);
  EXPECT_EQ(server.http().address(), "unix:" + path);
  RawClient client(path);
  client.send(get("/a"));
  EXPECT_EQ(client.read_answer().body, "/a|");
}

TEST(HttpServerTest, TellsWhenAClientHasGone) {
  EchoServer server;
  {
    RawClient client(server.port());
    client.send(get("/hold"));
    ASSERT_TRUE(soon([&] { return server.handled() == 1; }));
  }
  EXPECT_TRUE(soon([&] { return server.gone() == 1; }));
}

TEST(HttpServerTest, CutsOffWhoDoesNotRead) {
  EchoServer server;
  RawClient client(server.port());
  client.send(get("/flood"));
  EXPECT_TRUE(soon([&] { return server.gone() == 1; }));
}

TEST(HttpServerTest, BoundsTheTime) {
  EchoServer server({.head_time = 300ms, .body_time = 300ms, .idle_time = 600ms});
  RawClient idle(server.port());
  RawClient head(server.port());
  RawClient body(server.port());
  head.send("GET / HT");
  body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_EQ(head.read_answer(5).status, 408);
  EXPECT_EQ(body.read_answer(5).status, 408);
  EXPECT_TRUE(idle.read_to_end(5));
  EXPECT_EQ(idle.got(), "");
}

TEST(HttpServerTest, BoundsTheConnections) {
  EchoServer server({.connections = 2});
  RawClient first(server.port());
  RawClient second(server.port());
  second.send(get("/x"));
  EXPECT_EQ(second.read_answer().status, 200);
  RawClient third(server.port());
  EXPECT_EQ(third.read_answer().status, 503);
  first.close();
  EXPECT_TRUE(soon([&] {
    RawClient again(server.port());
    return again.send(get("/x")) && again.read_answer().status == 200;
  }));
}

TEST(HttpServerTest, FinishesWithTheAnswersThatItOwes) {
  EchoServer server;
  RawClient idle(server.port());
  idle.send(get("/x"));
  EXPECT_EQ(idle.read_answer().status, 200);
  RawClient busy(server.port());
  busy.send(get("/hold"));
  ASSERT_TRUE(soon([&] { return server.handled() == 2; }));
  std::atomic<bool> done = false;
  server.http().post([&] { server.http().finish([&] { done = true; }); });
  EXPECT_TRUE(idle.read_to_end());
  EXPECT_FALSE(RawClient(server.port()).connected());
  EXPECT_FALSE(done);
  busy.close();
  EXPECT_TRUE(soon([&] { return done.load(); }) || server.gone() == 1);
}

TEST(HttpServerTest, WorkGoesToOtherThreadsAndComesBack) {
  EchoServer server;
  std::thread::id own, worker, back;
  std::atomic<bool> done = false;
  server.http().post([&] { own = std::this_thread::get_id(); });
  server.http().work([&] { worker = std::this_thread::get_id(); },
                     [&] {
                       back = std::this_thread::get_id();
                       done = true;
                     });
  ASSERT_TRUE(soon([&] { return done.load(); }));
  EXPECT_EQ(own, back);
  EXPECT_NE(own, worker);
}

TEST(HttpServerTest, SaysWhereItCannotListen) {
  EchoServer server;
  const auto taken = HttpServer::listen({.port = server.port()});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().kind(), ErrorKind::usage);
  EXPECT_NE(taken.error().to_string().find("Address already in use"), std::string::npos);
  EXPECT_FALSE(HttpServer::listen({.uds = "/nowhere/socket"}).ok());
  EXPECT_FALSE(HttpServer::listen({.uds = std::string(200, 'x')}).ok());
}

}  // namespace
}  // namespace braid::server
