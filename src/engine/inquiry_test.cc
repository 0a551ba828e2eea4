#include "engine/inquiry.h"

#include <gtest/gtest.h>

#include "engine/values.h"

namespace braid::engine {
namespace {

std::vector<Inquiry> some_inquiries() {
  const std::vector<int32_t> targets = {3, 1, 4};
  return {Inquiry::read({.resident = 7, .first = 2, .count = 5, .copy = 1}),
          Inquiry::write({.resident = 7, .first = 2, .count = 1}, "bytes"),
          Inquiry::score(targets),
          Inquiry::execution(true, {.seed = 0xfedcba9876543210u, .longest = 9}),
          Inquiry::trace(true),
          {.kind = Inquiry::Kind::take_trace},
          {.kind = Inquiry::Kind::clock},
          {.kind = Inquiry::Kind::clear_state},
          Inquiry::keep_state(int64_t{1} << 40),
          Inquiry::compare_state(3)};
}

TEST(InquiryTest, ComesBackAsItWas) {
  std::set<Inquiry::Kind> kinds;
  for (const Inquiry& inquiry : some_inquiries()) {
    const Inquiry back = Inquiry::from_bytes(inquiry.to_bytes()).value();
    EXPECT_EQ(back.kind, inquiry.kind);
    EXPECT_EQ(back.numbers, inquiry.numbers);
    EXPECT_EQ(back.bytes, inquiry.bytes);
    kinds.insert(back.kind);
  }
  EXPECT_EQ(std::ssize(kinds), Inquiry::kKinds);
  const ResidentRows rows = Inquiry::from_bytes(some_inquiries()[0].to_bytes())->rows();
  EXPECT_EQ(rows.resident, 7);
  EXPECT_EQ(rows.first, 2);
  EXPECT_EQ(rows.count, 5);
  EXPECT_EQ(rows.copy, 1);
}

TEST(InquiryTest, NonsenseIsRefused) {
  const std::string bytes = Inquiry::trace(true).to_bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Inquiry::from_bytes(bytes.substr(0, size)).ok()) << size;
  }
  for (const char kind : {'\x0a', '\x7f', '\xff'}) {
    std::string wild = bytes;
    wild[0] = kind;
    EXPECT_FALSE(Inquiry::from_bytes(wild).ok());
  }
  EXPECT_FALSE(values_of_bytes<int64_t>("seven b").ok());
  EXPECT_TRUE(values_of_bytes<int64_t>("")->empty());
}

}  // namespace
}  // namespace braid::engine
