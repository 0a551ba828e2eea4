// Where and whom braid serve answers.
#include "base/options_rows.h"

namespace braid::rows {
namespace {

bool is_metrics_prefix(std::string_view text) {
  if (text.empty() || (text.front() >= '0' && text.front() <= '9')) return false;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != ':') return false;
  }
  return true;
}

bool is_not_empty(std::string_view text) { return !text.empty(); }

}  // namespace

std::vector<OptionSpec> server_options() {
  const auto group = "Server";
  return {
      {.name = "host",
       .group = group,
       .help = "address to answer at; 0.0.0.0 for all of this machine's",
       .commands = kServe,
       .standard = "127.0.0.1"},
      {.name = "port",
       .type = OptionType::integer,
       .group = group,
       .help = "port to answer at; 0 for any that is free",
       .commands = kServe,
       .standard = "30000",
       .minimum = 0,
       .maximum = 65535},
      {.name = "uds",
       .type = OptionType::path,
       .group = group,
       .help = "Unix socket to answer at, instead of host and port",
       .commands = kServe,
       .value_name = "FILE"},
      {.name = "served-model-name",
       .group = group,
       .help = "name that requests call the model by; several may be given, answers say the first; "
               "the model's folder if not given",
       .commands = kServe,
       .repeatable = true,
       .accepts = is_not_empty,
       .syntax = "a name"},
      {.name = "api-key",
       .group = group,
       .help = "key that requests must have; several may be given",
       .commands = kServe,
       .repeatable = true,
       .secret = true,
       .accepts = is_not_empty,
       .syntax = "a text that is not empty"},
      {.name = "api-key-file",
       .type = OptionType::path,
       .group = group,
       .help = "file with such keys, a line each",
       .commands = kServe,
       .value_name = "FILE"},
      {.name = "allow-origin",
       .group = group,
       .help = "origin whose pages may ask from a browser, or * for all; several may be given",
       .commands = kServe,
       .repeatable = true},
      {.name = "strict-fields",
       .type = OptionType::flag,
       .group = group,
       .help = "refuse requests with fields that braid does not know, instead of naming them in "
               "X-Braid-Ignored",
       .commands = kServe},
      {.name = "metrics-prefix",
       .group = group,
       .help = "what the names of metrics begin with; vllm: for dashboards that are made for it",
       .commands = kServe,
       .standard = "braid:",
       .accepts = is_metrics_prefix,
       .syntax = "letters, digits, _ and :"},
      {.name = "drain-timeout",
       .type = OptionType::number,
       .group = group,
       .help = "seconds that answers may take to end after SIGTERM",
       .commands = kServe,
       .standard = "60",
       .minimum = 0,
       .maximum = 86400},
      {.name = "max-connections",
       .type = OptionType::integer,
       .group = group,
       .help = "most connections at once; more are refused",
       .commands = kServe,
       .standard = "4096",
       .minimum = 1,
       .maximum = kMillion},
  };
}

}  // namespace braid::rows
