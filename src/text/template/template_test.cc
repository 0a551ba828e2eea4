#include "text/template/template.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::text {
namespace {

Result<std::string> render(const std::string& source, const OrderedJson& variables = {},
                           const RenderOptions& options = {}) {
  const Result<Template> parsed = Template::parse(source, "test");
  if (!parsed.ok()) return parsed.error();
  return parsed->render(variables.is_null() ? OrderedJson::object() : variables, options);
}

// The text of the error of parsing or rendering, with its kind in front.
std::string error_of(const std::string& source, const RenderOptions& options = {}) {
  const Result<std::string> result = render(source, {}, options);
  if (result.ok()) return "rendered: " + *result;
  return std::string(name_of(result.error().kind())) + ": " + result.error().to_string();
}

std::string parse_error(const std::string& source) {
  const Result<Template> parsed = Template::parse(source, "test");
  if (parsed.ok()) return "parsed";
  return std::string(name_of(parsed.error().kind())) + ": " + parsed.error().to_string();
}

TEST(TemplateTest, RendersInOneLine) {
  EXPECT_EQ(*render("Hello {{ name }}!", {{"name", "world"}}), "Hello world!");
}

TEST(TemplateTest, OneTemplateRendersManyTimes) {
  const auto parsed = Template::parse("{% set n = n + 1 %}{{ n }}", "test");
  ASSERT_TRUE(parsed.ok());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*parsed->render({{"n", i}}), std::to_string(i + 1));
}

TEST(TemplateTest, VariablesKeepTheirTypesAndOrder) {
  const OrderedJson variables = OrderedJson::parse(
      R"({"v": {"z": 1, "a": 1.0, "t": true, "n": null, "l": [], "big": 9223372036854775807}})");
  EXPECT_EQ(*render("{{ v }}", variables),
            "{'z': 1, 'a': 1.0, 't': True, 'n': None, 'l': [], 'big': 9223372036854775807}");
  EXPECT_EQ(*render("{{ v|tojson }}", variables),
            R"({"z": 1, "a": 1.0, "t": true, "n": null, "l": [], "big": 9223372036854775807})");
}

TEST(TemplateTest, RefusesVariablesThatItCannotHold) {
  EXPECT_EQ(render("", OrderedJson::array()).error().to_string(),
            "a template's variables must be a JSON object (type = array)");
  EXPECT_EQ(render("", {{"n", 18446744073709551615u}}).error().kind(), ErrorKind::unsupported);
  EXPECT_EQ(render("", {{"s", "\xff"}}).error().kind(), ErrorKind::usage);
  EXPECT_EQ(render("", {{"\xc0\x80", 1}}).error().kind(), ErrorKind::usage);
  EXPECT_EQ(render("", {{"b", OrderedJson::binary({1})}}).error().kind(), ErrorKind::unsupported);
  OrderedJson deep;
  for (int i = 0; i < 400; ++i) deep = OrderedJson::array({deep});
  EXPECT_EQ(render("", {{"deep", deep}}).error().kind(), ErrorKind::exhausted);
}

TEST(TemplateTest, ErrorsNameTemplateAndLine) {
  EXPECT_EQ(error_of("a\n{{ x.y }}"), "usage: 'x' is undefined (template = test, line = 2)");
  EXPECT_EQ(error_of("a\n\n{{ 1 +\n }}"),
            "corrupt data: an expression is expected, not '}}' (line = 4, template = test)");
  // Behind the call of a macro the line is the caller's again.
  EXPECT_EQ(error_of("{% macro m() %}\nx\n{% endmacro %}\n{{ m() }}{{ m() + 1 }}"),
            "usage: '+' does not take a value of type 'str' and one of type 'int' (template = "
            "test, line = 4)");
  EXPECT_EQ(error_of("{% macro m() %}\n{{ 1 // 0 }}\n{% endmacro %}\n{{ m() }}"),
            "usage: division by zero (template = test, line = 2)");
}

TEST(TemplateTest, RaiseExceptionGivesItsMessage) {
  const auto result = render("{{ raise_exception('roles must ' ~ 'alternate') }}");
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind(), ErrorKind::usage);
  EXPECT_EQ(result.error().message(), "roles must alternate");
}

