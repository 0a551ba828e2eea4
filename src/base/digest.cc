#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/status.h"

namespace braid {
namespace {

const unsigned char* unsigned_data(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* unsigned_data(std::string& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

}  // namespace

std::string sha256(std::string_view bytes) {
  std::string digest(kDigestBytes, '\0');
  const int done =
      EVP_Digest(bytes.data(), bytes.size(), unsigned_data(digest), nullptr, EVP_sha256(), nullptr);
  BRAID_CHECK(done == 1, "(EVP_Digest of {} bytes)", bytes.size());
  return digest;
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  std::string digest(kDigestBytes, '\0');
  const unsigned char* done =
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), unsigned_data(bytes),
           bytes.size(), unsigned_data(digest), nullptr);
  BRAID_CHECK(done != nullptr, "(HMAC of {} bytes)", bytes.size());
  return digest;
}

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  const int done = RAND_bytes(unsigned_data(bytes), static_cast<int>(count));
  BRAID_CHECK(done == 1, "(RAND_bytes of {})", count);
  return bytes;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

}  // namespace braid
