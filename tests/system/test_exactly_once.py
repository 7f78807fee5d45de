"""Answers get lost and requests arrive twice; every write is applied once all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from raftzmq import Client
from tests.amounts import amount
from tests.system.lossy import LossyProxy
from tests.system.ports import free_ports
from tests.system.processes import STEADY, Cluster
from tests.system.raw import Raw, Stored

pytestmark = pytest.mark.system

WRITES = amount(1_000, 10_000)
CLIENTS = 10
THREADS = 100
PATIENCE_S = 600.0
"""For one write among so many, most of which have to be sent several times."""
LOSS = 0.1
TWICE = 0.2


@pytest.fixture
def proxies(tmp_path: Path) -> Iterator[tuple[Cluster, list[LossyProxy]]]:
    """A cluster whose nodes can be reached by clients only through lossy proxies."""
    with ExitStack() as stack:
        three = stack.enter_context(Cluster(tmp_path))
        proxies = []
        for seed, node in enumerate(three.nodes):
            # The nodes tell clients the leader's address, so the proxy must have that one.
            port, behind = node.port + 1, f"127.0.0.1:{free_ports()}"
            node.arguments += ["--client-listen", f"tcp://{behind}"]
            node.endpoint = behind
            proxy = LossyProxy(port, behind, loss=LOSS, twice=TWICE, seed=seed)
            proxies.append(stack.enter_context(proxy))
        three.start()
        stack.callback(three.show)
        yield three, proxies


@pytest.mark.proof
def test_writes_with_lost_replies_are_each_applied_once(
    proxies: tuple[Cluster, list[LossyProxy]],
) -> None:
    cluster, lossy = proxies
    results: dict[str, Stored] = {}
    each = WRITES // THREADS

    def puts(client: Client, writer: int) -> None:
        """Distinct keys: a second execution would give the key a later revision."""
        for count in range(each):
            key = f"once/{writer}/{count}"
            written = client.put(key, str(count), timeout=PATIENCE_S)
            results[key] = Stored(str(count), written.revision)

    def counter(client: Client, writer: int) -> None:
        """One key, each write conditional on the one before: a second execution would fail."""
        key, revision = f"once/counter/{writer}", 0
        for count in range(each):
            outcome = client.cas(key, str(count), revision, timeout=PATIENCE_S)
            assert outcome.succeeded, f"write {count} of {key} was executed before: {outcome}"
            revision = outcome.revision
        results[key] = Stored(str(each - 1), revision)

    endpoints = [proxy.endpoint for proxy in lossy]
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(endpoints)) for _ in range(CLIENTS)]
        run_all([(puts, counter)[writer % 2] for writer in range(THREADS)], clients)
    lost, repeated = sum(p.lost for p in lossy), sum(p.repeated for p in lossy)
    print(f"{lost} replies were lost, {repeated} requests came twice")
    assert lost > WRITES / 200
    assert repeated > WRITES / 200
    found = cluster.everything("once/")
    assert len(results) == THREADS // 2 * each + THREADS // 2
    assert found == results


def run_all(works: list[Callable[[Client, int], None]], clients: list[Client]) -> None:
    """Run each work in a thread of its own, the clients shared; raise what any of them raised."""
    errors: list[BaseException] = []

    def run(work: Callable[[Client, int], None], writer: int) -> None:
        try:
            work(clients[writer % len(clients)], writer)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=run, args=(work, writer)) for writer, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("cluster", [STEADY], indirect=True, ids=["steady"])
def test_a_serial_sent_again_after_a_restart_of_all_gets_its_first_result(
    cluster: Cluster,
) -> None:
    with Raw(cluster.leader().endpoint) as raw:
        session = raw.open_session()
        first = raw.operations((1, "put", "key", "first"), session=session)["results"]
        other = raw.operations((2, "put", "key", "second"), session=session)["results"]
    for node in cluster.nodes:
        node.kill()
    cluster.start()
    with Raw(cluster.leader().endpoint) as raw:
        again = raw.operations((1, "put", "key", "other text"), session=session)["results"]
    assert again == first
    assert cluster.everything()["key"] == ("second", other[0][2])
