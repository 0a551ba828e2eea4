#!/usr/bin/env python3
"""Writes tests/data/tokenizers/: small tokenizer.json files of the families that braid reads, each
with texts, the ids that Hugging Face's `tokenizers` gives for them, and the texts it decodes.

    python3 tools/make_tokenizer_fixtures.py [--out tests/data/tokenizers]

Needs the package tokenizers (the files in the repository are from 0.23).
"""
import argparse
import json
import pathlib
import random

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

CORPUS = """
Once upon a time there lived a miller's daughter who couldn't spin straw into gold, but she'd \
learned to count.
"What's in the basket?" asked the wolf; "I've bread, I'll share it, they're cakes, we'd better \
hurry, I'm late!"
The old king counted 12 swans, 345 ravens and 1000000 stars; by 1893 he had written 3.14159 and \
2,718 down.
def count(words):\n\treturn {w: len(w) for w in words}  # one per word\n\n\nprint(count(["a", \
"bb"]))
Über den Flüssen stand ein Mädchen, das hieß Rapunzel. Ça va? Élève naïve, cœur brûlé, señor mañana.
Жила-была девочка в лесу, и звали её Машенька. Конец сказки.
从前有一个国王，他有三个女儿。你好，世界！ 昔々あるところに、おじいさんとおばあさんがいました。
كان يا ما كان في قديم الزمان   एक समय की बात है   กาลครั้งหนึ่ง   옛날 옛적에 호랑이가
the the the and and and was was that that with with her her his his said said little little old old
"""

# What every family must get right.
TEXTS = [
    "", " ", "   ", "\n", "\n\n\n", "\t\t", "Hello, world!", " leading", "trailing ",
    "two  spaces   three",
    "line\r\nline\n\n  indented\n\tcode()\n", "tabs\tand\u00a0no-break\u3000wide\u2003spaces",
    "don't WE'LL they're I'd 'tis rock'n'roll 'S'", "1 22 333 4444 12345678 3.14 1,000 ½ Ⅷ ٣٤٥",
    "na\u00efve cafe\u0301 e\u0301\u0323 \u212b \ufb01n", "你好，世界！从前有一个国王。", "昔々あるところに ひらがなカタカナ",
    "كان يا ما كان العربية", "हिन्दी में नमस्ते ไทย 한국어", "😀👩‍👩‍👧‍👦🇩🇪 👍🏽 ok🙂ok", "Жила-была Ёлка",
    "snake_case CamelCase x=y+1; foo(bar)[0] != {}", "!!!???... --- *** //",
    "https://example.org/a?b=c&d=%20", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "the little old miller said that was with her",
    "\u0000nul \u0007bell \u200bzero\u200dwidth \ufeffbom \u0085next", "▁lower▁block Ġ Ċ ġ",
    "<0x41><0xE4> <s>in</s>", "<|end|>", "a<|end|>b", " <|end|> <|end|>",
    "<|end|><|end|>\n<|user|> hi<|end|>", "<|en <|end|", "<tool>x</tool>",
]

# Characters of Unicode 15, 15.1 and 16, between what often stands beside them.
NEW = ["I \U0001fa77 you", " \U0001fae9", "wifi \U0001f6dc", "a\U0001fae8b \U0001fa75\U0001fa76",
       "\U0001faf7\U0001f3fd \U0001faf8", "\U0001f426\u200d\U0001f525 \U0001f642\u200d\u2194\ufe0f",
       "\U0001fac6 \U0001fadc\U0001fadf!", "\U0001fabe", "\u2ffc\u2fff\u31ef x\u2ffd",
       "漢\U00031350字\U000323af \U0002ebf0\U0002ee5d", "\u0cf3ಕ \u0ece\u0eb2", "\u1c89\u1c8a \ua7cb\ua7da\ua7db",
       "\U0001e4d0\U0001e4f0\U0001e4f5 1\U0001e4f9", "\U00010d40\U00010d4e\U00010d50\U00010d70 12",
       "\U00011f02\U00011f50\U00011f43", "\U0001ccd6\U0001ccf0 \U0001ccf9\U0001cd00",
       "G\u1df7\u030c \u1dfa\u0301", "\U00016d40 \U00016d6d\U00016d70", "\u0897\u0628 \u2427\u2429",
       "\U00013460\U000143fa \U0001e5d0\U0001e5f0\U0001e5f1", "don\u2019t \U0001fae9 'll \U0001fa77's",
       "\n\U0001fae9\n\n \U0001f6dc\t", "\U000105c0\U000105f3 \U00011380\U000113b8\U000113e1"]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
