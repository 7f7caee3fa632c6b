"""Holds README and ARCHITECTURE to their form: lengths of the page, of lines and of sentences."""

import re
import sys
from pathlib import Path

MOST_LINES = {"README.md": 110}
MOST_COLUMNS = 100
MOST_WORDS = 30


def prose(text):
    """The paragraphs and items, without tables, code, images, links' targets and headings."""
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    blocks, block = [], []
    for line in text.splitlines() + [""]:
        is_prose = line.strip() and not line.startswith(("    ", "|", "#", "!", "["))
        if is_prose and not re.match(r"\s*([-*]|\d+\.) ", line):
            block.append(line.strip())
            continue
        if block:
            blocks.append(" ".join(block))
        block = [re.sub(r"^\s*([-*]|\d+\.) ", "", line)] if is_prose else []
    return [re.sub(r"\]\([^)]*\)", "]", block) for block in blocks]


def sentences(paragraph):
    return re.split(r"(?<=[.!?:])\s+(?=[A-Z`*\[])", paragraph)


def check(path):
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    most = MOST_LINES.get(path.name)
    if most and len(lines) > most:
        yield f"{path}: {len(lines)} lines, expected at most {most}"
    for number, line in enumerate(lines, 1):
        if len(line) > MOST_COLUMNS:
            yield f"{path}:{number}: {len(line)} columns, expected at most {MOST_COLUMNS}"
    for paragraph in prose(text):
        for sentence in sentences(paragraph):
            words = len(sentence.split())
            if words > MOST_WORDS:
                yield f"{path}: {words} words, expected at most {MOST_WORDS}: {sentence}"


problems = [problem for name in sys.argv[1:] for problem in check(Path(name))]
print("\n".join(problems) or f"{len(sys.argv) - 1} pages keep their form")
sys.exit(bool(problems))