TEST(TemplateTest, StrftimeNowReadsTheGivenClock) {
  RenderOptions options;
  options.now = [] {
    std::tm now{};
    now.tm_year = 99;
    now.tm_mday = 2;
    return now;
  };
  EXPECT_EQ(*render("{{ strftime_now('%Y-%m-%d') }}", {}, options), "1999-01-02");
  EXPECT_EQ(error_of("{{ strftime_now('%f') }}", options).substr(0, 12), "unsupported:");
  EXPECT_EQ(error_of("{{ strftime_now('%100000Y') }}", options).substr(0, 12), "unsupported:");
  EXPECT_EQ(error_of("{{ strftime_now('%') }}", options).substr(0, 12), "unsupported:");
  EXPECT_EQ(error_of("{{ strftime_now('%c' * 1000) }}", options).substr(0, 12), "unsupported:");
  // Without a clock of ours it is the machine's.
  EXPECT_EQ(render("{{ strftime_now('%Y') }}")->size(), 4u);
}

struct Refusal {
  const char* source;
  const char* error;
};

TEST(TemplateTest, WhatIsMissingIsRefusedByNameWhenParsing) {
  const Refusal refusals[] = {
      {"\n{% block x %}{% endblock %}", "the tag 'block' is not supported (line = 2"},
      {"{% include 'x' %}", "the tag 'include' is not supported"},
      {"{% import 'x' as y %}", "the tag 'import' is not supported"},
      {"{% extends 'x' %}", "the tag 'extends' is not supported"},
      {"{% autoescape true %}", "the tag 'autoescape' is not supported"},
      {"{% do x %}", "the tag 'do' is not supported"},
      {"{% for i in x recursive %}{% endfor %}", "the recursive 'for' is not supported"},
      {"{{ '\\N{BULLET}' }}", "a string names a character with \\N (line = 1"},
      {"{{ '\\ud83d\\ude00' }}", "a string escapes half of a surrogate pair"},
      {"{{ 9223372036854775808 }}", "an int has more than 64 bits (line = 1"},
      {"{{ naïve }}", "names have only letters of ASCII (line = 1"},
      {"{{ x[1:2, 3] }}", "a slice among several indices is not supported"},
      {"{% set x[0] = 1 %}", "assigning to an item or attribute here is not supported"},
  };
  for (const Refusal& refusal : refusals) {
    const std::string error = parse_error(refusal.source);
    EXPECT_EQ(error.find(std::string("unsupported: ") + refusal.error), 0u)
        << refusal.source << "\n"
        << error;
  }
}

