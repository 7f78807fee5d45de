"""The sources of the site: the documents of the repository where they lie, and what they lead to.

A document keeps its place, so its links to others work on a git host and on the site. What else a
document leads to comes along: a picture as it is, a file of code as a page with an anchor for each
line, a folder as the page that explains it.
"""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.documents import DOCUMENTS, ROOT, indented_blocks_of, is_python, links_of
from tests.site import api, commands

PAGES: Final = ROOT / ".site"
"""What mkdocs.yml names as `docs_dir`."""

REFERENCE: Final[dict[str, Callable[[], str]]] = {
    "reference/client.md": api.page_of_clients,
    "reference/handles.md": api.page_of_handles,
    "reference/results.md": api.page_of_results,
    "reference/transactions.md": api.page_of_transactions,
    "reference/errors.md": api.page_of_errors,
    "reference/testing.md": api.page_of_testing,
    "reference/commands.md": commands.page_of_commands,
}
"""Pages that are made of the code."""

_AS_THEY_ARE: Final = {".svg", ".json"}
_NOT_SEARCHED: Final = "---\nsearch:\n  exclude: true\n---\n\n"
_FENCES: Final = {".py": "python", ".sh": "sh", ".yaml": "yaml", ".service": "ini"}
_TARGET: Final = re.compile(r"(?<=\]\()([^)\s#]+)(?:#L(\d+))?(?=[)#])")


def write_sources(pages: Path = PAGES) -> None:
    """Write all of them anew."""
    shutil.rmtree(pages, ignore_errors=True)
    for document in DOCUMENTS:
        text = document.read_text()
        _write(pages / document.relative_to(ROOT), with_links(document, with_fences(text)))
        for link in links_of(document):
            _bring(link.target, pages)
    for name, page in REFERENCE.items():
        _write(pages / name, with_fences(page()))


def _bring(target: Path, pages: Path) -> None:
    """Write what a document leads to, unless it is a document itself."""
    name = target.relative_to(ROOT)
    if target.suffix in _AS_THEY_ARE:
        _write(pages / name, target.read_text())
    elif target.is_file() and target.suffix != ".md":
        _write(pages / f"{name}.md", page_of_code(name, target.read_text()))


def page_of_code(name: Path, text: str) -> str:
    """A page that shows a file, with numbers of lines."""
    fence = "`" * 8
    language = _FENCES.get(name.suffix, "text")
    return f'{_NOT_SEARCHED}# {name}\n\n{fence} {{.{language} linenums="1"}}\n{text}{fence}\n'


def with_links(document: Path, text: str) -> str:
    """The text of a document, its links leading to pages: of files of code, and of folders."""

    def link(found: re.Match[str]) -> str:
        name, line = found.groups()
        target = (document.parent / name).resolve()
        if target.is_dir():
            target = _explanation_of(target)
            name = os.path.relpath(target, document.parent)
        if not target.is_file() or target.suffix in {".md", *_AS_THEY_ARE}:
            return name
        return f"{name}.md" + (f"#__codelineno-0-{line}" if line else "")

    return _TARGET.sub(link, text)


def _explanation_of(folder: Path) -> Path:
    """The document of a folder."""
    for name in ("README.md", "DESIGN.md"):
        if (folder / name).exists():
            return folder / name
    raise LookupError(f"{folder} has no document: link to a file in it")


def with_fences(text: str) -> str:
    """The text of a document, its blocks of Python marked as such."""

    parts, done = [], 0
    for found in indented_blocks_of(text):
        code = textwrap.dedent(found[0]).rstrip()
        if is_python(code):
            parts += [text[done : found.start()], f"```python\n{code}\n```\n"]
            done = found.end()
    return "".join([*parts, text[done:]])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
