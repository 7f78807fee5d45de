"""What only the blocking client has: threads, signals, forks, a thread of its own."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from raftzmq import Client, ForkedClient, NotAcquired, OutcomeUnknown, Unavailable
from raftzmq.client.session.session import Session
from raftzmq.transport.client_wire import OperationsRequest
from tests.client.conftest import count_turns, until
from tests.client.fake_cluster import IGNORE, SERVE, FakeCluster


def io_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "raftzmq-client"]


def test_many_threads_share_a_client(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db:

        def work(worker: int) -> None:
            for i in range(20):
                key = f"{worker}/{i}"
                written = db.put(key, key)
                item = db.get(key)
                assert item is not None
                assert (item.value, item.revision) == (key, written.revision)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(work, range(16)))
        assert len(io_threads()) == 1
        assert len(db.range()) == 320
        assert len(cluster.operations("open")) == 1


def test_one_threads_error_is_not_anothers(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db:
        db.put("first", "")
        with ThreadPoolExecutor(2) as pool, cluster.held():
            patient, hasty = pool.submit(db.put, "a", "v"), pool.submit(db.get, "b", timeout=0.05)
            with pytest.raises(Unavailable):
                hasty.result()
        assert patient.result().index


def test_nothing_is_opened_before_the_first_call(cluster: FakeCluster) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    db = Client(cluster.endpoints)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert not io_threads()
    db.close()


def test_closing_gives_everything_back(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db:
        db.get("k")

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = descriptors()
    for _ in range(20):
        with Client(cluster.endpoints) as db:
            db.put("k", "v")
    assert not io_threads()
    # The fake nodes are of this process too, and close their ends in their own time.
    until(lambda: descriptors() <= before)


def test_a_client_that_nobody_holds_any_more_ends_its_thread(cluster: FakeCluster) -> None:
    db = Client(cluster.endpoints)
    db.get("k")
    gone = weakref.ref(db)
    del db
    gc.collect()
    assert gone() is None
    assert not io_threads()


def test_an_idle_client_is_not_kept_busy(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = count_turns(monkeypatch, "raftzmq.client.blocking_shell.turn")
    with Client(cluster.endpoints) as db:
        db.put("k", "v")
        turns.clear()
        time.sleep(0.5)
        assert len(turns) < 20


def test_a_client_that_waits_for_a_dead_cluster_is_not_kept_busy(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = count_turns(monkeypatch, "raftzmq.client.blocking_shell.turn")
    for node in cluster.nodes:
        cluster.kill(node)
    with Client(cluster.endpoints) as db:
        with pytest.raises(Unavailable):
            db.put("k", "v", timeout=1)
        assert len(turns) < 200


# -- interrupts ---------------------------------------------------------------------------------


def test_an_interrupt_ends_the_wait_and_the_client_goes_on(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db:
        db.put("first", "")
        for node in cluster.nodes:
            cluster.always(node, IGNORE)
        began = time.monotonic()

        def interrupt() -> None:
            until(lambda: len(cluster.operations("put")) > 1)
            os.kill(os.getpid(), signal.SIGINT)

        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            db.put("k", "v", timeout=300)
        assert time.monotonic() - began < 100
        interrupting.join()
        for node in cluster.nodes:
            cluster.always(node, SERVE)
        for i in range(10):
            assert db.put(f"k{i}", "v").index
        assert cluster.times_executed("put", "k") == 0
        # The session does not hold it any more: the newest write acknowledges all before it.
        last = cluster.nodes[0].requests[-1]
        assert isinstance(last, OperationsRequest)
        assert last.ack == last.ops[0][0]


# -- forks --------------------------------------------------------------------------------------

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


def run_in_child(work: object) -> int:
    """Fork, run `work` in the child, return its exit status; fails if the child hangs."""
    pid = os.fork()
    if pid == 0:
        try:
            work()  # type: ignore[operator]
            os._exit(0)
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
            os._exit(1)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the child hangs")


def test_a_forked_child_connects_anew_and_the_parent_goes_on(cluster: FakeCluster) -> None:
    with Client(cluster.endpoints) as db:
        db.put("k", "v")

        def child() -> None:
            db.put("from the child", "v")
            with db.lock("the child's", timeout=30) as lock:
                lock.check()
            db.close()
            with pytest.raises(Unavailable):
                db.get("k")

        for _ in range(3):
            assert run_in_child(child) == 0
        item = db.get("k")
        assert item is not None
        assert item.value == "v"
        assert db.get("from the child") is not None
        assert len(cluster.operations("open")) == 4  # a session for each process


def test_what_was_held_before_a_fork_raises_in_the_child_and_stays_the_parents(
    cluster: FakeCluster,
) -> None:
    with (
        Client(cluster.endpoints) as db,
        db.lease(7) as lease,
        db.watch("k") as watch,
        db.semaphore("s", 2) as semaphore,
        db.lock("n") as lock,
    ):
        under_lease = db.lock("m", lease=lease)

        def child() -> None:
            assert not lock.held
            assert not lease.alive
            uses: list[Callable[[], object]] = [
                lock.check,
                lock.release,
                lambda: lock.release(wait=False),
                lock.acquire,
                lambda: lock.token,
                lambda: lock.tokens,
                lambda: lock.remaining,
                lambda: lock.__exit__(None),
                lambda: db.put("k", "v", fence=lock),
                semaphore.wait,
                semaphore.signal,
                lease.check,
                lease.close,
                lease.revoke,
                lambda: db.lock("m", lease=lease),
                lambda: db.put("k", "v", lease=lease),
                under_lease.acquire,
                lambda: watch.next(timeout=1),
                watch.open,
                watch.close,
            ]
            for use in uses:
                with pytest.raises(ForkedClient, match="make a new one"):
                    use()
            with pytest.raises(NotAcquired):
                db.lock("n").acquire(timeout=0)
            assert db.get("k", timeout=30) is None
            del uses

        assert run_in_child(child) == 0
        lock.check()
        lease.check()
        semaphore.check()
        queue = db.describe("lock", "n")
        assert queue is not None
        assert queue.held == 1
        db.put("k", "v")
        event = watch.next(timeout=30)
        assert event is not None
        assert event.key == "k"


def test_a_forked_child_can_make_a_client_of_its_own(cluster: FakeCluster) -> None:
    unused = Client(cluster.endpoints)
    with Client(cluster.endpoints) as db:
        db.put("k", "v")

        def child() -> None:
            with Client(cluster.endpoints) as other:
                other.put("from the child", "v")
            unused.put("from the child as well", "v")
            unused.close()

        assert run_in_child(child) == 0
        assert db.get("from the child") is not None
        assert db.get("from the child as well") is not None


# -- the I/O thread -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_fails_every_call_instead_of_hanging(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Client(cluster.endpoints)
    db.put("first", "")
    cluster.always(cluster.nodes[0], IGNORE)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(db.put, "k", "v", timeout=300)
        until(lambda: len(cluster.operations("put")) > 1)

        def fail(*_: object) -> None:
            raise MemoryError("planted")

        monkeypatch.setattr(Session, "tick", fail)
        with pytest.raises(OutcomeUnknown, match="has died"):
            waiting.result(100)
    with pytest.raises(Unavailable, match="has died"):
        db.get("k")
    with pytest.raises(Unavailable, match="has died"):
        db.put("k", "v")
    db.close()


# -- processes that end -------------------------------------------------------------------------


def ends_by_itself(script: str, cluster: FakeCluster, *, code: int = 0) -> str:
    """Run a script in a process of its own; it must end soon, and say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", script, *cluster.endpoints],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, ""), done.stderr
    return done.stdout


