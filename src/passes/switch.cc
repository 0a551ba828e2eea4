#include "passes/switch.h"

namespace braid::passes {

Result<Switch> parse_switch(std::string_view option, std::string_view text) {
  if (text == "auto") return Switch::automatic;
  if (text == "on") return Switch::on;
  if (text == "off") return Switch::off;
  return Error(ErrorKind::usage, "not a switch").with(option, text).remedy("Use auto, on or off.");
}

}  // namespace braid::passes