TEST(TemplateTest, WhatIsMissingIsRefusedByNameWhenRendering) {
  const Refusal refusals[] = {
      {"{{ cycler('a') }}", "the function 'cycler'"},
      {"{{ self.x() }}", "the function 'self'"},
      {"{{ 'a'.center(3) }}", "the attribute 'center' of a str"},
      {"{{ 'a'.encode() }}", "the attribute 'encode' of a str"},
      {"{{ {}.fromkeys }}", "the attribute 'fromkeys' of a dict"},
      {"{{ 1.5.is_integer() }}", "the attribute 'is_integer' of a float"},
      {"{{ '{:d}'.format(1) }}", "the format field '{:d}'"},
      {"{{ '{a.b}'.format(a=1) }}", "the format field '{a.b}'"},
      {"{{ '%-5d' % 1 }}", "the format '%-5d'"},
      {"{{ '%(a)s' % {'a': 1} }}", "the format '%(a)s'"},
      {"{{ '%9999d' % 1 }}", "a format wider than 1000"},
      {"{{ 'x'|format(a=1) }}", "the filter 'format' with named arguments"},
      {"{{ ['a']|map('escape')|list }}", "the filter 'escape'"},
      {"{{ x|escape }}", "unsupported: the filter 'escape' is not supported"},
      {"{{ x|e }}", "the filter 'e' is not supported"},
      {"{{ x|groupby('a') }}", "the filter 'groupby' is not supported"},
      {"{{ x|xmlattr }}", "the filter 'xmlattr' is not supported"},
      {"{{ x|truncate(3) }}", "the filter 'truncate' is not supported"},
      {"{% if 1 %}{{ 1|nope }}{% endif %}", "usage: there is no filter 'nope'"},
      {"{% if 1 %}{{ 1 is nope }}{% endif %}", "usage: there is no test 'nope'"},
      {"{{ ['a']|select('nope')|list }}", "usage: there is no test 'nope'"},
      {"{{ '%x'|safe % 1 }}", "the conversion '%x' of a 'int' in a safe format is not supported"},
      {"{{ '%d'|safe % '1' }}", "the conversion '%d' of a 'str' in a safe format is not supported"},
      {"{{ ('a'|safe).unescape() }}", "the attribute 'unescape' of a str is not supported"},
      {"{{ 'a'|indent('b'|safe) }}", "a safe width of the filter 'indent' for a text that isn't"},
      {"{{ [1]|map('abs') }}", "a generator can't be printed"},
      {"{{ range }}", "a function can't be printed"},
      {"{% macro m() %}{% endmacro %}{{ m }}", "a macro can't be printed"},
      {"{{ namespace() }}", "a namespace can't be printed"},
      {"{% for i in [1] %}{{ loop }}{% endfor %}", "a loop can't be printed"},
      {"{% for i in [1] %}{{ loop([]) }}{% endfor %}", "the recursive call of 'loop'"},
      {"{{ 9223372036854775807 + 1 }}", "the result of '+' has more than 64 bits"},
      {"{{ 2 ** 64 }}", "the result of '**' has more than 64 bits"},
      {"{{ -(-9223372036854775807 - 1) }}", "the result of '-' has more than 64 bits"},
      {"{{ '9223372036854775808'|int }}", "an int of more than 64 bits"},
      {"{{ 1e300|int }}", "an int of more than 64 bits"},
      {"{{ range(1, 2, 10000000000) }}", "a range beyond 4294967296"},
      {"{{ (-8) ** 0.5 }}", "a fractional power of a negative number is complex"},
      {"{{ 12.5|round(-1) }}", "rounding a float to -1 digits"},
      {"{{ 'a' is sameas 'a' }}", "the test 'sameas' of anything but true, false and none"},
      {"{{ [1]|map('abs') == 1|list }}", "iteration"},
  };
  for (const Refusal& refusal : refusals) {
    ASSERT_EQ(parse_error(refusal.source), "parsed") << refusal.source;
    const std::string error = error_of(refusal.source);
    EXPECT_NE(error.find(refusal.error), std::string::npos) << refusal.source << "\n" << error;
    EXPECT_NE(error.find("line = 1"), std::string::npos) << error;
  }
}

TEST(TemplateTest, WhatIsMissingAndNeverRunsIsNoError) {
  const char* const sources[] = {
      "{% if x %}{{ x|groupby('a') }}{% endif %}",
      "{% for y in [] %}{{ y|xmlattr }}{{ y|truncate(3) }}{% endfor %}",
      "{% macro m() %}{{ 'a'|wordwrap }}{% endmacro %}",
      "{% if x %}{{ x|a_filter_of_next_year(3, n=4) is such_a_test(1) }}{% endif %}",
      "{{ x|a_filter_of_next_year if x }}",
      "{{ 'a'.zfill(3) if x else '' }}",
  };
  for (const char* source : sources) {
    const auto result = render(source);
    ASSERT_TRUE(result.ok()) << source << "\n" << result.error().to_string();
    EXPECT_EQ(*result, "") << source;
  }
  // Elsewhere jinja2 looks an unknown name up before it renders anything.
  EXPECT_EQ(parse_error("\n{{ 1|nope }}"),
            "corrupt data: there is no filter 'nope' (line = 2, template = test)");
  EXPECT_EQ(parse_error("{% if x %}{% for y in x %}{{ 1 is nope }}{% endfor %}{% endif %}"),
            "corrupt data: there is no test 'nope' (line = 1, template = test)");
}

