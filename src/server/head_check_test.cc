#include "server/head_check.h"

#include <gtest/gtest.h>

#include <string>

namespace braid::server {
namespace {

using namespace std::string_literals;

TEST(HeadCheckTest, LinesAndCharacters) {
  const std::string good = "GET / HTTP/1.1\r\nHost: a\r\nX: b\tc \xc3\xa4\r\n\r\n";
  EXPECT_EQ(fault_in_head(good), "");
  EXPECT_EQ(fault_in_head("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"),
            "a field is folded over several lines");
  EXPECT_EQ(fault_in_head("GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n"),
            "a field is folded over several lines");
  for (const std::string& bad :
       {"GET / HTTP/1.1\nHost: a\r\n\r\n"s, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"s,
        "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"s, "GET / HTTP/1.1\r\nHost: \x7f\r\n\r\n"s,
        "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"s}) {
    EXPECT_EQ(fault_in_head(bad), "the head has a control character");
  }
}

struct FieldsCase {
  int version;
  std::vector<HttpField> fields;
  std::string_view fault;
};

TEST(HeadCheckTest, Fields) {
  const HttpField host{"Host", "a:80"};
  const HttpField length{"content-length", "5"};
  const HttpField chunked{"TRANSFER-ENCODING", "Chunked"};
  for (const FieldsCase& row : std::vector<FieldsCase>{
           {11, {host}, ""},
           {11, {{"Host", ""}}, ""},
           {11, {{"host", "[::1]:30000"}, length}, ""},
           {11, {host, chunked}, ""},
           {10, {}, ""},
           {10, {length}, ""},
           {11, {}, "there is no field Host"},
           {11, {host, host}, "there are two fields Host"},
           {10, {host, host}, "there are two fields Host"},
           {11, {{"Host", "a b"}}, "the field Host is no host"},
           {11, {{"Host", "user@a"}}, "the field Host is no host"},
           {11, {host, length, length}, "there are several lengths"},
           {11, {host, {"Content-Length", "5, 5"}}, "there are several lengths"},
           {11, {host, chunked, chunked}, "there are several transfer encodings"},
           {11, {host, length, chunked}, "there are a length and a transfer encoding"},
           {10, {chunked}, "HTTP/1.0 has no transfer encodings"},
           {11,
            {host, {"Transfer-Encoding", "gzip, chunked"}},
            "the transfer encoding is not just chunked"},
           {11,
            {host, {"Transfer-Encoding", "identity"}},
            "the transfer encoding is not just chunked"},
           {11,
            {host, {"Transfer-Encoding", "chunked, identity"}},
            "the transfer encoding is not just chunked"},
           {11, {host, {"Transfer-Encoding", ""}}, "the transfer encoding is not just chunked"}}) {
    EXPECT_EQ(fault_in_fields(row.version, row.fields), row.fault);
  }
}

}  // namespace
}  // namespace braid::server
