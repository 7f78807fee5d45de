"""The site is built without a warning, and every link on it leads somewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import raftzmq
from raftzmq import testing
from tests.cli.test_usage import commands
from tests.documents import ROOT
from tests.site.api import HANDLES
from tests.site.sources import REFERENCE, page_of_code, with_fences, with_links


@dataclass
class Page:
    """What a page of HTML has of interest: where it leads, what it loads, and its anchors."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


class Reader(HTMLParser):
    """Reads a page of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = dict(attrs)
        self.page.anchors.update(filter(None, (has.get("id"), has.get("name"))))
        if tag == "a" and (link := has.get("href")):
            self.page.links.append(link)
        elif tag != "a":
            self.page.loads += filter(None, (has.get("src"), has.get("href")))


def read(site: Path) -> dict[Path, Page]:
    pages = {}
    for path in site.rglob("*.html"):
        reader = Reader()
        reader.feed(path.read_text())
        pages[path] = reader.page
    return pages


def broken(path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    """The links of a page that lead nowhere."""
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or path.name == "404.html":
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        target = target / "index.html" if target.is_dir() else target
        if not target.exists():
            yield f"{path}: {link}"
        elif parts.fragment and unquote(parts.fragment) not in pages[target].anchors:
            yield f"{path}: {link} has no such anchor"


@pytest.mark.proof
def test_the_site_is_built_and_whole(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("mkdocs")
    if not program.exists():
        pytest.skip("mkdocs is not installed here: the dev extra has it")
    sources = tmp_path / "sources"
    script = f"from tests.site.sources import *; write_sources(Path({str(sources)!r}))"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)
    settings = (ROOT / "mkdocs.yml").read_text().replace("docs_dir: .site", f"docs_dir: {sources}")
    (tmp_path / "mkdocs.yml").write_text(settings)
    done = subprocess.run(
        [program, "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr

    pages = read(tmp_path / "site")
    assert len(pages) > 50
    wrong = [text for path, page in pages.items() for text in broken(path, page, pages)]
    assert not wrong, "\n".join(wrong)
    foreign = {load for page in pages.values() for load in page.loads if urlsplit(load).netloc}
    assert not foreign, f"The site takes these from other servers: {foreign}"


def test_the_reference_has_every_public_name_and_command() -> None:
    text = "\n".join(page() for page in REFERENCE.values())
    headings = {line.lstrip("# ") for line in text.splitlines() if line.startswith("## ")}
    named = {
        *raftzmq.__all__,
        *testing.__all__,
        *HANDLES,
        *(f"raftzmq {name}" for name in commands()),
    }
    assert not named - {"__version__"} - headings


def test_the_reference_shows_what_a_method_takes_and_says() -> None:
    text = REFERENCE["reference/client.md"]()
    put = text.partition("### Client.put\n")[2].partition("\n### ")[0]
    assert "\n        value: Value,\n        *,\n        ttl: float | None = None,\n" in put
    assert ") -> Written\n" in put
    assert "Write a key." in put
    assert "self" not in put


def test_a_link_to_a_file_of_code_leads_to_its_page() -> None:
    page = ROOT / "docs" / "page.md"
    text = "[a](../raftzmq/limits.py) [b](../raftzmq/core/raft.py#L12) [c](../raftzmq/core)"
    assert with_links(page, text) == (
        "[a](../raftzmq/limits.py.md) [b](../raftzmq/core/raft.py.md#__codelineno-0-12) "
        "[c](../raftzmq/core/DESIGN.md)"
    )
    for kept in (
        "[a](python.md#locks)",
        "[a](https://raft.github.io/)",
        "![a](demo.svg)",
        "[a](#b)",
    ):
        assert with_links(page, kept) == kept
    with pytest.raises(LookupError, match="has no document"):
        with_links(page, "[a](../tests/fuzz)")


def test_a_page_of_code_shows_the_file() -> None:
    text = page_of_code(Path("a/b.py"), "x = 1\n")
    assert "# a/b.py\n" in text
    assert '{.python linenums="1"}\nx = 1\n```' in text


def test_blocks_of_python_are_marked() -> None:
    text = "Write:\n\n    db.put(1)\n\n    db.get(1)\n\nOr:\n\n    $ raftzmq client get 1\n"
    assert with_fences(text) == (
        "Write:\n\n```python\ndb.put(1)\n\ndb.get(1)\n```\n\nOr:\n\n    $ raftzmq client get 1\n"
    )