TEST(TemplateTest, TheSandboxLetsNothingChange) {
  EXPECT_EQ(error_of("{{ [].append(1) }}"),
            "usage: 'append' would change a list, which templates may not (template = test, line = "
            "1)");
  EXPECT_EQ(error_of("{% set d = {} %}{{ d.update({'a': 1}) }}").find("usage: 'update' would"), 0u);
  EXPECT_EQ(error_of("{{ ''.__class__.__mro__ }}").find("usage: '__class__' is internal"), 0u);
  EXPECT_EQ(*render("{{ [].append is defined }}|{{ [].append }}"), "False|");
  EXPECT_EQ(error_of("{% set n = namespace(_x=1) %}").find("usage: a namespace's attribute"), 0u);
}

TEST(TemplateTest, NamespacesMayHoldThemselves) {
  EXPECT_EQ(*render("{% set n = namespace() %}{% set n.n = n %}{% set n.l = [n] %}"
                    "{{ n.n.n.l[0] == n }}{{ n == namespace() }}"),
            "TrueFalse");
}

TEST(TemplateTest, MacrosSeeLaterValuesOfTheScopeTheyCameFrom) {
  EXPECT_EQ(
      *render("{% set n = namespace() %}{% if true %}{% set v = 1 %}"
              "{% macro m() %}{{ v }}{% endmacro %}{% set n.m = m %}{% set v = 2 %}{% endif %}"
              "{{ n.m() }}"),
      "2");
}

RenderOptions with_limits(int64_t steps, int64_t bytes) {
  RenderOptions options;
  options.limits.steps = steps;
  options.limits.output_bytes = bytes;
  return options;
}

TEST(TemplateTest, HostileTemplatesEndInAnError) {
  const char* const sources[] = {
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{{ 'x' * 9999999999999 }}",
      "{{ [0] * 9999999999999 }}",
      "{{ ([0] * 99999) * 99999 }}",
      "{% set n = namespace(s='xxxxxxxx') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}"
      "{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = [n.s, n.s] %}{% endfor %}"
      "{{ n.s }}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = [n.s, n.s] %}{% endfor %}"
      "{{ n.s|tojson }}",
      "{% set n = namespace(s=[1], t=[1]) %}{% for i in range(99) %}{% set n.s = [n.s, n.s] %}"
      "{% set n.t = [n.t, n.t] %}{% endfor %}{{ n.s == n.t }}",
      "{% set n = namespace(s=[]) %}{% for i in range(999) %}{% set n.s = [n.s] %}{% endfor %}",
      "{% set n = namespace(s={}) %}{% for i in range(999) %}{% set n.s = {'a': n.s} %}{% endfor "
      "%}",
      "{% set n = namespace(l=0) %}{% for i in range(999) %}{% for j in [n.l] %}"
      "{% set n.l = loop %}{% endfor %}{% endfor %}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro m() %}{{ caller() }}{% endmacro %}{% macro r() %}{% call m() %}{{ r() }}"
      "{% endcall %}{% endmacro %}{{ r() }}",
      "{{ ('a' * 99999).replace('', 'b' * 99999) }}",
      "{{ ('a' * 99999)|replace('a', 'b' * 99999) }}",
      "{{ 'a\nb'|indent(9999999999) }}",
      "{{ [[[]]]|tojson(indent=9999999999) }}",
      "{{ ('a\n' * 9999)|indent('x' * 9999) }}",
      "{{ (['']*99999)|join('x' * 99999) }}",
      "{{ ('x' * 99999).join('y' * 99999) }}",
      "{{ [1]|batch(9999999999, 0)|list }}",
      "{{ range(100001) }}",
      "{{ range(99999)|map('string')|list|unique|list }}",
      "{% set n = namespace(k=range(99999)|list) %}{% for i in n.k %}{{ n.k|last }}{% endfor %}"
      "{% for i in n.k %}{{ n.k == n.k + [1] }}{{ i in n.k }}{% endfor %}",
      "{% set s = 'a' * 99999 %}{% for i in range(99999) %}{{ s ~ 'b' in s }}{% endfor %}",
  };
  const RenderOptions few = with_limits(1'000'000, 1 << 20);
  for (const char* source : sources) {
    EXPECT_EQ(error_of(source, few).substr(0, 10), "exhausted:") << source;
  }
  EXPECT_EQ(error_of(sources[0]).substr(0, 10), "exhausted:");  // with the default limits, too
}

