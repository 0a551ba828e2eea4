"""One line is one whole template; those that jinja2 refuses are recorded as such.
"""

STATEMENTS = r'''
{% if t %}a{% elif l %}b{% else %}c{% endif %}
{% if n %}a{% elif e %}b{% else %}c{% endif %}
{% if n: %}a{% elif l: %}b{% endif: %}
{% for i in l %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}
{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}
{% for i in l %}{{ loop.cycle("a","b") }}{{ loop.changed(i > 1) }}{% endfor %}
{% for i in e %}x{% else %}none{% endfor %}
{% for i in nope %}x{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}
{% for (a, b), c in [((1,2),3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in ["xy"] %}{{ a }}{{ b }}{% endfor %}
{% for a, b in [(1,2,3)] %}{{ a }}{% endfor %}
{% for i in l if i != 2 %}{{ loop.index }}:{{ i }}/{{ loop.length }}{{ loop.last }} {% endfor %}
{% for i in l if i > 9 %}x{% else %}E{% endfor %}
{% set ns = namespace(f=false) %}{% for i in l if not ns.f %}{{ i }}{% if i == 2 %}{% set ns.f = true %}{% endif %}{% endfor %}
{% set ns = namespace(f=false) %}{% for i in l if not ns.f %}{{ i }}{{ loop.last }}{% if i == 2 %}{% set ns.f = true %}{% endif %}{% endfor %}
{% set ns = namespace(f=false) %}{% for i in l if not ns.f %}{{ i }}{{ loop.length }}{% if i == 2 %}{% set ns.f = true %}{% endif %}{% endfor %}
{% for i in l %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in l %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}
{% for i in l %}{% continue %}{% else %}E{% endfor %}
{% for i in l %}{% break %}{% else %}E{% endfor %}
{% for i in l %}{% if i == 3 %}{% break %}{% endif %}{% else %}E{% endfor %}
{% for i in l %}{% for j in l %}{% if j == 2 %}{% break %}{% endif %}{{ i }}{{ j }}{{ loop.index }} {% endfor %}{{ loop.index }}{% endfor %}
{% for i in l %}{% for j in e %}{% else %}{% break %}{% endfor %}{{ i }}{% endfor %}
{% set y = 1 %}{% for i in l %}{% set y = y + i %}{{ y }}{% endfor %}{{ y }}
{% set y = 1 %}{% if t %}{% set y = 2 %}{% endif %}{{ y }}
{% set ns = namespace(y=1) %}{% for i in l %}{% set ns.y = ns.y + i %}{% endfor %}{{ ns.y }}
{% set ns.y = 1 %}
{% set x.y = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a, b = (1, 2, 3) %}
{% set (a, b) = [1, 2] %}{{ a }}{{ b }}
{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}
{% set a = 1, 2 %}{{ a }}
{% set a %}x{{ x }}{% endset %}{{ a }}{{ a|length }}
{% set a | upper | trim %} hello {% endset %}{{ a }}
{% set a %}{% set b = 1 %}{% endset %}{{ b is defined }}
{% macro m(a, b=2, c=a) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c=5) }}{{ m(b=1, a=2) }}{{ m() }}
{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, a=3) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=1) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=1) }}
{% macro m(a) %}{{ x }}{{ a }}{% endmacro %}{% set x = 5 %}{{ m(1) }}
{% macro m() %}{{ y }}{% endmacro %}{% set y = 1 %}{{ m() }}{% set y = 2 %}{{ m() }}
{% macro m() %}{{ y }}{% endmacro %}{% for y in l %}{{ m() }}{% endfor %}
{% set y = 0 %}{% macro m() %}{{ y }}{% endmacro %}{% for y in l %}{{ m() }}{% endfor %}
{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}in{% endcall %}
{% macro m() %}({{ caller(1, 2) }}){% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}
{% macro m() %}x{% endmacro %}{% call m() %}in{% endcall %}
{% macro m() %}{{ caller is defined }}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{{ m() }}{% call m() %}z{% endcall %}
{% macro m(caller=none) %}{{ caller() if caller else 'no' }}{% endmacro %}{{ m() }}{% call m() %}z{% endcall %}
{% call x() %}in{% endcall %}
{% macro m(a) %}{% set z = a %}{{ z }}{% endmacro %}{{ m(1) }}{{ z is defined }}
{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}{{ m is defined }}
{% filter upper %}abc{{ x }}{% endfilter %}
{% filter replace("a", "b") | upper %}aaa{% endfilter %}
{% with a = 1, b = x %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}
{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}
{% with a = 1, b = a %}{{ b }}|{% endwith %}
{% generation %}abc{{ x }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}
{% for i in l %}{% generation %}{{ i }}{{ loop.index }}{% endgeneration %}{% endfor %}
{% for i in l %}{% generation %}{% break %}{% endgeneration %}{% endfor %}
{% break %}
{% for i in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}
{% raw %}{{ x }}{% if %}{% endraw %}
{% raw -%}  a  {%- endraw %}  b
{%- raw %}  a  {% endraw -%}  b
{# comment {{ x }} #}a{#- c -#} b {#+ c +#} c
{% for x in l %}{{ x }}{% endfor %}{{ x }}
{% for loop in l %}{% endfor %}
{% for i in l %}{% set loop = 1 %}{% endfor %}
{% set loop = 3 %}{{ loop }}{% for i in l %}{{ loop.index }}{% endfor %}{{ loop }}
{% set true = 1 %}
{% for none in l %}{% endfor %}
{% set x = x ~ "!" %}{{ x }}
{% if x is defined and x %}{% set q = x %}{% endif %}{{ q }}
{% if nope %}{% set q = x %}{% endif %}{{ q }}|{{ q is defined }}
{% if nope %}{% set x = 1 %}{% endif %}{{ x }}
{% for i in l %}{% if i == 2 %}{% set x = i %}{% endif %}{{ x }}{% endfor %}{{ x }}
{% endif %}
{% if x %}
{% for i in l %}{% endif %}
{% else %}
{% unknown %}
{% set %}
{% set a %}
{% for %}{% endfor %}
{{ }}
{{ x
{% if x
{# x
{% raw %}x
{{ x }
{{ (x }}
{{ x) }}
{{ [x }}
{{ x | }}
{{ x. }}
{{ x is }}
{{ 'x }}
{{ x y }}
{{ 1 + }}
{{ @ }}
{{ x if }}
{% if x %}{% else %}{% else %}{% endif %}
{% macro %}{% endmacro %}
{% macro m %}{% endmacro %}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m(1) %}{% endmacro %}
{{ m(a=1, 2) }}
{{ dict(**{"a": 1}, b=2) }}
{{ dict(**{"a": 1}) }}{{ range(*[1, 3])|list }}
{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1], **{"b": 2}) }}{{ m(*[1, 2]) }}
{{ dict(a=1, a=2) }}
{% do x %}
{% for i in l %}{{ i }}{% endfor -%}   {%- for i in l -%} {{ i }} {%- endfor +%} z
{% for a in l %}{% for b in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
{% for a in l %}{% set outer = loop %}{% for b in l %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
{% for m in ms if m.role == "user" %}{{ m.content }}{% endfor %}
{% for m in ms|selectattr("role", "eq", "user") %}{{ m.content }}{{ loop.last }}{% endfor %}
{% set g = ms|map(attribute="role") %}{% for r in g %}{{ r }}{% break %}{% endfor %}{{ g|list }}{{ g|list }}
{% set g = ms|map(attribute="role") %}{{ "user" in g }}{{ g|list }}
{% set g = ms|map(attribute="role") %}{{ g|first }}{{ g|list }}{% if g %}T{% endif %}
{% for c in "abc" %}{{ c }}-{% endfor %}
{% for k in d %}{{ k }}{% endfor %}
{% for i in 5 %}{% endfor %}
{% for i in none %}{% endfor %}
{% for i in range(3) %}{{ i }}{% endfor %}
{% for i in l[::-1] %}{{ i }}{% endfor %}{% for i in l|reverse %}{{ i }}{% endfor %}
{% for i in l, %}{{ i }}{% endfor %}
{% for i in 1, 2 %}{{ i }}{% endfor %}
{% for i in l if i if 1 %}{{ i }}{% endfor %}
{{ "a" if x }}{{ "b" if n }}|
{% if l | length > 2 and ms[0]["role"] == "user" %}y{% endif %}
{% if not (x == 1) %}y{% endif %}
{% set _ = 1 %}{{ _ }}
{% set ns = namespace(_a=1) %}
{% set ns = namespace() %}{% set ns._a = 1 %}
{{ ns }}
{% set ns = namespace(a=[1]) %}{{ ns.a[0] }}{{ ns["a"] }}
{% macro m() %}{{ loop is defined }}{% endmacro %}{% for i in l %}{{ m() }}{% endfor %}
{% for i in l %}{% set c %}{{ i }}{% if i == 2 %}{% continue %}{% endif %}{% endset %}{{ c }}{% endfor %}
{% for i in l %}{% filter upper %}a{{ i }}{% if i == 2 %}{% break %}{% endif %}{% endfilter %}{% endfor %}
{% if true %}{% macro q() %}Q{% endmacro %}{% endif %}{{ q() }}
{{ x }}{% set x = 1 %}{{ x }}
{% macro m(x) %}{{ x }}{% endmacro %}{{ m() }}|{{ m(n) }}|{{ m(x=2) }}
{% macro m(a=b, b=1) %}{{ a }}{{ b }}{% endmacro %}{{ m() }}{{ m(b=3) }}
{% macro m(a) %}{{ a is defined }}{{ a }}{% endmacro %}{{ m() }}
{% macro m(a) %}{{ a.b }}{% endmacro %}{{ m() }}
{{ m() }}{% macro m() %}x{% endmacro %}
{% set a = [] %}{% for i in l %}{% set a = a + [i] %}{% endfor %}{{ a }}
{% set s = namespace(a=[]) %}{% for i in l %}{% set s.a = s.a + [i] %}{% endfor %}{{ s.a }}
{{ loop }}
{{ loop.index }}
{{ varargs }}{{ kwargs }}{{ caller }}
{% if loop is defined %}a{% else %}b{% endif %}
{% for i in l %}{{ loop.foo }}{% endfor %}
{% for i in l %}{{ loop(1) }}{% endfor %}
{% for i in l %}{{ loop["index"] }}{% endfor %}
'''
