"""White space control: hand-written templates, and many made by chance from a fixed seed."""

import random

WHITESPACE = [
    "{% if t %}\na\n{% endif %}\nb\n",
    "  {% if t %}\n    a\n  {% endif %}\nb\n\n",
    "a {%- if t -%} b {%- endif -%} c",
    "a {%+ if t +%} b {%+ endif +%} c",
    "  {%+ if t %}\n  a\n  {%+ endif %}\n",
    "x\n  {{ x }}  \n  y",
    "x\n  {{- x -}}  \n  y",
    "x \n {#- note -#} \n y",
    "x\n  {# note #}\n  y",
    "x\n  {# note +#}\n  y",
    "a{% if t %}  \n  {% endif %}b",
    "{% for i in l %}\n  {{ i }}\n{% endfor %}\n",
    "{%- for i in l %}\n  {{- i }},\n{%- endfor %}\n",
    "{% raw %}\n  {{ a }}\n{% endraw %}\nb",
    "  {%- raw -%}\n  {{ a }}\n  {%- endraw -%}\n  b",
    "a\r\nb\rc\n{% if t %}\r\nd{% endif %}\r\n",
    "end\n",
    "end\n\n",
    "\n",
    "",
    " \u00a0\u3000{%- if t %}x{% endif -%}\u2003 y",
    "\t{% set q = 1 %}\n\t{{ q }}\n",
    "{% if t %}\n\n{% endif %}\n\n",
    "{{ 'a\r\nb' }}|{{ 'a\nb'|length }}",
    "a\n    {%- set q = 1 %}\n    {%- set q = 2 +%}\n    {{ q }}",
    "{%if t%}x{%endif%}",
    "{% if t\n  and l %}x{%\nendif %}",
]


class Maker:
    """Makes templates of tags with any white space and any control sign around them."""

    spaces = ["", "\n", " ", "  ", "\t", "\n\n", " \n", "\n  ", "a", "b\n", " c", "\u00a0", "\r\n"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def space(self, most):
        return "".join(self.random.choice(self.spaces) for _ in range(self.random.randint(0, most)))

    def tag(self, body, begin="{%", end="%}"):
        last = ["", " -"] if begin == "{{" else ["", " ", "-", " +"]
        first = self.random.choice(["", "-", "+"])
        return f"{begin}{first} {body}{self.random.choice(last)}{end}"

    def make(self, depth=0):
        kinds = [
            lambda: self.tag("x", "{{", "}}"),
            lambda: self.tag("note", "{#", "#}"),
            lambda: self.tag("set q = 1"),
            lambda: "{% raw %}" + self.space(1) + "{{ z }}" + self.space(1) + self.tag("endraw"),
        ]
        if depth < 3:
            kinds += [
                lambda: self.tag("if t") + self.make(depth + 1) + self.tag("endif"),
                lambda: self.tag("for i in l") + self.make(depth + 1) + self.tag("endfor"),
                lambda: self.tag("if n") + self.make(depth + 1) + self.tag("else")
                + self.make(depth + 1) + self.tag("endif"),
            ]
        out = ""
        for _ in range(self.random.randint(1, 3)):
            out += self.space(3) + self.random.choice(kinds)()
        return out + self.space(2)


MADE = [Maker(seed).make() for seed in range(150)]
