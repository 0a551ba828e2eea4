#include "comm/control/hello.h"

#include <charconv>

#include "base/digest.h"
#include "comm/control/message.h"

namespace braid::comm {
namespace {

constexpr std::string_view kProtocol = "braid control plane 1";
constexpr int kMostRanks = 1 << 20;

std::string proof(std::string_view purpose, std::string_view challenge,
                  const std::vector<std::string>& said, std::string_view secret) {
  return hmac_sha256(secret, pack({std::string(kProtocol), std::string(purpose),
                                   std::string(challenge), pack(said)}));
}

std::optional<int> number(const std::string& text, int most) {
  int value = -1;
  const char* end = text.data() + text.size();
  const auto [at, code] = std::from_chars(text.data(), end, value);
  if (code != std::errc() || at != end || value < 0 || value > most) return std::nullopt;
  return value;
}

// A hello without its proof: role, rank, world, nonce.
std::vector<std::string> said_in(std::string_view bytes, std::string& proven) {
  const Result<std::vector<std::string>> parts = unpack(bytes);
  if (!parts.ok() || parts->size() != 5) return {};
  proven = parts->back();
  return {parts->begin(), parts->end() - 1};
}

}  // namespace

std::string make_challenge() { return random_bytes(kDigestBytes); }

std::string make_hello(const Hello& hello, std::string_view challenge, std::string_view nonce,
                       std::string_view secret) {
  std::vector<std::string> parts = {hello.launcher ? "launcher" : "rank",
                                    fmt::format("{}", hello.rank), fmt::format("{}", hello.world),
                                    std::string(nonce)};
  parts.push_back(proof("hello", challenge, parts, secret));
  return pack(parts);
}

std::optional<ProvenHello> check_hello(std::string_view bytes, std::string_view challenge,
                                       std::string_view secret) {
  std::string proven;
  const std::vector<std::string> said = said_in(bytes, proven);
  if (said.empty()) return std::nullopt;
  if (!equal_in_constant_time(proven, proof("hello", challenge, said, secret))) return std::nullopt;
  const auto rank = number(said[1], kMostRanks), world = number(said[2], kMostRanks);
  const bool launcher = said[0] == "launcher";
  if (!rank || !world || (!launcher && said[0] != "rank")) return std::nullopt;
  return ProvenHello{{launcher, *rank, *world}, proof("welcome", challenge, said, secret)};
}

bool check_welcome(std::string_view welcome, std::string_view hello, std::string_view challenge,
                   std::string_view secret) {
  std::string proven;
  const std::vector<std::string> said = said_in(hello, proven);
  return equal_in_constant_time(welcome, proof("welcome", challenge, said, secret));
}

}  // namespace braid::comm