DEEPSEEK_V3 = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
               r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
               r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
               r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
DEEPSEEK_V2 = ["[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ]+",
               r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+"]


def byte_level(**changes):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
            "use_regex": True} | changes


def split(pattern, kind="Regex", behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(key, *steps):
    return {"type": "Sequence", key: list(steps)}


def replace(old, new):
    return {"type": "Replace", "pattern": {"String": old}, "content": new}


def template(bos, bos_id, eos=None, eos_id=None):
    def special(token):
        return {"SpecialToken": {"id": token, "type_id": 0}}

    def item(name):
        return {"Sequence": {"id": name, "type_id": 0}}

    tail = [special(eos)] if eos else []
    ids = {bos: bos_id} | ({eos: eos_id} if eos else {})
    return {"type": "TemplateProcessing", "single": [special(bos), item("A")] + tail,
            "pair": [special(bos), item("A"), item("B")],
            "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for t, i in ids.items()}}


LLAMA2_DECODER = sequence("decoders", replace("▁", " "), {"type": "ByteFallback"},
                          {"type": "Fuse"},
                          {"type": "Strip", "content": " ", "start": 1, "stop": 0})
PREPEND = sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁"))


def splits(*steps):
    return sequence("pretokenizers", *steps, byte_level(use_regex=False))


def byte_level_with(pre_tokenizer, post_processor=byte_level(), **more):
    return {"pre_tokenizer": pre_tokenizer, "post_processor": post_processor,
            "decoder": byte_level()} | more


END = [("<|end|>", {}), ("<|user|>", {})]
TOOL = END + [("<tool>", {"special": False}), ("</tool>", {"special": False})]
SENTENCE = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]

LOWER = sequence("normalizers", {"type": "Strip", "strip_left": True, "strip_right": True},
                 {"type": "Lowercase"}, {"type": "NFKC"})
PUNCTUATION = {"type": "Punctuation", "behavior": "Contiguous"}
DIGITS = {"type": "Digits", "individual_digits": False}

FALLBACK = {"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True}

# name: (components, settings of the model, tokens at the start of the vocabulary, added tokens)
FAMILIES = {
    "gpt2": (byte_level_with(byte_level()), {"legacy_merges": True, "unk_token": ""}, [], END),
    "llama3": (byte_level_with(splits(split(LLAMA3)),
                               sequence("processors", byte_level(), template("<|bos|>", None))),
               {"ignore_merges": True}, [], [("<|bos|>", {})] + END),
    "qwen2": (byte_level_with(splits(split(QWEN2)), normalizer={"type": "NFC"}), {}, [], TOOL),
    "deepseek_v3": (byte_level_with(splits(*map(split, DEEPSEEK_V3)),
                                    normalizer=sequence("normalizers")), {}, [], END),
    "deepseek_v2": (byte_level_with(splits(*map(split, DEEPSEEK_V2),
                                           {"type": "Digits", "individual_digits": True}),
                                    normalizer=sequence("normalizers")), {}, [], END),
    "mixtral": ({"normalizer": PREPEND, "post_processor": template("<s>", 1, "</s>", 2),
                 "decoder": LLAMA2_DECODER}, FALLBACK | {"legacy_merges": True},
                SENTENCE + BYTES, [(t, {}) for t in SENTENCE] + TOOL),
    "mistral_v3": ({"pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
                                      "prepend_scheme": "first", "split": False},
                    "post_processor": template("<s>", 1), "decoder": LLAMA2_DECODER}, FALLBACK,
                   SENTENCE + BYTES, [(t, {}) for t in SENTENCE] + TOOL),
    # As Falcon has it: punctuation and runs of digits apart.
    "falcon": (byte_level_with(sequence("pretokenizers", PUNCTUATION, byte_level(), DIGITS)),
               {"legacy_merges": True}, [], END),
    # A model without a type, as older files have it, and normalizers of uncased models.
    "uncased": (byte_level_with(byte_level(add_prefix_space=True), normalizer=LOWER),
                {"legacy_merges": True, "without_type": True}, [], TOOL),
    "nfd": ({"normalizer": {"type": "NFD"},
             "pre_tokenizer": sequence("pretokenizers", {"type": "Punctuation"})},
            {"unk_token": "<unk>", "fuse_unk": False}, ["<unk>"], [("<unk>", {})]),
    "unknown": ({"pre_tokenizer": sequence("pretokenizers", split(" ", "String", "Removed"),
                                           split(r"\p{P}", behavior="MergedWithPrevious"))},
                {"unk_token": "<unk>", "fuse_unk": False}, ["<unk>"], [("<unk>", {})] + TOOL),
    "added": ({"normalizer": PREPEND,
               "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}},
              {"unk_token": "<unk>", "fuse_unk": True}, ["<unk>"],
              [("<unk>", {}), ("<|end|>", {"lstrip": True}), ("<|user|>", {"rstrip": True}),
               ("<tool>", {"special": False, "normalized": True}),
               ("old", {"special": False, "single_word": True}),
               ("the little", {"special": False, "normalized": True}), ("<|en", {}),
               ("é", {"single_word": True}),
               ("!!", {"lstrip": True, "rstrip": True, "special": False})]),
}


def train(components, first_tokens):
    """The vocabulary and the merges of a model trained on CORPUS behind the given components."""
    shell = Tokenizer(models.BPE())
    shell = Tokenizer.from_str(json.dumps(json.loads(shell.to_str()) | components))
    alphabet = sorted(set("".join(CORPUS.split())))[:120] if first_tokens else []
    if not first_tokens:
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=len(first_tokens) + len(alphabet) + 220,
                                  special_tokens=first_tokens, initial_alphabet=alphabet,
                                  limit_alphabet=len(alphabet), max_token_length=16,
                                  show_progress=False)
    lines = CORPUS.splitlines()
    shell.train_from_iterator(lines, trainer)
    return json.loads(shell.to_str())["model"]


def build(components, settings, first_tokens, added):
    settings = dict(settings)
    model = train({k: v for k, v in components.items() if k != "post_processor"}, first_tokens)
    if settings.pop("legacy_merges", False):
        model["merges"] = [" ".join(pair) for pair in model["merges"]]
    model |= {"dropout": None, "continuing_subword_prefix": None, "end_of_word_suffix": None}
    if settings.pop("without_type", False):
        del model["type"]
    model |= settings
    ids = dict(model["vocab"])
    if settings.get("ignore_merges"):  # words that no sequence of merges reaches
        for word in ["Ġmiller", "Rapunzel", "ĠâĢ"]:
            model["vocab"].setdefault(word, len(model["vocab"]))
        ids = dict(model["vocab"])
    tokens = []
    for content, changes in added:
        ids.setdefault(content, len(ids))
        token = {"id": ids[content], "content": content, "single_word": False, "lstrip": False,
                 "rstrip": False, "normalized": False, "special": True}
        tokens.append(token | changes)
    file = {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": sorted(tokens, key=lambda t: t["id"]), "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None}
    bos = f'"ids": [{ids.get("<|bos|>")}]'  # known only now
    file |= json.loads(json.dumps(components).replace('"ids": [null]', bos))
    return file | {"model": model}


def cases(tokenizer, rng):
    rows = []
    for text in TEXTS + NEW:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        row = {"text": text, "ids": ids, "with_special": tokenizer.encode(text).ids,
               "decoded": tokenizer.decode(ids, skip_special_tokens=False),
               "without_special": tokenizer.decode(ids, skip_special_tokens=True)}
        if row["with_special"] == ids:
            del row["with_special"]
        if row["without_special"] == row["decoded"]:
            del row["without_special"]
        rows.append(row)
    for count in [1, 2, 3, 5, 8, 13, 21, 34]:  # in no sensible order, some without token
        ids = [rng.randrange(tokenizer.get_vocab_size() + 3) for _ in range(count)]
        rows.append({"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False)})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = pathlib.Path(__file__).parent.parent / "tests/data/tokenizers"
    parser.add_argument("--out", type=pathlib.Path, default=default)
    out = parser.parse_args().out
    for name, family in FAMILIES.items():
        file = json.dumps(build(*family), ensure_ascii=False, separators=(",", ":"))
        rows = cases(Tokenizer.from_str(file), random.Random(name))
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(file + "\n", encoding="utf-8")
        lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
        (folder / "cases.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
