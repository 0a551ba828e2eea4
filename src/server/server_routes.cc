// The server's endpoints.
#include <algorithm>

#include "base/digest.h"
#include "server/server.h"

namespace braid::server {
namespace {

constexpr size_t kMostTokens = 16 << 20;  // of /detokenize
constexpr size_t kRequestIdBytes = 128;

Error error_of(ErrorKind kind, std::string message) { return Error(kind, std::move(message)); }

// What may stand in a head, in a log and in a file's name.
bool is_safe(std::string_view id) {
  return !id.empty() && id.size() <= kRequestIdBytes &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.' || c == ':';
         });
}

bool is_json(const HttpRequest& request) {
  const std::string* type = request.field("content-type");
  if (type == nullptr) return false;
  const size_t end = type->find_first_of("; \t");
  return equal_names(std::string_view(*type).substr(0, end), "application/json");
}

// "a%2Fb" is "a/b" (RFC 3986, 2.1); what is no such escape stays.
std::string unescaped(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape =
        text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
    out += escape ? static_cast<char>(16 * digit(text[i + 1]) + digit(text[i + 2])) : text[i];
    if (escape) i += 2;
  }
  return out;
}

// Names of fields, as a field of the head lists them; what a head can't have is left out.
std::string header_list(const std::vector<std::string>& names) {
  constexpr size_t kMost = 1024;
  std::string list;
  for (const std::string& name : names) {
    if (!is_safe(name)) continue;
    if (list.size() + name.size() > kMost) return list + ", ...";
    list += (list.empty() ? "" : ", ") + name;
  }
  return list;
}

int status_of(const Error& error) { return error.kind() == ErrorKind::not_found ? 404 : 400; }

HttpAnswer answer_of(const Result<Json>& result) {
  if (!result.ok()) return to_answer({status_of(result.error()), result.error()});
  return {.body = result->dump(-1, ' ', false, Json::error_handler_t::replace)};
}

Result<Json> tokens_of(const Json& body, const ServedModel& model) {
  Fields fields(body);
  TRY(model.check_name(TRY(fields.text("model")).value_or(model.names.front())));
  std::vector<std::string> ignored;
  const bool chat = fields.find("messages") != nullptr;
  const bool special = TRY(fields.flag("add_special_tokens")).value_or(!chat);
  std::optional<std::string> text;
  if (chat) {
    text = TRY(render_messages(fields, model));
  } else {
    text = TRY(fields.text("prompt"));
    const std::optional<std::string> content = TRY(fields.text("content"));
    if (!text) text = content;
  }
  if (!text) return bad_field("prompt", "prompt, content or messages is missing");
  TRY(check_unknown(fields, model, ignored));
  const std::vector<int32_t> ids = TRY(model.tokenizer.encode(*text, special));
  return Json{{"count", ids.size()}, {"max_model_len", model.context_length}, {"tokens", ids}};
}

Result<Json> text_of(const Json& body, const ServedModel& model) {
  Fields fields(body);
  TRY(model.check_name(TRY(fields.text("model")).value_or(model.names.front())));
  std::vector<std::string> ignored;
  if (fields.find("tokens") == nullptr) return bad_field("tokens", "tokens is missing");
  const std::vector<int32_t> ids = TRY(fields.ids("tokens", model.vocab_size, kMostTokens));
  TRY(check_unknown(fields, model, ignored));
  const std::string text = model.tokenizer.decode(ids, /*skip_special=*/false);
  return Json{{"prompt", text}, {"content", text}};
}

}  // namespace

const std::map<std::string_view, Server::Route>& Server::routes() {
  static const std::map<std::string_view, Route> all = {
      {"/chat/completions", {"POST", &Server::chat_completions}},
      {"/completions", {"POST", &Server::completions}},
      {"/models", {"GET", &Server::models}},
      {"/tokenize", {"POST", &Server::tokenize}},
      {"/detokenize", {"POST", &Server::detokenize}},
      {"/health", {"GET", &Server::health, true}},
      {"/health/live", {"GET", &Server::live, true}},
      {"/metrics", {"GET", &Server::metrics, true}},
      {"/version", {"GET", &Server::version, true}},
      {"/server_info", {"GET", &Server::server_info}},
  };
  return all;
}

