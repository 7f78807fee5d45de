"""The documents lead where they say, and the README quotes no figure that was not measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import (
    DOCUMENTS,
    ROOT,
    SAME_SCREEN_LINES,
    anchor_of,
    anchors_of,
    figures_of,
    line_of,
    links_of,
    places_of,
    renumber,
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


def test_every_page_of_docs_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    missing = [
        path.name for path in ROOT.glob("docs/*.md") if f"docs/{path.name}" not in navigation
    ]
    assert not missing, f"Name these in mkdocs.yml, where they are looked for: {missing}"


def test_every_example_is_explained_and_run_by_a_test() -> None:
    explained = {link.target for link in links_of(ROOT / "examples" / "README.md")}
    tests = "".join(path.read_text() for path in ROOT.glob("tests/*/**/test_*.py"))
    no_examples = {"README.md", "__pycache__"}
    for example in (path for path in ROOT.glob("examples/*") if path.name not in no_examples):
        assert example in explained, f"Name {example.name} in examples/README.md"
        assert example.name in tests, f"No test runs {example.name}"


def test_each_feature_names_a_test_that_is_there() -> None:
    page = ROOT / "docs" / "features.md"
    rows = [row for row in page.read_text().splitlines() if row.startswith("| ")]
    features = [row for row in rows if not row.startswith(("| feature |", "| --- |"))]
    assert len(features) > 25
    for feature in features:
        tests = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", feature)
        assert tests, f"Which test shows this? {feature}"
        for name, path in tests:
            found = line_of(name, (page.parent / path).resolve())
            assert found, f"docs/features.md: {path} does not define {name}"


def test_the_readme_is_read_in_a_few_minutes() -> None:
    words = len((ROOT / "README.md").read_text().split())
    assert words <= README_WORDS_MAX, f"{words} words: move what is not needed to decide to docs/"


def test_the_readme_quotes_the_figures_of_the_benchmarks() -> None:
    quoted = figures_of(section(ROOT / "README.md", "<!-- figures quoted"))
    measured = figures_of((ROOT / "docs" / "benchmarks.md").read_text())
    assert quoted
    assert not quoted - measured, "docs/benchmarks.md has other figures than these of the README"


# -- places in the code -------------------------------------------------------------------------


def test_every_place_in_the_code_that_a_document_names_is_there() -> None:
    places = [place for document in DOCUMENTS for place in places_of(document)]
    wrong = []
    for where, name, target, line in places:
        found = line_of(name, target)
        if found is None:
            wrong.append(f"{where}: {target.relative_to(ROOT)} does not define {name}")
        elif abs(found - line) > SAME_SCREEN_LINES:
            wrong.append(f"{where}: {name} is at line {found} now: run `./justw fix`")
    assert places
    assert not wrong, "; ".join(wrong)


CODE = """
LIMIT = 3

class Client:
    put = call(keys.put)

    def get(self):
        pass

def get():
    pass
"""


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("LIMIT", 2),
        ("Client", 4),
        ("Client.put", 5),
        ("Client.get", 7),
        ("get", 10),
        ("put", None),
        ("Client.delete", None),
        ("get.deeper", None),
    ],
)
def test_a_place_is_found_by_its_name(tmp_path: Path, name: str, line: int | None) -> None:
    code = tmp_path / "code.py"
    code.write_text(CODE)
    assert line_of(name, code) == line


def test_lines_are_set_anew(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CODE)
    document = tmp_path / "page.md"
    document.write_text("See [`Client.get`](code.py#L1) and [`get`](code.py#L1).")
    renumber(document)
    assert document.read_text() == "See [`Client.get`](code.py#L7) and [`get`](code.py#L10)."
    document.write_text("See [`put`](code.py#L1).")
    with pytest.raises(LookupError, match=r"code\.py does not define put"):
        renumber(document)
