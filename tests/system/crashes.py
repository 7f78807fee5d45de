"""python -m tests.system.crashes CYCLES [--seed S] [-w json]

A cluster of three real nodes is hurt again and again, by kill -9 above all, while both kinds of
clients work; then all that the clients were told is checked.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from random import Random, SystemRandom
from typing import Any, Final

from raftzmq import Client
from raftzmq.errors import RaftzmqError
from raftzmq.storage.snapshot_files import WRITING
from tests import told
from tests.sim.story import Violation, commit
from tests.system.logs import Logbook
from tests.system.processes import Cluster, NodeProcess, wait_for
from tests.system.tiny import STORAGE
from tests.system.workload import PROGRESS_S, Figures, Workload

ROUND: Final = 50
"""Cycles with one cluster in a long run; then the histories are checked, and a new one is made."""

ELECTION_S: Final = 0.6
"""The longest that a follower waits before it stands for election."""

ALONE_S: Final = 0.15
DECK: Final = (
    "kill the leader",
    "kill the leader",
    "kill a follower",
    "kill two",
    "kill all",
    "kill a lonely leader",
    "kill while starting",
    "kill during a snapshot",
    "pause",
    "wipe a follower",
)
"""What is done in ten cycles, shuffled each time."""


@dataclass(slots=True)
class Done:
    """What was done to clusters, and what their clients saw."""

    cycles: int = 0
    kills: int = 0
    """kill -9 of a process that ran; a cycle may have several, or, with pauses, none."""
    in_snapshots: int = 0
    """Of those, how many left an unfinished snapshot behind."""
    kinds: Counter[str] = field(default_factory=Counter)
    longest_wait_s: float = 0.0
    """For a new write to be acknowledged after a cycle's fault was over."""
    figures: Figures = field(default_factory=Figures)
    problems: int = 0

    def add(self, other: Done) -> None:
        self.cycles += other.cycles
        self.kills += other.kills
        self.in_snapshots += other.in_snapshots
        self.kinds += other.kinds
        self.figures += other.figures
        self.problems += other.problems
        self.longest_wait_s = max(self.longest_wait_s, other.longest_wait_s)

    def as_json(self) -> dict[str, Any]:
        members = {member.name: getattr(self, member.name) for member in fields(self)}
        return {**members, "kinds": dict(self.kinds), "figures": asdict(self.figures)}

    def line(self, cycles: int) -> str:
        """How far a run of `cycles` has come."""
        return (
            f"{self.cycles} of {cycles} cycles, {self.kills} kill -9 ({self.in_snapshots} amid a "
            f"snapshot), {self.figures.acknowledged} writes acknowledged, "
            f"{self.figures.operations} operations checked, {self.problems} problems"
        )

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        return (
            f"{self.cycles} cycles ({kinds}): {self.kills} kill -9, {self.in_snapshots} of them "
            f"amid a snapshot; work went on within {self.longest_wait_s:.2f} s; {self.figures}"
        )


class CrashFailure(AssertionError):
    """A round failed; the text has its seed, its cycles and the ends of the nodes' outputs."""

    def __init__(self, told: str, done: Done) -> None:
        super().__init__(told)
        self.done = done