void Server::take(const std::shared_ptr<Exchange>& exchange) {
  const HttpRequest& request = exchange->request();
  const std::string* id = request.field("x-request-id");
  exchange->add_field("X-Request-Id", id != nullptr && is_safe(*id) ? *id : hex(random_bytes(16)));
  for (HttpField& field : access_.cors_fields(request)) {
    exchange->add_field(std::move(field.name), std::move(field.value));
  }
  std::string_view path = request.path;
  if (path.starts_with("/v1/")) path.remove_prefix(3);
  constexpr std::string_view kModel = "/models/";
  const bool one = path.starts_with(kModel) && path.size() > kModel.size();
  const auto found = routes().find(one ? "/models" : path);
  if (found == routes().end()) {
    return exchange->send(to_answer(
        {404, error_of(ErrorKind::not_found, "there is no such endpoint").with("path", path)}));
  }
  const Route& route = found->second;
  if (request.method == "OPTIONS") {
    return exchange->send(
        {.status = 204,
         .type = {},
         .body = {},
         .fields = {{"Allow", fmt::format("{}, OPTIONS", route.method)},
                    {"Access-Control-Allow-Methods", std::string(route.method)},
                    {"Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id"},
                    {"Access-Control-Max-Age", "600"}}});
  }
  if (request.method != route.method && !(request.method == "HEAD" && route.method == "GET")) {
    HttpAnswer answer =
        to_answer({405, error_of(ErrorKind::usage, "the endpoint has another method")
                            .with("method", request.method)
                            .with("its method", route.method)});
    answer.fields.push_back({"Allow", fmt::format("{}, OPTIONS", route.method)});
    return exchange->send(std::move(answer));
  }
  if (!route.open && !access_.knows(request)) {
    HttpAnswer answer = to_answer(
        {401, error_of(ErrorKind::usage, "the API key is missing, or is none of this server")
                  .with(kCode, "invalid_api_key")
                  .remedy("Send \"Authorization: Bearer KEY\".")});
    answer.fields.push_back({"WWW-Authenticate", "Bearer"});
    return exchange->send(std::move(answer));
  }
  if (one) return one_model(exchange, path.substr(kModel.size()));
  (this->*route.handler)(exchange);
}

void Server::health(const std::shared_ptr<Exchange>& exchange) {
  if (state_ == State::ready) return exchange->send({.body = R"({"status":"ready"})"});
  Json json = {{"status", state_ == State::loading    ? "loading"
                          : state_ == State::draining ? "draining"
                                                      : "failed"}};
  if (state_ == State::loading) {
    const Activity activity = console_.activity();
    json["stage"] = activity.stage;
    if (activity.share) json["share"] = *activity.share;
    if (activity.seconds_left) json["seconds_left"] = *activity.seconds_left;
  } else if (state_ == State::failed) {
    json["error"] = failure_.to_string();
  }
  exchange->send({.status = 503, .body = json.dump(), .fields = {{"Retry-After", "1"}}});
}

void Server::live(const std::shared_ptr<Exchange>& exchange) {
  const double seconds = state_ == State::loading ? 0 : service_->step_seconds();
  const bool hangs = seconds > options_.step_seconds;
  const bool lives = state_ != State::failed && !hangs;
  Json json = {{"status", lives ? "live" : state_ == State::failed ? "failed" : "hangs"}};
  if (hangs) json["step_seconds"] = seconds;
  if (state_ == State::failed) json["error"] = failure_.to_string();
  exchange->send({.status = lives ? 200 : 503, .body = json.dump()});
}

void Server::version(const std::shared_ptr<Exchange>& exchange) {
  exchange->send({.body = Json{{"version", options_.version}}.dump()});
}

void Server::server_info(const std::shared_ptr<Exchange>& exchange) {
  Json info = options_.info;
  info["version"] = options_.version;
  info["started"] = created_;
  exchange->send({.body = info.dump(-1, ' ', false, Json::error_handler_t::replace)});
}

