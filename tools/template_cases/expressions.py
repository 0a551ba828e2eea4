"""One line is the inside of one {{ }}; commas make a tuple. No line is an error in jinja2.
"""

EXPRESSIONS = r'''
[1]|sort(attribute="x")
{}[[]]
[1,2]|join(1)
l.append
x|items|list
[x], [x]|string, {"a":x}
d[l] is defined
"abc"[1.0] is defined
1+2*3-4/2
7//2, -7//2, 7%3, -7%3, 7%-3, 2**3**2, -2**2, 2**-1, 7.5//2, -7.5%2, 7.5%-2
1/3
10/5
1e16, 1e15, 123456789012345678.0, 1e-5, 0.0001, 1.5e300, 100.0, 0.1+0.2, -0.0
"a" ~ 1 ~ none ~ true ~ 1.0 ~ [1,"x"]
1 < 2 < 3, 1 < 3 < 2, 1 == 1.0, "a" < "b", [1,2] < [1,3], (1,) < (1,2)
"a" in "abc", 1 in [1,2], "x" in {"x":1}, 3 not in (1,2), "b" not in "abc"
not true, not none, not "" and 1, 0 or "x", 1 and 2, none or false
1 if true else 2, 1 if false
s[0], s[-1], s[1:4], s[::-1], s[::2], s[-3:], s[:-3], s[10:2:-2], s[99], s[5:1]
l[::-1], l[0], l[-1], l[5], l[1:], l[:1], l[-2:]
d.a.x[1].y, d["a"]["x"][0], d.zz, d.a.zz, d.b, d["b"], d.items2
dict(a=1,b=2), dict([("a",1)]), dict({"a":1},b=2), dict()
{"a":1,"a":2}, {1:"x",1.0:"y"}, {}.get("a"), {"a":1}.get("a"), {"a":1}.get("b",5), {"a":1}.a
(1,), (), (1,2), [], [[]], {"a":[1,(2,)]}, "it's", ["it's"], ["a\"b"], ["a'b\"c"]
["\n\t\\ \x00\x7f\u200b\u00e9\U0001f600"]
[1]+[2], (1,)+(2,), "a"+"b", "ab"*2, 2*"ab", [1]*3, "a"*0, "a"*-1, [0]*2
true+1, true*3, true == 1, false in [0], -true
'a' 'b', 'a\'b', "a\tb\x41\u0042\101\q"
"a" if l else "b", "a" if [] else "b", "x" if x else "y"
x == y, x == none, x != none, [x] == [y], x in [1], 1 in x
(1,2)[0], (1,2)[-1], [1,2,3][1:][0], {"a":[1]}["a"][0], "abc"[1]
1 if 0 else 2 if 0 else 3
[1,[2,[3]]], {"k":{"k":{}}}, ((1,),)
10 % 3 * 2, 2 * 10 % 3, "a" ~ 1 * 2
1 == 1 == 1, 1 != 2 != 1, 1 in [1] == true
true == True, none == None, false == False
"hello"[1:-1], "hello"[-100:100], "hello"[100:], "hello"[:0]
'%d' % 3.7, '%i' % 4, '%s %s' % (1,[2])
{"a":1} == {"a":1.0}, [1] == (1,), (1,2) == (1,2), {"a":1,"b":2} == {"b":2,"a":1}
range(3) == range(0,3), range(0) == range(1,1)
1 < 1.5, 2 >= 2.0, true < 2, "b" > "a", "a" >= "a", [] < [1]
0.1, 1.0, 100000.0, 1e22, 1e21, 123456.789, 5e-324, 1.7976931348623157e308, 3.0e10, 2.0**70, 1/7
"x" * 3 ~ "y" * 2
9007199254740993, 9223372036854775807, -9223372036854775807 - 1
'''