class Crashes:
    """One cluster, its workload, and what is done to it, cycle after cycle.

    What is chosen depends on the seed alone; who leads at that moment does not.
    """

    def __init__(
        self, cluster: Cluster, workload: Workload, seed: int, deck: Sequence[str]
    ) -> None:
        self.done = Done()
        self.told: list[str] = []
        self.cluster = cluster
        self._workload = workload
        self._random = Random(f"crashes {seed}")
        self._logbook = Logbook()
        self._kinds: dict[str, Callable[[], None]] = {
            "kill the leader": lambda: self._kill_and_restart([self._leader()]),
            "kill a follower": lambda: self._kill_and_restart([self._follower()]),
            "kill two": self._kill_two,
            "kill all": self._kill_all,
            "kill a lonely leader": self._kill_lonely_leader,
            "kill while starting": self._kill_while_starting,
            "kill during a snapshot": self._kill_during_a_snapshot,
            "pause": self._pause,
            "wipe a follower": self._wipe,
        }
        self._deck = deck
        self._left: list[str] = []

    def cycle(self) -> None:
        """Do one thing to the cluster, and wait until work goes on. Raises AssertionError."""
        self._left = self._left or self._random.sample(self._deck, len(self._deck))
        kind = self._left.pop()
        self.told.append(f"{self.done.cycles + 1:4} {kind}:")
        self._kinds[kind]()
        waited_s = self._workload.wait_for_progress()
        self._tell(f"on after {waited_s:.2f} s")
        self._all_run()
        self._logbook.gather(self.cluster)
        self.done.cycles += 1
        self.done.kinds[kind] += 1
        self.done.longest_wait_s = max(self.done.longest_wait_s, waited_s)

    def check(self) -> None:
        """End the work and check everything."""
        self.done.figures = self._workload.check(self.cluster, self._logbook)
        if not self.done.figures.compared:
            raise Violation("the log has gaps: it was compacted before it was gathered")
        taken = [path for n in self.cluster.nodes for path in n.data_dir.glob("snapshots/*")]
        if self.done.figures.acknowledged > 2 * STORAGE.snapshot_entries and not taken:
            raise Violation("no snapshot was ever taken")

    # -- the kinds ------------------------------------------------------------------------------

    def _kill_two(self) -> None:
        leader = self._leader()
        self._kill_and_restart(self._random.sample(self.cluster.nodes, 2), leader)

    def _kill_all(self) -> None:
        nodes = self.cluster.nodes
        self._kill_and_restart(self._random.sample(nodes, len(nodes)))

    def _kill_and_restart(
        self, victims: list[NodeProcess], leader: NodeProcess | None = None
    ) -> None:
        for node in victims:
            self._kill(node, " (leads)" if node is leader else "")
        self._stay_down()
        for node in self._random.sample(victims, len(victims)):
            node.start()

    def _kill_lonely_leader(self) -> None:
        """What it acknowledged while the others stood still, if anything, is lost: they are killed
        too, with all that their sockets had received, and go on without it."""
        self._settle()  # a newcomer that does not vote yet could not go on
        leader = self._leader()
        others = [node for node in self.cluster.nodes if node is not leader]
        for node in others:
            node.pause()
        time.sleep(ALONE_S)
        for node in others:
            self._kill(node, " standing still")
        self._kill(leader, " alone")
        for node in others:
            node.start()
        self._workload.wait_for_progress()
        leader.start()

    def _kill_while_starting(self) -> None:
        node = self._random.choice(self.cluster.nodes)
        self._kill(node)
        for _ in range(self._random.randint(1, 3)):
            node.start()
            after_s = self._random.uniform(0.05, 1.0)
            time.sleep(after_s)
            self._kill(node, f" {after_s:.2f} s after its start")
        node.start()

    def _kill_during_a_snapshot(self) -> None:
        node = self._leader() if self._random.random() < 0.5 else self._follower()
        values = [self._random.randbytes(20_000) for _ in range(12)]
        writer = threading.Thread(target=self._write_much, args=(values,))
        writer.start()
        while writer.is_alive() and not _writes_snapshot(node):
            time.sleep(0.0002)
        self._kill(node)
        if _writes_snapshot(node):
            self.done.in_snapshots += 1
            self._tell("amid a snapshot")
        node.start()
        writer.join()

    def _write_much(self, values: list[bytes]) -> None:
        """So much that every node takes a snapshot soon. Who is hurt meanwhile does not matter."""
        with Client(self.cluster.endpoints) as client, suppress(RaftzmqError):
            for value in values:
                client.put("much", value, timeout=PROGRESS_S)

    def _pause(self) -> None:
        leader = self._leader()
        count = self._random.choice([1, 1, 2, 3])
        first = leader if self._random.random() < 0.6 else self._follower()
        rest = [node for node in self.cluster.nodes if node is not first]
        paused = [first, *self._random.sample(rest, count - 1)]
        for node in paused:
            node.pause()
        seconds = self._random.uniform(0.5, 2.5) * ELECTION_S
        self._tell(f"{', '.join(n.name for n in paused)} for {seconds:.2f} s")
        time.sleep(seconds)
        for node in paused:
            node.resume()

    def _wipe(self) -> None:
        """Only while the others have everything: two lost disks would be too many."""
        self._settle()
        node = self._follower()
        self._kill(node)
        node.wipe()
        self._logbook.forget(node)
        self._tell("and wiped")
        self._stay_down()
        node.start()

    # -- their parts ----------------------------------------------------------------------------

    def _leader(self) -> NodeProcess:
        return self.cluster.leader(PROGRESS_S)

    def _follower(self) -> NodeProcess:
        leader = self._leader()
        return self._random.choice([node for node in self.cluster.nodes if node is not leader])

    def _stay_down(self) -> None:
        time.sleep(self._random.choice([0.0, 0.0, self._random.uniform(0, 2 * ELECTION_S)]))

    def _kill(self, node: NodeProcess, how: str = "") -> None:
        self._runs(node)
        node.kill()
        self.done.kills += 1
        self._tell(f"{node.name}{how}")

    def _all_run(self) -> None:
        for node in self.cluster.nodes:
            self._runs(node)

    def _runs(self, node: NodeProcess) -> None:
        if not node.is_running:
            raise Violation(f"{node.name} ended by itself with exit code {node.wait()}")

    def _settle(self) -> None:
        wait_for("all vote and have what is committed", self._is_settled, PROGRESS_S)

    def _is_settled(self) -> bool:
        """Whether all nodes, as they are now, vote and have what is committed by now."""
        before = [node.status() for node in self.cluster.nodes]
        committed = max((status["commit_index"] for status in before if status), default=0)
        statuses = [status for node in self.cluster.nodes if (status := node.status())]
        incarnations = {status["incarnation"] for status in statuses}
        return len(statuses) == len(self.cluster.nodes) and all(
            status["leader"]
            and status["applied_index"] >= committed
            and {m["incarnation"] for m in status["members"] if m["voter"]} == incarnations
            for status in statuses
        )

    def _tell(self, what: str) -> None:
        self.told[-1] += f" {what};"


