"""What a program can read out of the documents: their links, headings and figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "kube/*.md", "raftzmq/**/*.md", "tests/**/*.md")
    for path in ROOT.glob(pattern)
)

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"#+ +(.*)")
_NUMBER = re.compile(r"\d[\d,.]*")


class Link(NamedTuple):
    where: str  # path:line
    target: Path
    anchor: str  # "" for the file as a whole


def links_of(document: Path) -> Iterator[Link]:
    """The links and pictures of a document that lead to files of this repository."""
    for number, line in enumerate(document.read_text().splitlines(), start=1):
        for target in _LINK.findall(line):
            if "://" in target:
                continue
            name, _, anchor = target.partition("#")
            path = (document.parent / name).resolve() if name else document
            yield Link(f"{document.relative_to(ROOT)}:{number}", path, anchor)


def anchors_of(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = document.read_text()
    headings = [_HEADING.fullmatch(line) for line in text.splitlines()]
    return {anchor_of(heading[1]) for heading in headings if heading}


def anchor_of(heading: str) -> str:
    """Letters, digits, underscores and hyphens stay, in lower case; spaces become hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(document: Path, begin: str) -> str:
    """What stands between the comment that starts with `begin` and the end of the figures."""
    text = document.read_text()
    return text[text.index(begin) : text.index("<!-- end of figures -->", text.index(begin))]


def figures_of(text: str) -> set[str]:
    """The numbers in the cells of tables, as they are written: no heads, no first column."""
    return {number for cell in _cells(text.splitlines()) for number in _NUMBER.findall(cell)}


def _cells(lines: list[str]) -> Iterator[str]:
    in_table = False
    for line in lines:
        if line.startswith("| ---"):
            in_table = True
        elif not line.startswith("|"):
            in_table = False
        elif in_table:
            yield from line.strip("|").split("|")[1:]
