"""How much of each proof a run does: a little in everybody's run, the full amount with --proof."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import pytest

VARIABLE: Final = "RAFTZMQ_PROOF"
"""In the environment, so that modules know it when they are imported; `--proof` sets it."""

PICKED: Final = "RAFTZMQ_PICKED"
"""In the environment, so that pytest-xdist's workers know it: the tests were named."""


def amount(usual: int, proof: int) -> int:
    """Return `proof` in a run with --proof (what .ci/run does), else `usual`."""
    return proof if os.environ.get(VARIABLE) else usual


def sample(values: Sequence[Any], usual: int) -> list[Any]:
    """Return `values` as parameters of a test, a tuple for several names. So many of them, evenly
    spread, are in everybody's run; the others are marked `proof`."""
    kept = {len(values) * k // usual for k in range(usual)}
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)),
            marks=[] if k in kept else [pytest.mark.proof],
        )
        for k, value in enumerate(values)
    ]


def are_picked(config: pytest.Config) -> bool:
    """Whether somebody has named the tests to run, by path or by -k."""
    return config.args_source == pytest.Config.ArgsSource.ARGS or bool(config.option.keyword)


def skip_the_longest(items: list[pytest.Item]) -> None:
    """What is marked `proof` runs with --proof, and for who names it. Nothing else differs between
    the runs but amounts."""
    if not os.environ.get(VARIABLE) and not os.environ.get(PICKED):
        reason = "takes longest: run with --proof, or by its name"
        for item in items:
            if item.get_closest_marker("proof"):
                item.add_marker(pytest.mark.skip(reason=reason))
