#!/usr/bin/env python3
"""Writes src/text/unicode_tables.inc: where Hugging Face's `tokenizers` knows another version of
Unicode than the libraries that src/text uses. The tables are measured, code point by code point.

    python3 tools/make_tokenizer_unicode.py > src/text/unicode_tables.inc

Needs the package tokenizers (the file in the repository is from 0.23.3, whose regular expressions
have Unicode 16), a Python with the Unicode version of PCRE2 (Python 3.11 and PCRE2 10.42: 14) and
libutf8proc.so.2 (2.8: Unicode 15). Takes some minutes.
"""
import bisect
import ctypes
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALL = "".join(map(chr, CODES))
CATEGORIES = ("Cc Cf Co Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So "
              "Zl Zp Zs").split()
# Scripts that tokenizers name, and those of new characters that older ones share.
SCRIPTS = ("Arabic Armenian Balinese Bengali Cyrillic Devanagari Egyptian_Hieroglyphs Ethiopic "
           "Georgian Greek Han Hangul Hebrew Hiragana Kannada Katakana Khmer Lao Latin Myanmar "
           "Tamil Telugu Thai Tibetan Khojki Cuneiform").split()
# A mark of each of the classes that UAX #15 sorts by; all of them are in Unicode 3.
MARKS = [0x334, 0x93C, 0x3099, 0x94D, 0x5B0, 0x327, 0x31B, 0x323, 0x301, 0x345]


def members(pattern):
    cut = pre_tokenizers.Split(Regex(pattern + "+"), "removed", invert=True)
    return {ord(c) for piece, _ in cut.pre_tokenize_str(ALL) for c in piece}


def ranges(codes):
    out = []
    for c in sorted(codes):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def stand_ins():
    """(first, last, the older character with the same properties that is next to them)."""
    properties = {c: [len(chr(c).encode())] for c in CODES}
    for name in CATEGORIES + SCRIPTS + ["Alphabetic"]:
        for c in members(r"\p{%s}" % name):
            properties[c].append(name)
    assigned = {c for c in CODES if any(name in properties[c] for name in CATEGORIES)}

    def alike(c):  # what must be equal, and what at least if no other character has all of it
        script = [name for name in properties[c] if name in SCRIPTS]
        return tuple(properties[c]), tuple(p for p in properties[c] if p not in script)

    older = {}
    for c in sorted(assigned):
        if unicodedata.category(chr(c)) in properties[c]:
            for key in set(alike(c)):
                older.setdefault(key, []).append(c)
    rows = []
    for c in sorted(c for c in assigned if unicodedata.category(chr(c)) not in properties[c]):
        row_fits = rows and rows[-1][1] == c - 1 and properties[rows[-1][0]] == properties[c]
        if row_fits:
            rows[-1][1] = c
            continue
        known = next(older[key] for key in alike(c) if key in older)
        at = bisect.bisect(known, c)
        rows.append([c, c, min(known[max(at - 1, 0):at + 1], key=lambda k: abs(k - c))])
    return rows


class Utf8proc:
    FORMS = {"NFC": 2 | 8, "NFD": 2 | 16, "NFKC": 2 | 8 | 4, "NFKD": 2 | 16 | 4}

    def __init__(self):
        self.library = ctypes.CDLL("libutf8proc.so.2")
        self.library.utf8proc_map.argtypes = [ctypes.c_char_p, ctypes.c_ssize_t,
                                              ctypes.POINTER(ctypes.c_void_p), ctypes.c_int]
        self.library.utf8proc_map.restype = ctypes.c_ssize_t
        self.c = ctypes.CDLL(None)
        self.c.free.argtypes = [ctypes.c_void_p]

    def form(self, text, name):
        out = ctypes.c_void_p()
        size = self.library.utf8proc_map(text.encode(), len(text.encode()),
                                         ctypes.byref(out), self.FORMS[name])
        form = ctypes.string_at(out, size).decode()
        self.c.free(out)
        return form

    def is_punctuation(self, c):
        return 12 <= self.library.utf8proc_category(c) <= 18


def unknown_to_normal_forms(utf8proc):
    """Characters that the library leaves alone: unassigned in its tables, which are of Unicode 9."""
    unknown = set()
    for name in Utf8proc.FORMS:
        form = getattr(normalizers, name)().normalize_str

        def differs(text):
            return form(text) != utf8proc.form(text, name)

        unknown |= {c for c in CODES if differs(chr(c))}
        if name != "NFD":
            continue
        for c in CODES:
            if unicodedata.category(chr(c))[0] == "M" or c in unknown:
                pairs = (chr(a) + chr(b) for m in MARKS for a, b in ((c, m), (m, c)))
                if any(differs(pair) for pair in pairs):
                    unknown.add(c)
    # A character that only composes: the second part of one that is unknown.
    for c in list(unknown):
        parts = utf8proc.form(chr(c), "NFD")
        if len(parts) == 2 and utf8proc.form(parts, "NFC") == chr(c):
            unknown.add(ord(parts[1]))
    return unknown


def no_punctuation(utf8proc):
    """Characters of category P that the pre-tokenizer Punctuation doesn't take for punctuation."""
    text = "".join("a" + chr(c) for c in CODES)
    cut = pre_tokenizers.Punctuation("isolated").pre_tokenize_str(text)
    starts = {begin for _, (begin, _) in cut}
    found = {c for i, c in enumerate(CODES) if 2 * i + 1 in starts}
    extra = [c for c in sorted(found) if c >= 0x80 and not utf8proc.is_punctuation(c)]
    assert extra == [0x166D, 0x111C9], extra  # is_punctuation of unicode.cc has these
    return {c for c in CODES if c >= 0x80 and utf8proc.is_punctuation(c)} - found


def show(name, comment, kind, rows):
    print(f"\n// {comment}\nconstexpr {kind} {name}[] = {{")
    line = "   "
    for row in rows:
        item = " {" + ", ".join(f"{c:#x}" for c in row) + "},"
        if len(line + item) > 100:
            print(line)
            line = "   "
        line += item
    print(line.removesuffix(",") + "};")


def main():
    utf8proc = Utf8proc()
    print("// Written by tools/make_tokenizer_unicode.py: first and last code point of each range.")
    show("kStandIns", "Characters of Unicode 15 and 16, and an older one with their properties.",
         "StandIn", stand_ins())
    show("kUnknownToNormalForms",
         "Characters with a normal form, a combining class or a composition since Unicode 9.",
         "CodeRange", ranges(unknown_to_normal_forms(utf8proc)))
    show("kNoPunctuation", "Punctuation since Unicode 7.", "CodeRange",
         ranges(no_punctuation(utf8proc)))


if __name__ == "__main__":
    main()
