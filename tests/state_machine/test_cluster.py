"""State machines of one's own on a real cluster: examples (counter.py, bank.py, chat.py), kill -9,
snapshots, a node that lacks the class."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from examples.bank import Bank
from examples.chat import Chat
from examples.counter import Counter
from raftzmq import AsyncClient, Client, Unsupported
from raftzmq.errors import InvalidRequest
from raftzmq.offline.backups import check
from raftzmq.state_machine import Rejected
from raftzmq.storage.files import OsFiles
from tests.conftest import PATIENCE_S
from tests.system.processes import STEADY, Cluster, wait_for

pytestmark = pytest.mark.system


def cluster_of(tmp_path: Path, place: str, *extra: str) -> Cluster:
    arguments = [*STEADY, "--machine", f"examples.{place}", *extra]
    return Cluster(tmp_path, arguments=arguments)


def wait_until_in_force(db: Client, query: Any, *arguments: Any) -> None:
    def is_there() -> bool:
        try:
            db.call(query, *arguments)
        except Unsupported:
            return False
        return True

    wait_for("the state machine is in force", is_there)


def test_a_counter_outlives_the_kill_of_every_node(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "counter:Counter", "--check-machine") as cluster:
        cluster.start()
        with cluster.client() as db:
            wait_until_in_force(db, Counter.value)
            assert db.call(Counter.add, 5) == 5
            assert db.call(Counter.add) == 6
            with pytest.raises(
                InvalidRequest, match="the state machine of this cluster is Counter"
            ):
                db.call(Bank.total)
            with pytest.raises(InvalidRequest, match=r"Counter\.add: too many positional"):
                db.call(Counter.add, 1, 2)  # type: ignore[call-arg]
            for node in cluster.nodes:
                node.kill()
            cluster.start()
            assert db.call(Counter.add, amount=4) == 10
            assert db.call(Counter.value) == 10
        lacking = cluster.followers()[0]
        lacking.kill()
        lacking.arguments = ["--peers", cluster.peers, *STEADY]
        code, said = lacking.run()
        assert code == 1
        assert (
            "the cluster has the state machine Counter version 1, and this process has none" in said
        )
        assert "Traceback" not in said


@pytest.mark.proof
def test_money_moves_while_nodes_die_and_none_is_made_or_lost(tmp_path: Path) -> None:
    with cluster_of(tmp_path, "bank:Bank") as cluster:
        cluster.start()
        with Client(cluster.endpoints, timeout=PATIENCE_S) as db:
            wait_until_in_force(db, Bank.total)
            for k in range(4):
                db.call(Bank.deposit, f"account {k}", 100)
            stop = threading.Event()
            paid = [0] * 4
            declined: list[str] = []

            def pay(k: int) -> None:
                amount = 0
                while not stop.is_set():
                    amount = amount % 60 + 7
                    try:
                        db.call(Bank.pay, f"account {k}", f"account {(k + 1) % 4}", amount)
                        paid[k] += 1
                    except Rejected as error:
                        declined.append(str(error))

            threads = [threading.Thread(target=pay, args=[k]) for k in range(4)]
            for thread in threads:
                thread.start()
            for _ in range(3):
                leader = cluster.leader()
                leader.kill()
                cluster.start()
            stop.set()
            for thread in threads:
                thread.join()
            assert min(paid) > 0
            assert all("lacks" in words for words in declined)
            assert db.call(Bank.total) == 400
            before = [db.call(Bank.balance, f"account {k}") for k in range(4)]
            backup = tmp_path / "backup"
            with db.snapshot() as snapshot, backup.open("wb") as file:
                file.writelines(snapshot)
            check(OsFiles(), backup)
            assert sum(balance or 0 for balance in before) == 400


@pytest.mark.proof
def test_people_chat_with_the_asyncio_client(tmp_path: Path) -> None:
    async def chat(endpoints: list[str]) -> None:
        async with AsyncClient(endpoints) as db:
            numbers = await asyncio.gather(
                *(db.call(Chat.say, "hall", f"person {k}", f"hello from {k}") for k in range(20))
            )
            assert sorted(numbers) == [*range(1, 21)]
            messages = await db.call(Chat.since, "hall", 15)
            assert [message["number"] for message in messages] == [16, 17, 18, 19, 20]
            times = [message["time_ms"] for message in await db.call(Chat.since, "hall")]
            assert times == sorted(times)
            with pytest.raises(Rejected, match=r"^a message needs some text$"):
                await db.call(Chat.say, "hall", "ann", "")

    with cluster_of(tmp_path, "chat:Chat") as cluster:
        cluster.start()
        with cluster.client() as db:
            wait_until_in_force(db, Chat.since, "hall")
        asyncio.run(chat(cluster.endpoints))
