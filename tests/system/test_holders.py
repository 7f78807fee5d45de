"""Processes that hold locks and permits, and die: kill -9 of holders, of waiters, of the leader."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftzmq import Client
from raftzmq.core.entry import COMMANDS, Entry
from tests.amounts import amount
from tests.progress import counted
from tests.sim.story import Violation
from tests.system.holder import HOLDS, LOST, PERMITS, REGISTER
from tests.system.holders import Holders, judge
from tests.system.logs import Logbook
from tests.system.processes import Cluster, wait_for

pytestmark = pytest.mark.system

CROWD = amount(30, 100)
KILLS = amount(1, 10)
TTL_S = 2.0


def kill_the_leader(cluster: Cluster) -> None:
    leader = cluster.leader()
    leader.kill()
    cluster.leader()
    leader.start()


def granted(cluster: Cluster, holders: Holders, name: str) -> int:
    """How often it was granted, by the log; whoever was told that it holds is among those."""
    cluster.wait_until_ready()
    book = Logbook()
    book.gather(cluster)
    entries = book.whole()
    assert entries is not None
    tokens = judge(entries)
    assert set(tokens.values()) == {name}
    assert set(holders.tokens()) <= tokens.keys()
    return len(tokens)


@pytest.mark.proof
def test_a_lock_goes_on_when_holders_waiters_and_leaders_are_killed(
    cluster: Cluster, client: Client, tmp_path: Path
) -> None:
    count, rounds = 6 + 2 * KILLS, 4
    arguments = ["lock", "turn", "--processes", str(count), "--rounds", str(rounds)]
    arguments += ["--ttl", str(TTL_S), "--hold", "0.05"]
    with Holders(
        cluster.endpoints, tmp_path, *arguments, "--ttl", str(TTL_S), "--hold", "0.05"
    ) as holders:
        for kill in counted("holders of a lock, killed", range(KILLS)):
            holders.wait_for_more(HOLDS, 2)
            holders.kill_holder()
            holders.wait_for_more(HOLDS)  # once the lease of the dead one has ended
            holders.kill_waiter()
            if kill % 2 == 0:
                kill_the_leader(cluster)
        holders.wait(count)
        assert wait_for("the lock is free", lambda: client.lock("turn").describe() is None)
    holders.check_turns(1)
    item = client.get(REGISTER)
    assert item is not None
    assert (count - 2 * KILLS) * rounds - holders.count(LOST) <= int(item.value)
    assert int(item.value) <= granted(cluster, holders, "turn")


@pytest.mark.proof
def test_a_crowd_of_processes_on_one_semaphore_get_their_permits_in_turn(
    cluster: Cluster, client: Client, tmp_path: Path
) -> None:
    arguments = ["semaphore", "crowd", "--processes", str(CROWD), "--rounds", str(amount(1, 5))]
    arguments += ["--ttl", "5", "--hold", "0.02"]
    with Holders(
        cluster.endpoints, tmp_path, *arguments, "--ttl", "5", "--hold", "0.02"
    ) as holders:
        for kill in counted("holders of permits, killed", range(KILLS)):
            holders.wait_for_more(HOLDS, 3)
            holders.kill_holder()
            holders.kill_waiter()
            if kill == KILLS // 2:
                kill_the_leader(cluster)
        holders.wait(CROWD)
    semaphore = client.semaphore("crowd")

    def is_free() -> bool:
        found = semaphore.describe()
        return found is not None and found.free == PERMITS and not found.waiting

    wait_for("all permits are free, and nobody waits", is_free)
    holders.check_turns(PERMITS)
    assert granted(cluster, holders, "crowd") >= CROWD - 2 * KILLS


def test_the_judge_notices_a_lost_update() -> None:
    groups = [
        [0, 0, [[1, "open"]]],
        [1, 0, [[1, "put", REGISTER, "1"], [2, "put", REGISTER, "3"]]],
    ]
    with pytest.raises(Violation, match="the register went from 1 to 3"):
        judge([Entry(1, 1, 0, COMMANDS, groups, b"")])


def test_two_holders_of_one_lock_are_noticed(tmp_path: Path) -> None:
    holders = Holders([], tmp_path, "lock", "turn")
    (tmp_path / "holders.output").write_text("7 holds 3\n8 holds 4\n7 leaves 3\n8 leaves 4\n")
    holders.check_turns(2)
    with pytest.raises(Violation, match="2 hold at a time"):
        holders.check_turns(1)