def test_a_program_that_never_closes_its_client_ends(cluster: FakeCluster) -> None:
    script = (
        "import sys\n"
        "from raftzmq import Client\n"
        "db = Client(sys.argv[1:])\n"
        "print(db.put('k', 'v', timeout=60).index)\n"
    )
    assert ends_by_itself(script, cluster).strip().isdigit()


def test_a_program_ends_although_its_cluster_is_gone(cluster: FakeCluster) -> None:
    script = (
        "import sys\n"
        "from raftzmq import Client, RaftzmqError\n"
        "db = Client(sys.argv[1:])\n"
        "try:\n"
        "    db.put('k', 'v', timeout=0.3)\n"
        "except RaftzmqError as error:\n"
        "    print(error.code)\n"
    )
    for node in cluster.nodes:
        cluster.kill(node)
    assert ends_by_itself(script, cluster).strip() == "unavailable"


def test_a_forked_child_that_ends_normally_does_not_hang_or_complain(cluster: FakeCluster) -> None:
    script = (
        "import os, sys, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "from raftzmq import Client\n"
        "db = Client(sys.argv[1:])\n"
        "db.put('k', 'v', timeout=60)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    sys.exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
        "print(db.get('k', timeout=60).value)\n"
        "db.close()\n"
    )
    assert ends_by_itself(script, cluster).split() == ["7", "v"]


def test_the_client_does_not_import_a_node_nor_the_core_a_client() -> None:
    script = (
        "import sys\n"
        "import raftzmq.core\n"
        "assert 'zmq' not in sys.modules and 'raftzmq.client' not in sys.modules\n"
        "from raftzmq import AsyncClient, Client\n"
        "loaded = [name for name in sys.modules if name.startswith('raftzmq.')]\n"
        "parts = ('server', 'node', 'machine', 'storage')\n"
        "assert not [n for n in loaded if n.split('.')[1] in parts], loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
