"""How much of each proof a run does: a little in everybody's run, the full amount with --proof."""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "RAFTZMQ_PROOF"
"""In the environment, so that modules know it when they are imported; `--proof` sets it."""


def amount(usual: int, proof: int) -> int:
    """Return `proof` in a run with --proof (what .ci/run does), else `usual`.

    Only amounts differ between the two: every test runs in both.
    """
    return proof if os.environ.get(VARIABLE) else usual
