"""The page that is committed is what page/src makes, and small. No text becomes HTML in it."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from raftzmq.page import PLACE, html
from tests.sim.story import ROOT

BYTES_MAX = 300 * 1024
SOURCES = ROOT / "page" / "src"


def test_the_page_is_small() -> None:
    assert len(html().encode()) <= BYTES_MAX


def test_the_page_has_one_place_for_a_recording() -> None:
    assert html().count(PLACE) == 1


def test_the_page_takes_nothing_from_elsewhere() -> None:
    assert not re.search(r"""(src|href)=["']?(https?:|//)|url\(["']?(https?:|//)""", html())
    assert "default-src 'none'" in html()


def test_text_becomes_part_of_the_page_as_text_only() -> None:
    for source in SOURCES.glob("*.ts"):
        found = re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", source.read_text()
        )
        assert not found, f"{source.name} has {found}: use the functions of dom.ts"


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
@pytest.mark.skipif(
    not (ROOT / "page" / "node_modules" / "esbuild").exists(), reason="`npm ci` in page/ first"
)
def test_the_page_is_what_its_sources_make() -> None:
    made = subprocess.run(
        ["npm", "run", "--silent", "check"],
        cwd=ROOT / "page",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
