// A template's source as tokens, with the white space rules of the environment that chat templates
// are written for: trim_blocks, lstrip_blocks, and no newline kept at the source's end.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid::text::tmpl {

enum class TokenType {
  data,
  block_begin,
  block_end,
  variable_begin,
  variable_end,
  name,
  string,
  integer,
  real,
  op,
  end
};

struct Token {
  TokenType type = TokenType::end;
  std::string text;  // of data, a name, an operator; the value of a string
  int64_t integer = 0;
  double real = 0;
  int line = 1;
};

// Ends with a token of type end. Errors: corrupt_data where the source is no template, unsupported
// for what Python would take and this engine does not; both name the line.
Result<std::vector<Token>> tokenize(std::string_view source);

// How an error names the token.
std::string describe(const Token& token);

Error syntax_error(int line, std::string message);

}  // namespace braid::text::tmpl
