"""python -m tests.fuzz N [--seed S] [-w json]: so many mangled inputs for the decoders."""

from __future__ import annotations

import argparse
import json
import sys

from tests import told
from tests.fuzz.decoders import Tally, run
from tests.fuzz.mangler import Found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("count", type=int, help="how many inputs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-w", "--write", choices=["simple", "json"], default="simple")
    arguments = parser.parse_args()
    count = arguments.count
    terminal = sys.stderr.isatty()

    def progress(tally: Tally) -> None:
        if terminal:
            print(f"\r{tally.line(count)} ", end="", file=sys.stderr, flush=True)
        elif tally.inputs % 100_000 == 0:
            print(tally.line(count), file=sys.stderr, flush=True)

    try:
        tally = run(count, arguments.seed, progress=progress)
    except Found as found:
        print(f"\n{found}", file=sys.stderr)
        return 1
    if terminal:
        print(file=sys.stderr)
    if arguments.write == "json":
        print(json.dumps(tally.as_json(), indent=2))
        return 0
    print(f"seed {tally.seed} holds: {tally.line(count)}")
    for name, outcomes in tally.outcomes.items():
        print(f"{name}:")
        for outcome, times in outcomes.most_common():
            print(f"  {times:>9} {outcome}")
    return 0


if __name__ == "__main__":
    sys.exit(told.run(main))
