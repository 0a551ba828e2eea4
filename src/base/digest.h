// Fingerprints and proofs of a shared secret: SHA-256 and HMAC of libcrypto.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace braid {

inline constexpr size_t kDigestBytes = 32;

// SHA-256 of `bytes`: 32 bytes (FIPS 180-4).
std::string sha256(std::string_view bytes);
// HMAC-SHA-256 (RFC 2104): 32 bytes that cannot be made without knowing `key`.
std::string hmac_sha256(std::string_view key, std::string_view bytes);

// Bytes that cannot be predicted.
std::string random_bytes(size_t count);

// Takes the same time wherever two texts of one length differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

// Two digits a byte, in lower case.
std::string hex(std::string_view bytes);

}  // namespace braid
