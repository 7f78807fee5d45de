"""python -m tests.planted [--starts N] [--start SEED] [-w json]: the bugs, and what caught them."""

from __future__ import annotations

import argparse
import json
import sys
from statistics import mean
from typing import Any, Final

from tests import told
from tests.planted import (
    consensus,
    coordination,
    keys,
    processes,
    programs,
    service,
    strangers,
    upgrades,
)
from tests.planted.defect import START, Caught, Defect, catch
from tests.planted.processes import ProcessDefect

APART: Final = 1000
"""So far are the starts from each other."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("--start", type=int, default=START, help="the first seed")
    parser.add_argument("--starts", type=int, default=1, help="try each bug from so many seeds")
    parser.add_argument("--only", default="", help="numbers, with commas between: 6,11b")
    parser.add_argument("-w", "--write", choices=["simple", "json"], default="simple")
    arguments = parser.parse_args()
    starts = [arguments.start + k * APART for k in range(arguments.starts)]
    planted: list[Defect | ProcessDefect] = [
        *consensus.DEFECTS,
        *service.DEFECTS,
        *coordination.DEFECTS,
        *strangers.DEFECTS,
        *upgrades.DEFECTS,
        *programs.DEFECTS,
        *processes.DEFECTS,
        *keys.DEFECTS,
    ]
    rows = []
    for defect in sorted(planted, key=lambda d: (d.number, d.half)):
        if not _is_meant(defect, arguments.only):
            continue
        row = _row(defect, starts)
        rows.append(row)
        if arguments.write == "simple":
            seeds = "-" if row["seeds"] is None else f"{row['seeds']:g}"
            seed = "-" if row["seed"] is None else row["seed"]
            print(f"{row['number']:<4}{seeds:>6} {seed!s:>6}  {row['title']}", flush=True)
            print(f"{'':19}{row['told'][:120]}", flush=True)
    if arguments.write == "json":
        print(json.dumps(rows, indent=2))
    return 0 if all(row["caught"] for row in rows) else 1


def _is_meant(defect: Defect | ProcessDefect, only: str) -> bool:
    number = str(defect.number)
    return not only or not {number, number + defect.half}.isdisjoint(only.split(","))


def _row(defect: Defect | ProcessDefect, starts: list[int]) -> dict[str, Any]:
    """What became of one bug: `seeds` is how many worlds it took on average, `seed` the first that
    caught it; both are None for real processes, which need one try."""
    row = {"number": f"{defect.number}{defect.half}", "title": defect.title}
    try:
        if isinstance(defect, ProcessDefect):
            told, seeds, seed = defect.caught(), None, None
        else:
            every: list[Caught] = [catch(defect, start) for start in starts]
            told, seed = every[0].problem, every[0].seed
            seeds = round(mean(caught.seeds for caught in every), 1)
    except AssertionError as error:
        return {**row, "caught": False, "seeds": None, "seed": None, "told": _line(str(error))}
    return {**row, "caught": True, "seeds": seeds, "seed": seed, "told": _line(told)}


def _line(text: str) -> str:
    return text.splitlines()[0]


if __name__ == "__main__":
    sys.exit(told.run(main))
