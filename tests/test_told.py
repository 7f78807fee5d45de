"""A proof does not fail because its reader leaves, or because its output has no room."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

import pytest

from raftzmq_cli.common import exits
from tests.amounts import sample

PROGRAMS: Final = (
    "tests.sim run 42 -v --seconds 2",
    "tests.sim run 42 --seconds 1 -w json",
    "tests.views.sim run 42 -v --seconds 2",
    "tests.fuzz 50",
    "tests.planted --help",
    "tests.bench --help",
    "tests.acceptance --help",
    "tests.system.crashes --help",
)


@pytest.mark.parametrize(
    ("program", "kind"), sample([(p, kind) for p in PROGRAMS for kind in ("pipe", "full")], 3)
)
def test_what_becomes_of_the_output_decides_nothing(program: str, kind: str) -> None:
    if kind == "pipe":
        reader, target = os.pipe()
        os.close(reader)
    else:
        target = os.open("/dev/full", os.O_WRONLY)
    try:
        done = subprocess.run(
            [sys.executable, "-m", *program.split()],
            stdout=target,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(target)
    assert "failed" not in done.stderr
    assert "Traceback" not in done.stderr
    if kind == "pipe":
        assert (done.returncode, done.stderr) == (exits.BROKEN_PIPE, "")
    else:
        assert done.returncode == exits.CANNOT_WRITE
        assert "cannot write the output: No space left on device" in done.stderr
