"""Texts that the filter safe marks, and filters and tests that nobody knows.

One line is one whole template. `h` is a text with every character that a safe text escapes.
"""

# What keeps the mark, what loses it, and what a marked text escapes: str's operators and methods,
# jinja2's filters and tests, one by one.
SAFE = r'''
{{ h|safe }}{{ h|safe ~ h }}{{ (h|safe if t else h) }}
{% set a = d|tojson|safe %}{{ a }}|{{ a|length }}|{{ a is string }}|{{ a is escaped }}|{{ h is escaped }}
{% set a = d|tojson|safe if d is mapping else d|string %}{{ a }}
{{ h|safe + h }}|{{ h + h|safe }}|{{ h|safe + h|safe }}|{{ h|safe + n|string }}
{{ "'"|safe + h + "'"|safe }}
{{ h|safe + 1 }}
{{ 1 + h|safe }}
{{ h|safe + nope }}
{{ (h|safe * 2) + h }}|{{ (2 * h|safe) + h }}
{{ "%s|%r|%5s|%d|%.1f"|safe % (h, h, "<", 3, 2.5) }}
{{ "%s"|safe % h }}|{{ "%s"|safe % h|safe }}|{{ "%s" % h|safe }}|{{ ("%s" % h|safe) + "<" }}
{{ ("%s"|safe % h) + "<" }}|{{ "%s"|safe % [h] }}|{{ "%r" % h|safe }}|{{ "%r"|safe % h|safe }}
{{ "%s"|safe|format(h) }}|{{ "%s %s"|safe|format("<"|safe, "<") }}|{{ "%s"|safe % none }}|{{ "%s"|safe % nope }}
{{ "%d"|safe % 2.7 }}|{{ "%5d"|safe % 2 }}|{{ "a"|safe % [] }}
{{ "a"|safe % 1 }}
{{ "%d"|safe % none }}
{{ ("{} {}"|safe).format(h, h|safe) }}|{{ ("{a}"|safe).format(a=h) }}|{{ ("{}"|safe).format(none) }}|{{ ("{}"|safe).format([h]) }}
{{ ("{}".format(h|safe)) + "<" }}|{{ (("{}"|safe).format(h)) + "<" }}
{{ "{}"|safe.format(h) }}
{{ (h|safe).replace("<", ">") }}|{{ (h|safe).replace("&", "and") + "<" }}|{{ (h|safe).replace("<", 1) }}
{{ "a<b".replace("<", "<"|safe) + "<" }}|{{ h|safe|replace("<", ">") + "<" }}
{{ (","|safe).join([h, h|safe, 1, none]) }}|{{ ",".join([h|safe]) + "<" }}|{{ (","|safe).join([h]) + "<" }}
{{ [h|safe, h]|join(","|safe) + "<" }}|{{ [h|safe]|join + "<" }}
{{ h|safe|trim + "<" }}|{{ h|safe|upper + "<" }}|{{ h|safe|lower + "<" }}|{{ h|safe|capitalize + "<" }}|{{ h|safe|title + "<" }}
{{ h|safe|string + "<" }}|{{ h|safe|tojson + "<" }}|{{ h|safe|default("x") + "<" }}|{{ h|safe|reverse + "<" }}
{{ h|safe|first + "<" }}|{{ h|safe|last + "<" }}|{{ (h|safe)[0] + "<" }}|{{ (h|safe)[1:3] + "<" }}|{{ (h|safe)[::2] + "<" }}
{{ (h|safe|list)[0] + "<" }}|{% for c in h|safe %}{{ c + "<" }}{% endfor %}
{{ (h|safe).strip() + "<" }}|{{ (h|safe).lstrip("<") + "<" }}|{{ (h|safe).rstrip() + "<" }}|{{ (h|safe).upper() + "<" }}|{{ (h|safe).title() + "<" }}
{{ (h|safe).capitalize() + "<" }}|{{ (h|safe).lower() + "<" }}|{{ (h|safe).removeprefix("<") + "<" }}|{{ (h|safe).removesuffix("<") + "<" }}
{{ (h|safe).split("&") }}|{{ (h|safe).split()[0] + "<" }}|{{ (h|safe).splitlines()[0] + "<" }}|{{ (h|safe).rsplit("&", 1) }}
{{ (h|safe).partition("&") }}|{{ (h|safe).rpartition("&") }}|{{ h.partition("&"|safe) }}|{{ (h|safe).partition("no") }}|{{ h.rpartition("no"|safe) }}
{{ [h|safe] }}|{{ {h|safe: 1} }}|{{ (h|safe,) }}|{{ [h|safe]|string }}|{{ "'"|safe|list }}|{{ ["'"|safe] }}
{{ h|safe == h }}|{{ h|safe in [h] }}|{{ h|safe in {h: 1} }}|{{ {h: 1}[h|safe] }}|{{ "<"|safe in h }}|{{ h|safe < "z" }}
{{ (h|safe).startswith("<") }}|{{ (h|safe).find("&") }}|{{ (h|safe).count("<") }}|{{ h|safe|length }}|{{ "12"|safe|int + 1 }}|{{ "1.5"|safe|float }}
{{ "a\nb"|safe|indent(2) + "<" }}|{{ "a\nb"|safe|indent("<") }}|{{ "a\nb"|safe|indent("<", true) }}|{{ "a<\nb"|indent("<") }}
{% macro m(x) %}{{ x }}{% endmacro %}{{ m(h|safe) + "<" }}|{{ m(h) + "<"|safe }}
{% set a %}{{ h|safe }}{% endset %}{{ a + "<" }}|{% set a|safe %}<{% endset %}{{ a + "<" }}
{% filter safe %}<{% endfilter %}|{% filter safe|upper %}a<{% endfilter %}
{% set ns = namespace(s=""|safe) %}{% for i in ["<", "&"] %}{% set ns.s = ns.s + i %}{% endfor %}{{ ns.s }}
{% set ns = namespace(s="") %}{% for i in ["<", "&"] %}{% set ns.s = ns.s + i|safe %}{% endfor %}{{ ns.s }}
{% set ns = namespace(s="") %}{% for i in ["<", "&"] %}{% set ns.s = ns.s ~ i|safe %}{% endfor %}{{ ns.s + "<" }}
{{ [h, h]|map("safe")|join(",") }}|{{ ([h]|map("safe")|first) + "<" }}|{{ [h|safe, h]|select("escaped")|list|length }}
{{ ([h|safe]|sort)[0] + "<" }}|{{ ([h|safe]|unique|list)[0] + "<" }}|{{ ([h|safe, "zz"]|min) + "<" }}|{{ ([h|safe]|max) + "<" }}
{{ 5|safe + "<" }}|{{ none|safe }}|{{ [1, "<"]|safe }}|{{ nope|safe }}|{{ h|safe|safe + "<" }}|{{ h|safe("x") }}
{{ 5|safe + "<" }}|{{ none|safe }}|{{ [1, "<"]|safe }}|{{ nope|safe }}|{{ h|safe|safe + "<" }}
{{ ""|safe or "<" }}|{{ (""|safe ~ "<") }}|{{ "<" ~ (h|safe + "<") }}|{{ (h|safe)|safe is escaped }}
{{ raise_exception("<"|safe + "<") }}
'''

