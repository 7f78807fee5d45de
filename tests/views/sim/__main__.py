"""python -m tests.views.sim run SEED [-v] | swarm N [--start S] [--seconds V] | planted"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests import told
from tests.sim.story import SimFailure
from tests.views.sim.planted import DEFECTS, catch
from tests.views.sim.world import SECONDS, World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.views.sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="play one seed, always the same way")
    one.add_argument("seed", type=int)
    one.add_argument("-v", "--verbose", action="store_true", help="tell the whole story")
    many = commands.add_parser("swarm", help="play many seeds")
    many.add_argument("count", type=int)
    many.add_argument("--start", type=int, default=0, help="the first seed")
    for command in (one, many):
        command.add_argument("--seconds", type=float, default=SECONDS, help="under faults")
    commands.add_parser("planted", help="catch every planted bug, and say how long it took")
    arguments = parser.parse_args()
    if arguments.command == "planted":
        for defect in DEFECTS:
            caught = catch(defect)
            print(f"{caught.seeds:4} worlds  {defect.title}: {caught.problem.splitlines()[0]}")
        return 0
    if arguments.command == "run":
        return _swarm(
            range(arguments.seed, arguments.seed + 1), arguments.seconds, arguments.verbose
        )
    return _swarm(
        range(arguments.start, arguments.start + arguments.count), arguments.seconds, False
    )


def _swarm(seeds: range, seconds: float, aloud: bool) -> int:
    began = time.monotonic()
    counts: Counter[str] = Counter()
    failed: dict[int, str] = {}
    for seed in seeds:
        world = World(seed, seconds, aloud=aloud)
        try:
            world.run()
        except SimFailure as failure:
            failed[seed] = failure.problem.splitlines()[0]
            if len(seeds) == 1:
                print(failure, file=sys.stderr)
        counts += world.counts + world.faults_done
    for name, count in counts.most_common():
        print(f"  {count:>9} {name}")
    for seed, problem in failed.items():
        print(f"  {seed}: {problem}")
    print(f"{len(seeds)} seeds in {time.monotonic() - began:.0f} s, failed: {len(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(told.run(main))
