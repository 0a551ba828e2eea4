"""Writes tests/data/templates/*.json: templates, variables, and what jinja2 makes of them.

Needs Python with jinja2 3.1.6. Run from the repository root:
    python3 tools/make_template_fixtures.py
The environment is the one that chat templates are written for: immutable sandbox, trim_blocks,
lstrip_blocks, loop controls, a tojson that escapes no HTML, raise_exception, strftime_now and the
tag generation. The clock stands at 5 July 2024, 14:03:09.
"""

import datetime
import json
import pathlib

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from template_cases import chats, expressions, failures, filters, safe, statements, whitespace

FOLDER = pathlib.Path("tests/data/templates")
NOW = datetime.datetime(2024, 7, 5, 14, 3, 9)


class Generation(jinja2.ext.Extension):
    """{% generation %}: its body as it is, in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        node = jinja2.nodes.CallBlock(self.call_method("_pass_on"), [], [], body)
        return node.set_lineno(line)

    def _pass_on(self, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    """A namespace without private names."""

    def __init__(*args, **kwargs):
        for name in dict(*args[1:], **kwargs):
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(*args, **kwargs)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


class Raised(jinja2.exceptions.TemplateError):
    pass


def raise_exception(message):
    raise Raised(message)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, namespace=Namespace,
                       strftime_now=lambda format: NOW.strftime(format))
    return env


ENV = environment()
VARIABLES = {
    "s": "Hello World", "e": "", "u": "Straße ÀÉ ñ", "l": [3, 1, 2], "ll": [[1, 2], [3, 4]],
    "d": {"b": 1, "a": {"x": [1, {"y": "z"}]}, "items2": 3}, "n": None, "t": True, "f": 2.5, "i": 7,
    "ms": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yo", "tool_calls": [
            {"id": "1", "function": {"name": "f", "arguments": {"q": 1.0, "é": "ü"}}}]},
        {"role": "user", "content": None},
    ],
}
STATEMENT_VARIABLES = {
    "l": [1, 2, 3], "e": [], "d": {"a": 1, "b": 2}, "x": "X", "t": True, "n": None,
    "ms": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}],
}


def render(template, variables):
    """{"output": text}, or {"error": syntax | raised | render, "python": its class and message}."""
    try:
        return {"output": ENV.from_string(template).render(**variables)}
    except (jinja2.TemplateSyntaxError, SyntaxError) as error:
        kind = "syntax"
    except Raised as error:
        return {"error": "raised", "python": str(error)}
    except Exception as caught:
        return {"error": "render", "python": f"{type(caught).__name__}: {caught}"}
    return {"error": kind}


def write(name, variables, templates, check):
    cases = [{"template": template, **render(template, variables)} for template in templates]
    for case in cases:
        check(case)
    write_cases(name, {"variables": variables, "cases": cases})


def write_cases(name, content):
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in content.pop("cases"))
    head = json.dumps(content, ensure_ascii=False)[1:-1]
    text = "{" + head + (",\n" if head else "") + '"cases": [\n' + lines + "\n]}\n"
    (FOLDER / f"{name}.json").write_text(text)
    print(name, lines.count("\n") + 1, "cases,", len(text), "bytes")


def inside(lines):
    return ["{{ " + line + " }}" for line in lines.strip("\n").split("\n")]


def renders(case):
    assert "output" in case, case


def fails(case):
    assert "error" in case, case


def chat_cases():
    for path in sorted(FOLDER.glob("*.jinja")):
        template = path.read_text()
        for chat, given in chats.CHATS.items():
            variables = {"messages": [], "tools": None, "documents": None,
                         "add_generation_prompt": False, "bos_token": "<s>", "eos_token": "</s>"}
            variables.update(given)
            yield {"file": path.name, "chat": chat, **render(template, variables)}


def main():
    write("expressions", VARIABLES, inside(expressions.EXPRESSIONS), renders)
    write("tests", VARIABLES, inside(expressions.TESTS), renders)
    write("methods", VARIABLES, inside(expressions.METHODS), renders)
    write("filters", VARIABLES, inside(filters.FILTERS), renders)
    write("failures", VARIABLES, inside(failures.FAILURES), fails)
    either = lambda case: None
    write("statements", STATEMENT_VARIABLES, statements.STATEMENTS.strip("\n").split("\n"), either)
    write("safe", STATEMENT_VARIABLES | {"h": "<a & 'b'\" >"}, safe.SAFE.strip("\n").split("\n"),
          either)
    write("unknown", STATEMENT_VARIABLES | {"h": "x"}, safe.UNKNOWN.strip("\n").split("\n"), either)
    write("whitespace", STATEMENT_VARIABLES, whitespace.WHITESPACE + whitespace.MADE, renders)
    write_cases("chats", {"conversations": chats.CHATS, "cases": list(chat_cases())})


if __name__ == "__main__":
    main()