# Where jinja2 looks filters and tests up when it compiles, and where only when they run.
UNKNOWN = r'''
{{ h|nofilter }}
{{ h is notest }}
{% if n %}{{ h|nofilter }}{% endif %}ok
{% if n %}{{ h is notest }}{% endif %}ok
{% if t %}{{ h|nofilter }}{% endif %}
{% if t %}{{ h is notest }}{% endif %}
{% if n and h|nofilter %}a{% else %}b{% endif %}
{% if n %}a{% elif n and h is notest %}b{% else %}c{% endif %}
{{ h|nofilter if n else "no" }}|{{ "yes" if t else h|nofilter }}|{{ "yes" if t or h is notest else "no" }}
{{ h|nofilter if t else "no" }}
{{ (h|nofilter if n else "no") ~ (h if t) }}
{{ h|nofilter ~ ("a" if t else "b") }}
{% if n %}{% for i in l %}{{ i|nofilter }}{% endfor %}{% endif %}
{% if n %}{% for i in l|nofilter %}{{ i }}{% endfor %}{% endif %}ok
{% if n %}{% for i in l if i is notest %}{{ i }}{% endfor %}{% endif %}
{% if n %}{% for i in l %}{{ i }}{% else %}{{ h|nofilter }}{% endfor %}{% endif %}
{% for i in l %}{% if n %}{{ i|nofilter }}{% endif %}{{ i }}{% endfor %}
{% for i in e %}{{ i|nofilter }}{% endfor %}
{% macro m() %}{{ h|nofilter }}{% endmacro %}ok
{% if n %}{% macro m() %}{{ h|nofilter }}{% endmacro %}{% endif %}ok
{% macro m() %}{% if n %}{{ h|nofilter }}{% endif %}{% endmacro %}{{ m() }}ok
{% if n %}{% macro m(a=h|nofilter) %}{% endmacro %}{% endif %}ok
{% if n %}{% set a = h|nofilter %}{% endif %}ok
{% if n %}{% set a %}{{ h|nofilter }}{% endset %}{% endif %}ok
{% if n %}{% set a|nofilter %}{% endset %}{% endif %}ok
{% if n %}{% set a %}{% if n %}{{ h|nofilter }}{% endif %}{% endset %}{% endif %}ok
{% if n %}{% filter nofilter %}{% endfilter %}{% endif %}ok
{% if n %}{% with a = h|nofilter %}{% endwith %}{% endif %}ok
{% if n %}{% with a = h %}{{ a|nofilter }}{% endwith %}{% endif %}ok
{% if n %}{% generation %}{{ h|nofilter }}{% endgeneration %}{% endif %}ok
{% if n %}{% call m(h|nofilter) %}{% endcall %}{% endif %}ok
{% if n %}{% call m() %}{{ h|nofilter }}{% endcall %}{% endif %}ok
{% if n %}{% if t %}{{ h|nofilter }}{% endif %}{{ h is notest }}{% endif %}ok
{{ [h]|map("nofilter")|list if n else "no" }}|{{ [h]|map("nofilter") is defined }}
{% if n %}{{ h|no.such.filter(1) }}{{ h is no.such.test }}{{ h|safe.upper }}{% endif %}ok
{% if n %}{{ h|no. }}{% endif %}ok
{{ [h]|map("nofilter")|list }}
{{ [h]|select("notest")|list }}
{{ "nofilter" is filter }}|{{ "notest" is test }}|{{ "groupby" is filter }}|{{ "escaped" is test }}
{% if "nofilter" is filter %}{{ h|nofilter }}{% else %}no{% endif %}
{{ h|safe if n else (h|nofilter if n else "no") }}
{% if t %}{{ raise_exception("first")|nofilter }}{% endif %}
'''