def _writes_snapshot(node: NodeProcess) -> bool:
    return any((node.data_dir / "snapshots").glob(f"{WRITING}*"))


def play(
    directory: Path,
    seed: int,
    cycles: int,
    deck: Sequence[str] = DECK,
    program: str = "tests.system.tiny",
    progress: Callable[[Done], None] = lambda _done: None,
) -> Done:
    """One cluster in `directory`, hurt `cycles` times, and checked; `progress` is told after each
    time. Raises CrashFailure."""
    with Cluster(directory) as cluster:
        for node in cluster.nodes:
            node.program = program
        cluster.start()
        workload = Workload(cluster.endpoints, seed)
        crashes = Crashes(cluster, workload, seed, deck)
        try:
            with workload:
                for _ in range(cycles):
                    crashes.cycle()
                    progress(crashes.done)
            crashes.check()
        except Exception as error:
            crashes.done.problems += 1
            raise CrashFailure(_failure(seed, cycles, error, crashes), crashes.done) from error
        return crashes.done


def _failure(seed: int, cycles: int, error: Exception, crashes: Crashes) -> str:
    return "\n".join(
        [
            f"round with seed {seed} failed at commit {commit()}: {error}",
            "",
            "".join(traceback.format_exception(error)),
            "The cycles:",
            *crashes.told,
            "",
            crashes.cluster.ends(),
            "",
            f"Much the same again: python -m tests.system.crashes {cycles} --seed {seed}",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.crashes", description=__doc__)
    parser.add_argument("cycles", type=int)
    parser.add_argument("--seed", type=int, help="of the first round; the next have the next ones")
    parser.add_argument("-w", "--write", choices=["simple", "json"], default="simple")
    arguments = parser.parse_args()
    first = arguments.seed if arguments.seed is not None else SystemRandom().randrange(10**6)
    total = Done()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no node is left behind
    began_s = time.monotonic()
    for round_, start in enumerate(range(0, arguments.cycles, ROUND)):
        directory = Path(tempfile.mkdtemp(prefix="raftzmq-crashes-"))
        keep = False
        try:
            total.add(play(directory, first + round_, min(ROUND, arguments.cycles - start)))
        except CrashFailure as failure:
            keep = True
            total.add(failure.done)
            print(f"{failure}\nThe directories are in {directory}", file=sys.stderr)
        finally:
            if not keep:
                shutil.rmtree(directory)
        print(total.line(arguments.cycles), file=sys.stderr, flush=True)
    seconds = time.monotonic() - began_s
    if arguments.write == "json":
        print(
            json.dumps({"seed": first, "seconds": round(seconds, 1), **total.as_json()}, indent=2)
        )
    else:
        print(f"seed {first}, {seconds:.0f} s, {total.problems} problems: {total}")
    return 1 if total.problems else 0


if __name__ == "__main__":
    sys.exit(told.run(main))
