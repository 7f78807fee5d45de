"""The blocking client where gevent or eventlet has patched threads: it works, other greenlets run
while it waits, and every timeout is kept. Each test is a program: what is patched stays patched."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import Final

import pytest

from raftzmq import Client
from tests.amounts import sample
from tests.client.fake_cluster import IGNORE, FakeCluster

PATCHES: Final = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
MOMENTS: Final = ("before the import", "after the import", "after it is made", "after it is used")

BEGINNING: Final = """
import os, sys, time
{before the import}
import threading
from raftzmq import *
{after the import}
db = Client(sys.argv[1:])
{after it is made}
{use}
{after it is used}

ticks = 0

def tick():
    global ticks
    while True:
        time.sleep(0.002)
        ticks += 1

def others_ran():
    global ticks
    ran, ticks = ticks, 0
    return ran > 5

threading.Thread(target=tick, daemon=True).start()

def all_of(*works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""

PROGRAMS: Final = {
    "calls": """
all_of(*[lambda i=i: db.put(f"k{i}", "v") for i in range(100)])
assert len(db.prefix("k")) == 100
""",
    "a lock": """
inside = 0
def work():
    global inside
    for _ in range(3):
        with db.lock("n"):
            inside += 1
            assert inside == 1
            time.sleep(0.001)
            inside -= 1
all_of(*[work] * 5)
with db.lock("n"), db.semaphore("s", 1), db.election("e"), db.lease(7):
    others_ran()
    try:
        db.lock("n").acquire(timeout=0.2)
        raise AssertionError
    except NotAcquired:
        assert others_ran()
""",
    "a loss": """
told = []
def tell():
    time.sleep(0.001)
    told.append(threading.current_thread())
lock = db.lock("n", on_lost=tell).acquire()
flags = []
waiter = threading.Thread(target=lambda: flags.append(lock.lost.wait(30)))
waiter.start()
assert not lock.lost.wait(0.05)
db.lease_revoke(db.describe("lock", "n").holders[0].lease)
waiter.join()
assert flags == [True]
while not told:
    time.sleep(0.01)
assert others_ran()
""",
    "watches": """
seen = []
def follow():
    with db.watch("w") as watch:
        ready.append(1)
        seen.append([next(watch).value for _ in range(3)])
def write():
    while len(ready) < 20:
        time.sleep(0.001)
    for value in "abc":
        db.put("w", value)
ready = []
all_of(write, *[follow] * 20)
assert seen == [["a", "b", "c"]] * 20
assert db.watch("w").next(timeout=0.1) is None
assert others_ran()
""",
    "an end": """
with db.lock("n"):
    pass
""",
    "closing": """
db.put("k", "v")
db.close()
try:
    db.get("k")
    raise AssertionError
except Unavailable:
    pass
""",
    "threads of the system": """
if "gevent" in sys.modules:
    from gevent import get_hub
    run = lambda work: get_hub().threadpool.apply(work)
else:
    from eventlet.tpool import execute as run
def work():
    with db.lock("n"):
        db.put("k", "from another")
        try:
            db.lock("n").acquire(timeout=0.1)
            raise AssertionError
        except NotAcquired:
            pass
run(work)
assert db.get("k").value == "from another"
assert others_ran()
""",
    "a fork": """
db.get("k")
pid = os.fork()
if pid == 0:
    db.put("child", "v")
    with db.lock("n"):
        pass
    os._exit(0)
while not os.waitpid(pid, os.WNOHANG)[0]:
    time.sleep(0.01)
assert db.get("child") is not None
""",
    "what a greenlet is told": """
import gevent
lock = db.lock("n").acquire()
try:
    with gevent.Timeout(0.1):
        db.lock("n").acquire()
    raise AssertionError
except gevent.Timeout:
    pass
waiter = gevent.spawn(db.lock("n").acquire)
gevent.sleep(0.1)
waiter.kill()
while db.describe("lock", "n").waiting:
    time.sleep(0.01)
""",
}

MADE_BEFORE_A_FORK: Final = """
import os, sys
from raftzmq import Client
db = Client(sys.argv[1:])
{use}
pid = os.fork()
if pid == 0:
    {patch}
    with db.lock("n"):
        db.put("k", "from the worker")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert db.get("k").value == "from the worker"
"""
"""As gunicorn does with --preload: its workers patch."""


def program(library: str, moment: str, work: str) -> str:
    steps = dict.fromkeys(MOMENTS, "") | {moment: PATCHES[library]}
    steps["use"] = "db.get('k')" if moment == MOMENTS[-1] else ""
    text = BEGINNING
    for name, step in steps.items():
        text = text.replace("{" + name + "}", step)
    return text + work


def run(text: str, endpoints: list[str]) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text, *endpoints],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def needs(library: str) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed (pip install raftzmq[dev])")


CASES: Final = [
    (library, MOMENTS[0], name)
    for library in PATCHES
    for name in PROGRAMS
    if not (library == "eventlet" and name in {"a fork", "what a greenlet is told"})
] + [(library, moment, "a lock") for library in PATCHES for moment in MOMENTS[1:]]
"""Eventlet's hub is of no use in a forked child."""


@pytest.mark.parametrize(("library", "moment", "name"), sample(CASES, 4))
def test_it_works_among_greenlets(
    library: str, moment: str, name: str, cluster: FakeCluster
) -> None:
    needs(library)
    run(program(library, moment, PROGRAMS[name]), cluster.endpoints)
    with Client(cluster.endpoints) as other:
        queue = other.describe("lock", "n")
        if name == "an end":
            assert queue is None or not queue.held


@pytest.mark.parametrize("library", PATCHES)
def test_timeouts_are_kept_when_nobody_answers(library: str, cluster: FakeCluster) -> None:
    needs(library)
    for node in cluster.nodes:
        cluster.always(node, IGNORE)
    text = """
for call in (
    lambda: db.get("k", timeout=0.3),
    lambda: db.put("k", "v", timeout=0.3),
    lambda: db.lock("n").acquire(timeout=0.3),
    lambda: db.lease(7, timeout=0.3),
    lambda: db.watch("k").open(timeout=0.3),
):
    began = time.monotonic()
    try:
        call()
        raise AssertionError
    except (Unavailable, OutcomeUnknown, NotAcquired):
        assert time.monotonic() - began < 10
        assert others_ran()
"""
    run(program(library, MOMENTS[0], text), cluster.endpoints)


@pytest.mark.parametrize("library", PATCHES)
@pytest.mark.parametrize("use", ["", "db.get('k')"], ids=["unused", "used"])
def test_a_client_made_before_its_workers_are_forked(
    library: str, use: str, cluster: FakeCluster
) -> None:
    needs(library)
    text = MADE_BEFORE_A_FORK.format(use=use, patch=PATCHES[library])
    run(text, cluster.endpoints)
