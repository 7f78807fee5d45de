"""`mypy --strict` of the examples in the documents, as a user of the installed package runs it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

import raftzmq
from tests import docstrings
from tests.containers.engine import ROOT
from tests.documents import fences_of, indented_blocks_of, is_python

DOCUMENTS: Final = (
    "README.md",
    "docs/python.md",
    "docs/coming-from.md",
    "docs/coordination.md",
    "docs/quickstart.md",
    "docs/state-machines.md",
    "docs/testing.md",
    "docs/tracing.md",
    "docs/tutorial.md",
    "raftzmq/__init__.py",
)
EXAMPLES: Final = ROOT / "examples"

FRAME: Final = """\
import asyncio
import time
from raftzmq import AsyncClient, Client, Delete, Put

async def example(db: Client, revision: int) -> None:
"""
"""What an example may take for granted: what the one before it on the page has."""


DOCSTRING_FRAME: Final = """\
import asyncio
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from counter import Counter
from raftzmq import *

@dataclass
class Job:
    page: int

def example(db: Client, revision: int, request: str, worker: str) -> None:
"""
"""The same for the example of a docstring."""


def blocks(text: str) -> Iterator[str]:
    """The blocks that are Python and use the package, and the programs."""
    for found in indented_blocks_of(text):
        code = textwrap.dedent(found[0]).strip()
        if is_python(code):
            yield code + "\n"
    for language, code in fences_of(text):
        if language == "python" and is_python(code):
            yield code


def examples() -> dict[str, str]:
    """Name -> program."""
    found = {path.stem: path.read_text() for path in EXAMPLES.glob("*.py")}
    for manifest in EXAMPLES.glob("*.yaml"):
        for item in yaml.safe_load_all(manifest.read_text()):
            if item["kind"] == "ConfigMap":
                (found[manifest.stem],) = item["data"].values()
    for name, code in docstrings.examples().items():
        found[f"docstring_of_{name.replace('.', '_')}"] = DOCSTRING_FRAME + textwrap.indent(
            code, "    "
        )
    for document in DOCUMENTS:
        text = (ROOT / document).read_text()
        if document.endswith(".py"):
            text = f"{ast.get_docstring(ast.parse(text))}\n"
        for k, code in enumerate(blocks(text)):
            name = re.sub(r"\W", "_", document)
            is_program = code.startswith("# ")  # and its name
            found[f"{name}_{k}"] = code if is_program else FRAME + textwrap.indent(code, "    ")
    return found


def test_every_document_with_an_example_is_looked_at() -> None:
    pages = {"README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))}
    with_code = {page for page in pages if [*blocks((ROOT / page).read_text())]}
    assert with_code == {page for page in DOCUMENTS if page.endswith(".md")}
    assert len(examples()) >= 8


def test_the_package_says_that_it_has_types() -> None:
    assert Path(raftzmq.__file__).with_name("py.typed").is_file()


def strict(directory: Path, programs: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in programs.items():
        directory.joinpath(f"{name}.py").write_text(text)
    # Nothing of this repository's settings, and in a directory of its own.
    options = ("--strict", "--config-file=", "--cache-dir=.cache")
    return subprocess.run(
        [sys.executable, "-m", "mypy", *options, *(f"{name}.py" for name in programs)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.proof
def test_every_example_is_strictly_typed(tmp_path: Path) -> None:
    done = strict(tmp_path, examples())
    assert done.returncode == 0, done.stdout + done.stderr

    careless = FRAME + '    print(db.get("greeting").value)\n'
    done = strict(tmp_path, {"careless": careless})
    assert 'Item "None" of "Item[str | bytes] | None" has no attribute "value"' in done.stdout
