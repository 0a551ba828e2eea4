"""Lines that jinja2 refuses or fails on, as the inside of {{ }}.
"""

FAILURES = r'''
2 ~ 3 + 4
x.y is defined if x else 3
[x for_x] if false else 1
"a"|e_unknown
'a' < 1
5|length
none|list
none + 1
x + 1
x.y
x.y.z
x()
s()
d.update({"a":1})
l.append(1)
"a".foo()
1//0
1%0
1/0
1.0/0
{[]:1}
"abc".index("z")
[1].index(5)
"a" * "b"
{} + {}
-"a"
x < 1
1 in 5
range(1000000)
range(1,2,0)
raise_exception("boom")
raise_exception("a" ~ 1)
none.x.y
[1,2]["a"].b
"a" in 5
5 in "a"
namespace(a=1).b.c
"abc".split("")
"%d" % "x"
"%s %s" % ("a",)
"%s" % ("a","b")
"{}".format()
"{0} {}".format(1,2)
x|tojson
range(3)|tojson
l|map("upper")|tojson
{"a":x}|tojson
[1,"a"]|sort
[1,"a"]|min
["a"]|sum
"x"|abs
"x"|round
l|dictsort
x|dictsort
x|int
x|float
x|abs
x|round
x|indent
x is odd
x is divisibleby 2
"a".join(5)
"a".replace("a")
"a".startswith(1)
"a".startswith(x)
d.get()
d.get([])
l["a":]
d[1:]
x[1:]
l|first.foo
foo(1)
s.upper(1)
s.split(",", 1, 2)
"a"|default(1,2,3)
"a"|replace
1|unknown
1 is unknown
loop.index
'\x4'
'''