TESTS = r'''
x is defined, x is undefined, s is defined, s is string, l is string, l is iterable
l is sequence, d is mapping, d is sequence, d is iterable, i is number, t is number, f is number
i is integer, t is integer, f is float, t is boolean, t is true, t is false, n is none
i is none
i is odd, i is even, i is divisibleby(7), i is divisibleby 3, i is eq 7, i is equalto(7), i == 7
i is ne 3, i is lt 8, i is gt 8, i is le 7, i is ge 7, 1 is in [1], "lower" is filter
"odd" is test, range is callable, s is callable, none is sameas none, true is sameas(true)
x|default("d"), n|default("d"), n|default("d",true), ""|default("d",true), x|d
s.foo, s.foo is defined, l.foo is defined, none.foo is defined, (5).foo is defined
ms[0].tool_calls is defined, ms[1].tool_calls[0].function.name, ms[99] is defined
ms[-1].content is none
1.5 is float, 1_000, 0x10, 0b11, 0o17, 1_0.5, 1e2, 1E-2
namespace(a=1).a, namespace({"x":2}).x, namespace().zz is defined
5 is not none, 5 is not defined, not 5 is defined, x is not defined and true
1 is number and 2 is number or false
'a' is in 'abc', 'a' is in ['a']
(1 if true), [1 if false], (1 if false) is defined
l is sequence, x is sequence, x is iterable, d.items() is sequence, d.items() is iterable
l|map("string") is iterable, range(2) is sequence, 5 is iterable, none is iterable
"abc"|upper is upper, "abc" is lower, "" is lower, x is lower
'a'.zzz is defined, 'a'['upper'] is defined, d['items'] is defined, d['zz'] is defined
l['append'] is defined
[]|first is defined, [1]|first is defined, (l|select("gt",5)|list)|first is undefined
l|select("gt",1)|first
1.__class__ is defined
"a".__class__ is defined, "a".__class__
messages is defined and messages, messages is not defined or messages[0].x
x|sum, x|min is defined, x|sort, x|unique|list, x|map("upper")|list, x|select|list
x|first is defined, x|last is defined, x|reverse|list, x|length, x|upper, x|lower, x|title
x|capitalize, x|replace("a","b"), x|batch(2)|list
x is string, x is mapping, x is number, x is none, x is callable, x is boolean, x is eq(1)
x is eq(y), x is in [1]
'''

METHODS = r'''
"a,b,c".split(","), "a b  c".split(), "a,b,c".split(",",1), "a,b,c".rsplit(",",1)
" a ".split(" ")
"abc".startswith("a"), "abc".endswith(("x","c")), "abc".startswith(()), "abc".find("c")
"abc".find("z"), "abcabc".rfind("b"), "abc".index("b"), "abcabc".count("b")
"a-b".partition("-"), "a-b-c".rpartition("-"), "abc".partition("x"), "abc".rpartition("x")
"abc".removeprefix("a"), "abc".removesuffix("c")
",".join(["a","b"]), "-".join("abc")
"{} {}".format(1,"x"), "{1}{0}".format("a","b"), "{a}".format(a=3), "{{}}".format()
"12".isdigit(), "ab".isalpha(), "a1".isalnum(), " ".isspace(), "Ab".isupper(), "ab".islower()
"".isdigit(), "½".isnumeric(), "½".isdigit(), "٣".isdecimal()
"a\nb\r\nc\n".splitlines(), "a\nb".splitlines(true), "a\x0bb\u2028c".splitlines()
l.index(1), l.count(3), l.copy(), (1,2).index(2), d.copy()
"x".join([]), "x".join(["a"]), "".join(["a","b"])
"a;b;;c".split(";"), "".split(), "".split(","), "   ".split(), "a  b c".split(none,1)
" a  b c ".rsplit(none,1), "abc".split("b",0)
"\u00e9" == "é", "é"|length, "日本語"[1], "日本語"[::-1], "日本語"|list, "日本語".find("語")
"日本語xx".rfind("x"), "a日b".split("日"), "日"*3
'''
