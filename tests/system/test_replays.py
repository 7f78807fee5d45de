"""After a full restart, a log that is dear to apply is replayed between heartbeats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raftzmq import Client
from raftzmq.core.entry import COMMAND, COMMANDS
from raftzmq.core.ready import HardState
from raftzmq.lines import encode_entries, with_body
from raftzmq.machine import Machine
from raftzmq.storage import Storage
from tests.system.processes import Cluster, NodeProcess

pytestmark = [pytest.mark.system, pytest.mark.proof]

KEYS = 400
READINGS = 300
ELECTION_TIMEOUT_MS = 600


def test_no_second_election_while_a_long_log_is_replayed(tmp_path: Path) -> None:
    """The log has few bytes, and takes many election timeouts to apply."""
    arguments = ("--election-timeout-ms", f"{ELECTION_TIMEOUT_MS}")
    with Cluster(tmp_path, arguments=arguments) as cluster:
        cluster.start()
        cluster.wait_until_ready()
        for node in cluster.nodes:
            node.kill()
        lengthen(cluster.nodes)
        said = {node.name: len(node.output()) for node in cluster.nodes}
        for node in cluster.nodes:
            node.start()
        with Client(cluster.endpoints) as client:
            client.put("k", "after", timeout=120)
        since = [node.output()[said[node.name] :] for node in cluster.nodes]
        print("".join(since))
        assert sum(text.count("is leader") for text in since) == 1


def lengthen(nodes: list[NodeProcess]) -> None:
    """Add the same entries of a later term to the logs of all nodes, none of which runs."""
    stores = [Storage(node.data_dir) for node in nodes]
    found = [store.open(node.name) for store, node in zip(stores, nodes, strict=True)]
    longest = max((each.entries for each in found), key=len)
    machine = Machine()
    for entry in longest:
        if entry.kind in (COMMAND, COMMANDS):
            machine.apply_all([with_body(entry)])
    term = max(each.hard_state.term for each in found) + 1
    first, time_ms = longest[-1].index + 1, longest[-1].time_ms
    added = encode_entries(first, term, time_ms, COMMANDS, list(dear(first, machine.revision)))
    for store, each in zip(stores, found, strict=True):
        store.save(HardState(term), longest[len(each.entries) :] + added)
        store.close()


def dear(index: int, revision: int) -> Iterator[Any]:
    """Bodies of entries from `index` on: a session is opened, writes keys, and reads them often."""
    session = max(revision, index - 1) + 1
    yield [[0, 0, [[0, "open"]]]]
    yield [[session, 0, [[n, "put", f"k{n}", "v"] for n in range(KEYS)]]]
    for serial in range(KEYS, KEYS + READINGS):
        reads = [["prefix", "k", KEYS]] * 4
        yield [[session, serial, [[serial, "txn", [], reads, []]]]]
