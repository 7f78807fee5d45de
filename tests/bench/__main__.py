"""raftzmq beside etcd and PySyncObj, on this machine, in one run.

    python -m tests.bench compare [--seconds 6] [--rounds 2] [--failover 20] [-o RESULTS.json]
    python -m tests.bench table RESULTS.json
    python -m tests.bench picture RESULTS.json docs/bench.svg

All systems are three processes on loopback with their data on one disk, started anew for each round
and loaded in a closed loop: as many operations are in flight at any time as the figure says. What
they do not have in common:

* raftzmq and etcd have a write on the disks of a majority (fsync) before they acknowledge it. So
  they are run as they come, with all settings as by default.
* PySyncObj never syncs: its journal is a file mapped into memory, which the kernel writes when it
  likes. It has no clients: the load is made within the leader and has no network to cross. It is
  run with the settings that were fastest of those tried (pysyncobj_node.py), and compaction off.
  Its "get" is an operation in the log, the only linearizable read there is.
* raftzmq-keys and etcd-tls are the same systems with all that is on the wire encrypted. raftzmq
  knows each client by its key; etcd has certificates of its own making, and asks clients for none.
* etcd's clients go to its leader, as raftzmq's do by themselves, for it is faster so, even with
  stale reads while all nodes share the cores. The load is made by a program in Go, over eight
  connections.
* raftzmq's is made by `raftzmq client bench`: one process, one connection, operations that wait
  sent together. Every generator shares the two or more cores with the nodes; the table says how
  much processor time it took.
* Locks and watches: coordinating.py and etcd/coordination.go say what is counted. raftzmq's load is
  made by its clients as they are: claimants share a lease and a connection, and the watchers of one
  connection share a watch on the wire and the decoded events; etcd's claimants have a session each,
  for it knows them by that, and it sends each watcher its own. Both have eight connections for
  watchers.
* After a kill, etcd waits a second before it elects, by default; raftzmq less.
"""

from __future__ import annotations

import argparse
import shlex
import socket
import sys
import time
from pathlib import Path

from tests import told
from tests.bench import picture, table
from tests.bench.compare import SYSTEMS, Comparison, Plan, stopping_what_was_started, tell
from tests.bench.points import OPS, chosen
from tests.bench.provision import CannotProvision
from tests.bench.results import Results, load

CACHE = Path(".raftzmq/bench")
RESULTS = Path("tests/bench/results")


def numbers(text: str) -> list[int]:
    found = [int(word) for word in text.split(",")]
    if min(found) < 1:
        raise ValueError
    return found


def one_of(known: tuple[str, ...], text: str) -> list[str]:
    words = text.split(",")
    if unknown := set(words) - set(known):
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
    return words


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("compare", help="measure, print the tables, keep the results")
    run.add_argument(
        "--ops",
        type=lambda text: one_of(OPS, text),
        help=f"some of {','.join(OPS)}. Without --ops, --outstanding and --sizes the loads are "
        "those for which something is wanted; with any of them, all combinations",
    )
    run.add_argument("--outstanding", type=numbers, help="numbers of operations in flight")
    run.add_argument("--sizes", type=numbers, help="bytes of a value")
    run.add_argument("--seconds", type=float, default=6, help="of each load; 6")
    run.add_argument("--rounds", type=int, default=2, help="2; figures are their medians")
    run.add_argument(
        "--systems", type=lambda text: one_of(SYSTEMS, text), default=list(SYSTEMS), help="which"
    )
    run.add_argument("--failover", type=int, default=0, metavar="N", help="kill the leader N times")
    run.add_argument("-o", "--output", type=Path, help=f"{RESULTS}/DATE-HOST.json")
    run.add_argument("--cache", type=Path, default=CACHE, help=f"{CACHE}; data lies there too")
    show = commands.add_parser("table", help="print the tables of a run again")
    show.add_argument("results", type=Path)
    draw = commands.add_parser("picture", help="draw throughput against latency")
    draw.add_argument("results", type=Path)
    draw.add_argument("svg", type=Path)
    return parser


def compare(given: argparse.Namespace) -> int:
    points = chosen(given.ops, given.outstanding, given.sizes)
    plan = Plan(points, given.systems, given.seconds, max(0, given.rounds), given.failover)
    date = time.strftime("%Y-%m-%d", time.gmtime())
    host = socket.gethostname().partition(".")[0]
    output = given.output or RESULTS / f"{date}-{host}.json"
    results = Results(command=shlex.join(["python", "-m", "tests.bench", *sys.argv[1:]]), date=date)
    results.settings = {"seconds": plan.seconds, "rounds": plan.rounds}
    given.cache.mkdir(parents=True, exist_ok=True)
    with stopping_what_was_started():
        try:
            comparison = Comparison(plan, given.cache.resolve())
            tell(f"about {plan.estimate_s / 60:.0f} min on a quiet machine")
            comparison.run(results)
        except CannotProvision as error:
            print(error, file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted: nothing is kept", file=sys.stderr)
            return 130
        except Exception:
            if results.measurements:
                results.save(output)
                print(f"not completed; what was measured is in {output}", file=sys.stderr)
            raise
    results.save(output)
    table.show(results)
    print(f"kept in {output}")
    return 0


def main() -> int:
    given = parser().parse_args()
    if given.command == "compare":
        return compare(given)
    if given.command == "table":
        table.show(load(given.results))
    else:
        given.svg.write_text(picture.draw(load(given.results)))
    return 0


if __name__ == "__main__":
    sys.exit(told.run(main))
