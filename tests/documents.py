"""What a program can read out of the documents: links, headings, figures, places in the code.

python -m tests.documents    sets the lines in links to places in the code (`just fix` does)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "examples/**/*.md",
        "kube/*.md",
        "raftzmq/**/*.md",
        "tests/**/*.md",
    )
    for path in ROOT.glob(pattern)
)

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"(?<=\n\n)(?: {4}.*\n|\n(?= {4}))+")
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


def fences_of(text: str) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a document: language and code."""
    for found in _FENCE.finditer(text):
        yield found[1], found[2]


def indented_blocks_of(text: str) -> Iterator[re.Match[str]]:
    """The indented blocks of a document that are in no fence."""
    fenced = [found.span() for found in _FENCE.finditer(text)]
    for found in _BLOCK.finditer(text):
        if not any(begin <= found.start() < end for begin, end in fenced):
            yield found


def is_python(code: str) -> bool:
    """Whether a block of a document, without its indent, is Python that uses the package."""
    if "db." not in code or "$ " in code or code.startswith(("raftzmq ", "./")):
        return False
    ast.parse(code)
    return True


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


# -- places in the code -------------------------------------------------------------------------

SAME_SCREEN_LINES = 20
"""How far a link to a function may be off before it is wrong: whoever follows it still sees it."""

_PLACE = re.compile(r"\[`([\w.]+)`\]\(([^)#\s]+\.py)#L(\d+)\)")


class Place(NamedTuple):
    """A link whose text names something that its target, a Python file, defines."""

    where: str  # path:line
    name: str  # `Class.method`, `function` or `CONSTANT`
    target: Path
    line: int


def places_of(document: Path) -> Iterator[Place]:
    """The places in the code to which a document leads."""
    for number, line in enumerate(document.read_text().splitlines(), start=1):
        for name, target, at in _PLACE.findall(line):
            path = (document.parent / target).resolve()
            yield Place(f"{document.relative_to(ROOT)}:{number}", name, path, int(at))


def line_of(name: str, path: Path) -> int | None:
    """The line on which `path` defines `name`; None if it does not."""
    scope: ast.AST | None = ast.parse(path.read_text())
    for part in name.split("."):
        body = scope.body if isinstance(scope, ast.Module | ast.ClassDef) else []
        scope = next((node for node in body if part in _names_of(node)), None)
    return getattr(scope, "lineno", None)


def _names_of(node: ast.stmt) -> list[str]:
    """What a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def renumber(document: Path) -> None:
    """Set the lines in the document's links to places in the code. Raises LookupError for a place
    that is not there."""

    def place(found: re.Match[str]) -> str:
        name, target, _ = found.groups()
        line = line_of(name, (document.parent / target).resolve())
        if line is None:
            raise LookupError(f"{document}: {target} does not define {name}")
        return f"[`{name}`]({target}#L{line})"

    document.write_text(_PLACE.sub(place, document.read_text()))


if __name__ == "__main__":  # python -m tests.documents, by `just fix`
    for each in DOCUMENTS:
        if _PLACE.search(each.read_text()):
            renumber(each)
