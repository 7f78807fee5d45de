"""That a cluster goes on whatever is done to one of its nodes: a client is served all along,
nothing changes but what it asked for, and memory and descriptors stay bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.system import zmtp
from tests.system.processes import Cluster, NodeProcess, wait_for
from tests.system.raw import Stored

MB: Final = 1024 * 1024

GROWTH_BYTES: Final = 1536 * MB
"""By so much may a node's memory grow while it is attacked: unfinished messages of empty parts may
take 640 MiB, and at full speed more arrives until they are cut, the more the busier the machine.
Without a guard, empty parts on one connection alone take 2 GiB."""

PATIENCE_S: Final = 60.0


@contextmanager
def goes_on(
    cluster: Cluster, attacked: NodeProcess, *, same_term: bool = True
) -> Iterator[dict[str, Stored]]:
    """Whatever is done within: a client's puts and gets succeed; afterwards the processes are the
    same, and so are leader and term, everything holds what the client put and nothing else, and
    memory and descriptors of the attacked node have stayed within their bounds. Yields what the
    client has put so far."""
    with cluster.client() as client:
        client.delete_prefix("used/", timeout=PATIENCE_S)
    pids = [node.pid for node in cluster.nodes]
    before = attacked.status()
    files = zmtp.open_files(attacked.pid)
    most = zmtp.resident_bytes(attacked.pid) + GROWTH_BYTES
    put: dict[str, Stored] = {}
    failed: list[BaseException] = []
    ended = threading.Event()

    def use() -> None:
        try:
            with cluster.client() as client:
                while not ended.is_set() or len(put) < 3:
                    key = f"used/{len(put)}"
                    written = client.put(key, key, timeout=PATIENCE_S)
                    put[key] = Stored(key, written.revision)
                    found = client.get(key, timeout=PATIENCE_S)
                    assert found is not None
                    assert found.value == key
        except BaseException as error:  # shown below
            failed.append(error)

    user = threading.Thread(target=use)
    user.start()
    try:
        yield put
    finally:
        ended.set()
        user.join()
    assert not failed, failed
    assert [node.pid for node in cluster.running] == pids
    assert zmtp.resident_bytes(attacked.pid, "VmHWM") <= most
    wait_for("the descriptors are free", lambda: zmtp.open_files(attacked.pid) <= files + 6)
    assert cluster.everything("used/") == put
    after = attacked.status()
    assert before
    assert after
    if same_term:
        assert (after["term"], after["leader"]) == (before["term"], before["leader"])