void Server::metrics(const std::shared_ptr<Exchange>& exchange) {
  const std::string text = state_ == State::loading ? std::string() : metrics_->text();
  exchange->send({.type = "text/plain; version=0.0.4; charset=utf-8", .body = text});
}

namespace {

Json model_json(const ServedModel& model, const std::string& name, int64_t created) {
  return {{"id", name},
          {"object", "model"},
          {"created", created},
          {"owned_by", "braid"},
          {"root", model.root},
          {"parent", nullptr},
          {"max_model_len", model.context_length}};
}

}  // namespace

void Server::models(const std::shared_ptr<Exchange>& exchange) {
  if (state_ == State::loading) return exchange->send(to_answer(*unready()));
  Json list = Json::array();
  for (const std::string& name : model_->names) {
    list.push_back(model_json(*model_, name, created_));
  }
  exchange->send({.body = Json{{"object", "list"}, {"data", std::move(list)}}.dump()});
}

void Server::one_model(const std::shared_ptr<Exchange>& exchange, std::string_view name) {
  if (state_ == State::loading) return exchange->send(to_answer(*unready()));
  const std::string wanted = unescaped(name);
  const Status known = model_->check_name(wanted);
  if (!known.ok()) return exchange->send(to_answer({404, known.error()}));
  exchange->send({.body = model_json(*model_, wanted, created_).dump()});
}

bool Server::admit(const std::shared_ptr<Exchange>& exchange) {
  if (const auto error = unready()) {
    exchange->send(to_answer(*error));
    return false;
  }
  if (is_json(exchange->request())) return true;
  exchange->send(to_answer({415, error_of(ErrorKind::usage, "the body must be JSON")
                                     .remedy("Send \"Content-Type: application/json\".")}));
  return false;
}

void Server::generate(const std::shared_ptr<Exchange>& exchange, ReadRequest read) {
  if (!admit(exchange)) return;
  struct Job {
    std::string body;
    std::shared_ptr<const ServedModel> model;
    std::optional<Result<GenerationRequest>> request;
    bool gone = false;
  };
  const auto job = std::make_shared<Job>();
  job->body = std::move(exchange->request().body);
  job->model = model_;
  const auto arrived = Clock::now();
  exchange->on_gone([job] { job->gone = true; });
  http_->work(
      [job, read] {
        const Result<Json> body = parse_object(job->body);
        job->request = body.ok() ? read(*body, *job->model) : body.status();
        job->body = {};
      },
      [this, job, exchange, arrived] {
        if (job->gone) return;
        Result<GenerationRequest>& request = *job->request;
        if (!request.ok()) {
          return exchange->send(to_answer({status_of(request.error()), request.error()}));
        }
        if (const auto error = unready()) return exchange->send(to_answer(*error));
        if (!request->ignored.empty()) {
          exchange->add_field("X-Braid-Ignored", header_list(request->ignored));
        }
        generations_->start(exchange, *std::move(request), job->model, arrived);
      });
}

void Server::answer_with(const std::shared_ptr<Exchange>& exchange, Answer answer) {
  if (!admit(exchange)) return;
  struct Job {
    std::string body;
    std::optional<HttpAnswer> answer;
  };
  const auto job = std::make_shared<Job>();
  job->body = std::move(exchange->request().body);
  http_->work(
      [job, answer, model = model_] {
        const Result<Json> body = parse_object(job->body);
        job->answer = answer_of(body.ok() ? answer(*body, *model) : body);
      },
      [job, exchange] { exchange->send(*std::move(job->answer)); });
}

void Server::completions(const std::shared_ptr<Exchange>& exchange) {
  generate(exchange, read_completion);
}
void Server::chat_completions(const std::shared_ptr<Exchange>& exchange) {
  generate(exchange, read_chat);
}
void Server::tokenize(const std::shared_ptr<Exchange>& exchange) {
  answer_with(exchange, tokens_of);
}
void Server::detokenize(const std::shared_ptr<Exchange>& exchange) {
  answer_with(exchange, text_of);
}

}  // namespace braid::server