TEST(TemplateTest, LimitsCanBeSet) {
  EXPECT_EQ(error_of("{{ 'x' * 1000 }}", with_limits(1'000'000, 999)),
            "exhausted: the rendered text is too long (limit in bytes = 999, template = test, line "
            "= 1)");
  EXPECT_EQ(render("{{ 'x' * 1000 }}", {}, with_limits(1'000'000, 1000))->size(), 1000u);
  EXPECT_EQ(error_of("\n{% for i in range(1000) %}{% endfor %}", with_limits(1000, 1000)),
            "exhausted: the template does more work than a rendering may (limit in steps = 1000, "
            "template = test, line = 2)");
  // The output's bound counts what macros and blocks capture, too.
  EXPECT_EQ(error_of("{% set x %}{{ 'x' * 1000 }}{% endset %}", with_limits(1'000'000, 999))
                .substr(0, 10),
            "exhausted:");
}

TEST(TemplateTest, ReasonableMacrosRecurse) {
  EXPECT_EQ(*render("{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}"
                    "{{ f(80)|length }}"),
            "152");
}

TEST(TemplateTest, DeepNestingIsRefusedWhenParsing) {
  const auto repeat = [](std::string_view text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
  };
  const auto is_refused = [&](const std::string& source) {
    return parse_error(source).substr(0, 12) == "unsupported:";
  };
  EXPECT_TRUE(is_refused("{{ " + repeat("(", 5000) + "1" + repeat(")", 5000) + " }}"));
  EXPECT_TRUE(is_refused("{{ " + repeat("[", 5000) + repeat("]", 5000) + " }}"));
  EXPECT_TRUE(is_refused("{{ " + repeat("{1:", 5000) + "1" + repeat("}", 5000) + " }}"));
  EXPECT_TRUE(is_refused("{{ " + repeat("-", 5000) + "1 }}"));
  EXPECT_TRUE(is_refused("{{ " + repeat("not ", 5000) + "1 }}"));
  EXPECT_TRUE(is_refused("{{ 1" + repeat("+1", 5000) + " }}"));
  EXPECT_TRUE(is_refused("{{ 1" + repeat("|abs", 5000) + " }}"));
  EXPECT_TRUE(is_refused("{{ x" + repeat(".y", 5000) + " }}"));
  EXPECT_TRUE(is_refused("{{ 1" + repeat(" if 1 else 1", 5000) + " }}"));
  EXPECT_TRUE(is_refused("{% set " + repeat("(", 5000) + "x" + repeat(")", 5000) + " = 1 %}"));
  EXPECT_TRUE(is_refused(repeat("{% if 1 %}", 5000) + repeat("{% endif %}", 5000)));
  // Long is not deep.
  EXPECT_EQ(*render("{{ 1" + repeat(" ~ 1", 5000) + " }}"), repeat("1", 5001));
  EXPECT_EQ(render("{{ 1" + repeat("+1", 150) + " }}")->size(), 3u);
  EXPECT_EQ(*render("{% if 0 %}" + repeat("{% elif 0 %}", 5000) + "{% else %}x{% endif %}"), "x");
}

TEST(TemplateTest, TheDeepestExpressionsAndMacrosFitTheStack) {
  std::string brackets = "{{ ";
  for (int i = 0; i < 190; ++i) brackets += "[";
  for (int i = 0; i < 190; ++i) brackets += "]";
  EXPECT_EQ(render(brackets + " }}")->size(), 380u);
  // Each level of the recursion stands in an expression of its own depth.
  std::string nested = "{% macro m() %}{{ ";
  for (int i = 0; i < 90; ++i) nested += "(1 ~ [";
  nested += "m()";
  for (int i = 0; i < 90; ++i) nested += "])";
  EXPECT_EQ(error_of(nested + " }}{% endmacro %}{{ m() }}").substr(0, 10), "exhausted:");
}

TEST(TemplateTest, SourcesAreTexts) {
  EXPECT_EQ(parse_error("\xff"), "corrupt data: the template is not UTF-8 (template = test)");
  EXPECT_EQ(parse_error(std::string(5 << 20, 'x')).substr(0, 37),
            "unsupported: the template is too long");
  EXPECT_EQ(*render(""), "");
  EXPECT_EQ(render(std::string("a\0b", 3))->size(), 3u);
}

}  // namespace
}  // namespace braid::text
