"""python -m tests.sim run SEED [-v] | swarm N [--start S] [--jobs J] [--seconds V] [-w json]"""

from __future__ import annotations

import argparse
import json
import sys

from tests import told
from tests.sim.story import SimFailure
from tests.sim.swarm import Played, Summary, swarm
from tests.sim.world import SECONDS, World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="play one seed, always the same way")
    one.add_argument("seed", type=int)
    one.add_argument("-v", "--verbose", action="store_true", help="tell the whole story")
    many = commands.add_parser("swarm", help="play many seeds")
    many.add_argument("count", type=int)
    many.add_argument("--start", type=int, default=0, help="the first seed")
    many.add_argument("--jobs", type=int, default=2, help="processes")
    for command in (one, many):
        command.add_argument(
            "--seconds", type=float, default=SECONDS, help="virtual seconds under faults"
        )
        command.add_argument("-w", "--write", choices=["simple", "json"], default="simple")
    arguments = parser.parse_args()
    return _run(arguments) if arguments.command == "run" else _swarm(arguments)


def _run(arguments: argparse.Namespace) -> int:
    world = World(arguments.seed, arguments.seconds, aloud=arguments.verbose)
    summary = Summary(seeds=1)
    try:
        world.run()
    except SimFailure as failure:
        print(failure, file=sys.stderr)
        return 1
    summary.steps, summary.faults, summary.counts = world.steps, world.faults_done, world.counts
    if arguments.write == "json":
        print(json.dumps({**summary.as_json(), "digest": f"{world.story.digest:08x}"}))
    else:
        print(f"seed {arguments.seed} holds: {summary.line(1)}; digest {world.story.digest:08x}")
    return 0


def _swarm(arguments: argparse.Namespace) -> int:
    count = arguments.count
    terminal = sys.stderr.isatty()

    def progress(summary: Summary, played: Played) -> None:
        if played.problem:
            print(f"\n{played.told}\n", file=sys.stderr)
        if terminal:
            print(f"\r{summary.line(count)} ", end="", file=sys.stderr, flush=True)
        elif summary.seeds % 100 == 0:
            print(summary.line(count), file=sys.stderr, flush=True)

    seeds = range(arguments.start, arguments.start + count)
    summary = swarm(seeds, jobs=arguments.jobs, seconds=arguments.seconds, progress=progress)
    if terminal:
        print(file=sys.stderr)
    print(json.dumps(summary.as_json(), indent=2) if arguments.write == "json" else summary)
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(told.run(main))
