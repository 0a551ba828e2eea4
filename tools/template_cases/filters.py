"""Filters: one line is the inside of one {{ }}.
"""

FILTERS = r'''
u[1], u[::-1], u|length, u|upper, u|lower, u|title, u|capitalize
d.items()|list, d.keys()|list, d.values()|list, d.items()
d|items|list, d|dictsort, d|length, d|list
ms|selectattr("role","equalto","user")|list
ms|map(attribute="role")|list, ms|map(attribute="role")|join(",")
ms|rejectattr("content")|list|length, ms|selectattr("tool_calls")|list|length
ms|selectattr("tool_calls","defined")|map(attribute="content")|list
[1,2,3,4]|select("odd")|list, [1,2,3,4]|reject("odd")|list, [0,1,"",none]|select|list
["a","B"]|map("upper")|list, ["a","b"]|map("replace","a","c")|list
l|sort, l|sort(reverse=true), ["b","A","c"]|sort, ["b","A","c"]|sort(case_sensitive=true)
ms|sort(attribute="role")|map(attribute="role")|list
[1,1,2,"a","A"]|unique|list
l|min, l|max, l|sum, []|min, []|sum, ms|map(attribute="role")|max
" x ".strip(), "xxaxx".strip("x"), "xxaxx".lstrip("x"), "xxaxx".rstrip("x"), " x ".lstrip()~"|"
" x ".rstrip()~"|"
"abc".upper(), "ABC".lower(), "abc def".title(), "aBC".capitalize(), "they're bill's".title()
"they're bill's-x"|title
"aaa".replace("a","b"), "aaa".replace("a","b",2), "abc".replace("","-")
"aaa"|replace("a","b",1)
d|tojson, ms|tojson, [1.0,2,true,none,"é\n\"\\\u2028"]|tojson, "é"|tojson(ensure_ascii=true)
"😀"|tojson(true)
d|tojson(indent=2), d|tojson(indent=4, sort_keys=true), []|tojson(indent=2), {}|tojson(indent=1)
d|tojson(separators=(",",":")), {1:2,none:3,true:4,1.5:6}|tojson, (1,2)|tojson
[[],{}]|tojson(indent=0), [1]|tojson(indent="\t")
"abc"|first, "abc"|last, l|first, l|last, []|first, []|last, "abc"|reverse, l|reverse|list
range(3)|reverse|list
"3"|int, "x"|int, "x"|int(5), "3.7"|int, 3.9|int, "0x1f"|int(0,16), "1f"|int(base=16)
"1_000"|int, none|int, true|int, " 4 "|int, "-5"|int, "inf"|int, "1e3"|int
"3.5"|float, "x"|float, "x"|float(1.5), 3|float, "inf"|float, "nan"|float, none|float
"1_0.5"|float
2.5|round, 3.5|round, 2.567|round(2), 2.567|round(1,"floor"), 2.567|round(1,"ceil"), 7|round
1250|round(-2), 1350|round(-2), 0.15|round(1), 42.55|round, -2.5|round
-3|abs, 3.5|abs, (-3)|abs, -0.0|abs
"a"|string, 1|string, none|string, [1,"a"]|string, x|string
"hi\nthere\n\nx"|indent, "hi\nthere"|indent(2), "hi\nthere"|indent(2,true)
"hi\n\nthere"|indent(2,false,true), "a\nb"|indent("> "), "a\n"|indent(2)~"|"
""|indent(2,true)~"|"
"  x "|trim, "xxaxx"|trim("x"), x|trim, 5|trim
[1,2,3]|join, [1,2,3]|join("-"), ms|join(",",attribute="role"), "abc"|join("-"), x|join
[1,none,true]|join(",")
[1,2,3,4,5]|batch(2)|list, [1,2,3]|batch(2,0)|list
range(5)|list, range(1,10,3)|list, range(5,0,-2)|list, range(5), range(1,5), range(0,10,3)
range(5)[1:3], range(5)[::-1], range(10)[::3], range(10)[2], range(5)|length, 3 in range(5)
5 in range(5), range(0)|list
"%s and %d" % ("a", 3), "%s" % "x", "%5d|%05d|%.2f|%x|%%" % (42,42,3.14159,255)
"%s"|format("z"), "%r" % ("a",)
"ΑΣ"|lower, "ΑΣΑ"|lower, "ß"|upper, "ŉ"|title, "ǆ"|title, "ﬁ"|capitalize, "İ"|lower|length
strftime_now("%d %b %Y %H:%M:%S %A %B %-d %j %y %p %I %%"), strftime_now("%Y-%m-%d")
strftime_now(""), strftime_now("%z|%Z|")
[3,1]|sort|first, (l|sort)[0], l|sort|join(",")|length
"abc"|list, d|list, (1,2)|list, x|list, range(2)|list
[[1,2],[3,4]]|map("first")|list, [[1,2],[3,4]]|map("sum")|list, ll|sum(start=[])
ms|map(attribute="zz",default="q")|list, [1,2]|sum(start=10)
[{"a":{"b":1}},{"a":{"b":2}}]|map(attribute="a.b")|list, [[5,6],[7,8]]|map(attribute=1)|list
[[5,6]]|map(attribute="1")|list
[{"n":2,"m":"x"},{"n":1,"m":"y"},{"n":1,"m":"a"}]|sort(attribute="n,m")
[{"n":2},{"n":1}]|sort(attribute="n",reverse=true), [{"n":2},{"n":1}]|max(attribute="n")
[{"n":1},{"n":1}]|unique(attribute="n")|list
"a b c"|replace(" ","")|upper|lower|title
[none,none]|sort
{"b":1,"A":2}|dictsort, {"b":1,"A":2}|dictsort(true), {"b":1,"A":2}|dictsort(by="value")
{"b":1,"A":2}|dictsort(reverse=true)
s.upper().lower().title()[0:2]|lower
d.get("a",{}).get("x",[])|length, d.get("q",{}).get("x",[])|length
"ab" "cd"|upper
-1|abs, +1, -(-1), - 1 + 2, 3 - -3
f|int + i, f*2, f//1, f%1, i/2, i//2, i*f
[1,2,3][-2:]|join, [1,2,3][:-1]|length, [1,2,3][5:], [1,2,3][::-2], [1,2,3,4][3:0:-1]
[1,2,3][none:2], "abc"[true]
"A-b (c) {d} [e] <f>"|title, "o'neil"|title, "ÀB cD"|title, "x_y z1a"|title, "x1y".title()
(d.items()|list)[0][0], d.items()|first, d.keys()|last, d.values()|length, "b" in d.keys()
1 in d.values(), ("b",1) in d.items()
(("a",1),("b",2))|list, [("a",1)]|map("join",":")|list
"line1\nline2"|replace("\n","\\n"), "tab\t"|tojson
[1,2,3]|string|length, {"a":none}|string
["x","y"]|map("length")|sum, ["x"]|map("default","z")|list
'abc' | trim('a') | upper ~ 'd'
ms[1:], ms[:1]|length, ms[::-1]|map(attribute="role")|list
ms|length > 2 and ms[0].role == "user"
'''
