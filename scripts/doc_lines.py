#!/usr/bin/env python3
"""Prints, for each crate, how many first lines of doc comments lean on a pronoun (what, that, those, it, one, whoever) and their share: doc_lines.py [--show] [PATH]...
Without paths every crate's src/ is counted, and the share of all must be no more than LIMIT. With --show the lines are printed."""
import pathlib, re, sys

LIMIT = 0.15
LEANS = re.compile(r"(?<![\w`])(what|that|those|it|one|whoever)(?![\w`])", re.IGNORECASE)

root = pathlib.Path(__file__).resolve().parent.parent


def first_lines(path):
    before = ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip()
        if re.match(r"//[/!] \S", line) and not before.startswith(line[:3]):
            yield number, line[4:]
        before = line


def files(place):
    return [place] if place.is_file() else [path for path in sorted(place.rglob("*.rs")) if path.name != "tests.rs"]


show, paths = "--show" in sys.argv[1:], [pathlib.Path(a) for a in sys.argv[1:] if not a.startswith("--")]
places = [(str(path), path) for path in paths] or [(m.parent.name, m.parent / "src") for m in sorted(root.glob("*/Cargo.toml"))]
leaning = total = 0
for name, place in places:
    lines = [(path, *line) for path in files(place) for line in first_lines(path)]
    found = [line for line in lines if LEANS.search(line[2])]
    leaning, total = leaning + len(found), total + len(lines)
    if show:
        for path, number, line in found:
            print(f"{path}:{number}: {line[:160]}")
    print(f"{name:30} {len(found):5} of {len(lines):5}  {len(found) / max(len(lines), 1):4.0%}")
print(f"{'all':30} {leaning:5} of {total:5}  {leaning / max(total, 1):4.0%}")
sys.exit(0 if paths or leaning <= LIMIT * total else 1)
