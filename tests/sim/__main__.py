"""python -m tests.sim run SEED [-v] [--plain] [--nodes N] [--faults KIND,…] | swarm N [--start S]
[--jobs J] [--seconds V] [-w json]"""

from __future__ import annotations

import argparse
import json
import sys

from tests import told
from tests.sim.options import PLAIN_SECONDS, Options, chosen
from tests.sim.story import SimFailure
from tests.sim.swarm import Played, Summary, swarm
from tests.sim.world import SECONDS, World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="play one seed, always the same way")
    one.add_argument("seed", type=int)
    one.add_argument("-v", "--verbose", action="store_true", help="tell the whole story")
    add_world(one)
    many = commands.add_parser("swarm", help="play many seeds")
    many.add_argument("count", type=int)
    many.add_argument("--start", type=int, default=0, help="the first seed")
    many.add_argument("--jobs", type=int, default=2, help="processes")
    many.add_argument("--seconds", type=float, default=SECONDS, help="virtual seconds under faults")
    for command in (one, many):
        command.add_argument("-w", "--write", choices=["simple", "json"], default="simple")
    arguments = parser.parse_args()
    return _run(arguments) if arguments.command == "run" else _swarm(arguments)


def add_world(command: argparse.ArgumentParser) -> None:
    """The options that choose what kind of world a seed makes; `world_of` reads them."""
    command.add_argument("--plain", action="store_true", help="a world for the first look")
    command.add_argument("--nodes", type=int, choices=range(1, 8), metavar="N", help="1 to 7 nodes")
    command.add_argument("--faults", metavar="KIND,…", help="only these kinds; none: ''")
    command.add_argument(
        "--seconds", type=float, help="virtual seconds under faults (30; --plain: 5)"
    )


def world_of(arguments: argparse.Namespace) -> tuple[float, Options | None]:
    """How long the world lives under faults, and its options; None: what the seed draws."""
    seconds = arguments.seconds or (PLAIN_SECONDS if arguments.plain else SECONDS)
    kinds = arguments.faults
    faults = None if kinds is None else [kind for kind in kinds.split(",") if kind]
    try:
        options = chosen(
            arguments.seed,
            seconds,
            first_look=arguments.plain,
            nodes=arguments.nodes,
            faults=faults,
        )
    except ValueError as error:
        raise SystemExit(f"--faults: {error}") from error
    return seconds, options


def _run(arguments: argparse.Namespace) -> int:
    seconds, options = world_of(arguments)
    world = World(arguments.seed, seconds, aloud=arguments.verbose, options=options)
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
