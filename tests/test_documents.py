"""The documents lead where they say, and the README quotes no figure that was not measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents import (
    DOCUMENTS,
    ROOT,
    anchor_of,
    anchors_of,
    figures_of,
    links_of,
    section,
)

README_WORDS_MAX = 1_400


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_resolves(document: Path) -> None:
    wrong = []
    for link in links_of(document):
        if not link.target.exists():
            wrong.append(f"{link.where}: there is no {link.target}")
        elif link.target.suffix == ".md" and link.anchor not in {"", *anchors_of(link.target)}:
            wrong.append(f"{link.where}: {link.target} has no heading #{link.anchor}")
    assert not wrong, "Mend these links: " + "; ".join(wrong)


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("No quorum", "no-quorum"),
        ("What libzmq 4.3.5 cannot stand", "what-libzmq-435-cannot-stand"),
        ("A volume is lost, or damaged", "a-volume-is-lost-or-damaged"),
    ],
)
def test_an_anchor_is_made_as_github_makes_it(heading: str, anchor: str) -> None:
    assert anchor_of(heading) == anchor


def test_links_and_headings_are_found() -> None:
    readme = ROOT / "README.md"
    assert ROOT / "docs" / "guarantees.md" in {link.target for link in links_of(readme)}
    assert "try-it" in anchors_of(readme)
    assert "not-a-heading" not in anchors_of(readme)


def test_every_page_of_docs_is_in_the_readme() -> None:
    named = {link.target for link in links_of(ROOT / "README.md")}
    missing = [path.name for path in ROOT.glob("docs/*.md") if path not in named]
    assert not missing, f"Name these in the README's table of documents: {missing}"


def test_the_readme_is_read_in_a_few_minutes() -> None:
    words = len((ROOT / "README.md").read_text().split())
    assert words <= README_WORDS_MAX, f"{words} words: move what is not needed to decide to docs/"


def test_the_readme_quotes_the_figures_of_the_benchmarks() -> None:
    quoted = figures_of(section(ROOT / "README.md", "<!-- figures quoted"))
    measured = figures_of((ROOT / "docs" / "benchmarks.md").read_text())
    assert quoted
    assert not quoted - measured, "docs/benchmarks.md has other figures than these of the README"
