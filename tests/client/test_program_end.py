"""The end of a program: what was handed in before leaves before, and nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from raftzmq import Client
from tests.amounts import sample
from tests.client.fake_cluster import IGNORE, FakeCluster

BEGINNING = """
import sys
from raftzmq import Client
db = Client(sys.argv[1:])
"""

FORKED = """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
"""

WORK = """
import multiprocessing, sys
from raftzmq import Client
def work(endpoints):
    db = Client(endpoints)
    with db.lock("n"):
        pass
if __name__ == "__main__":
    child = multiprocessing.get_context({method!r}).Process(target=work, args=(sys.argv[1:],))
    child.start()
    child.join()
    assert child.exitcode == 0
"""

PROGRAMS = {
    "lock": BEGINNING + 'with db.lock("n"): pass\n',
    "semaphore": BEGINNING + 'with db.semaphore("n", 1): pass\n',
    "election": BEGINNING + 'with db.election("n"): pass\n',
    "lease": BEGINNING + 'with db.lease(7) as lease: db.lock("n", lease=lease).acquire()\n',
    "in the background": BEGINNING + 'lock = db.lock("n").acquire()\nlock.release(wait=False)\n',
    "an exception": BEGINNING + 'with db.lock("n"): sys.exit(0)\n',
    "in a function": BEGINNING
    + "def main():\n    with Client(sys.argv[1:]).lock('n'): pass\nmain()\n",
    "forked": BEGINNING
    + FORKED
    + "if os.fork() == 0:\n    with db.lock('n'): pass\nelse: os.wait()\n",
    "used, and then forked": BEGINNING
    + FORKED
    + "db.get('k')\nif os.fork() == 0:\n    with db.lock('n'): pass\nelse: os.wait()\n",
    "multiprocessing, forked": WORK.format(method="fork"),
    "multiprocessing, spawned": WORK.format(method="spawn"),
    "multiprocessing, by a server": WORK.format(method="forkserver"),
    "asyncio": """
import asyncio, sys
from raftzmq import AsyncClient
async def main():
    async with AsyncClient(sys.argv[1:]).lock("n"):
        pass
asyncio.run(main())
""",
}


def run(program: str, endpoints: list[str], tmp_path: object) -> float:
    """Run a program to its end; return how long it took, in seconds."""
    script = f"{tmp_path}/program.py"
    with open(script, "w") as file:  # noqa: PTH123
        file.write(program)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, script, *endpoints],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return time.monotonic() - began


@pytest.fixture
def other(cluster: FakeCluster) -> Iterator[Client]:
    with Client(cluster.endpoints) as client:
        yield client


@pytest.mark.parametrize("name", sample([*PROGRAMS], 5))
def test_what_was_given_up_before_the_end_is_free_after_it(
    name: str, cluster: FakeCluster, other: Client, tmp_path: object
) -> None:
    kind = name if name in ("semaphore", "election") else "lock"
    run(PROGRAMS[name], cluster.endpoints, tmp_path)
    queue = other.describe(kind, "n")
    assert queue is None or not queue.held


ENDINGS = {
    "in an exit handler": (
        "import atexit\n"
        + BEGINNING.strip()
        + "\natexit.register(lambda: attempt(db.get, 'k'))\ndb.get('k')\n"
    ),
    "the first in an exit handler": (
        "import atexit\n" + BEGINNING.strip() + "\natexit.register(lambda: attempt(db.get, 'k'))\n"
    ),
    "in an exit handler from before": (
        "import atexit\natexit.register(lambda: attempt(db.get, 'k'))\n"
        + BEGINNING.strip()
        + "\ndb.get('k')\n"
    ),
    "when modules are torn down": (
        BEGINNING
        + "class Late:\n    db = db\n    attempt = attempt\n"
        + "    def __del__(self): self.attempt.__func__(self.db.get, 'k')\n"
        + "late = Late()\nsys.late = late\ndel late\ndb.get('k')\n"
    ),
    "the first when modules are torn down": (
        BEGINNING
        + "class Late:\n    db = db\n    attempt = attempt\n"
        + "    def __del__(self): self.attempt.__func__(self.db.get, 'k')\n"
        + "late = Late()\nsys.late = late\ndel late\n"
    ),
}
ATTEMPT = """
def attempt(call, *args):
    try:
        call(*args, timeout=30)
    except Exception as error:
        assert type(error).__name__ == "Unavailable", error
"""


@pytest.mark.parametrize("name", sample([*ENDINGS], 2))
def test_no_call_hangs_at_the_end_of_the_interpreter(
    name: str, cluster: FakeCluster, tmp_path: object
) -> None:
    assert run(ATTEMPT + ENDINGS[name], cluster.endpoints, tmp_path) < 20


def test_the_end_does_not_wait_for_a_silent_cluster(cluster: FakeCluster, tmp_path: object) -> None:
    program = BEGINNING + (
        "import time\n"
        "with db.lock('n'):\n"
        "    sys.stdin.read()\n"
        "began = time.monotonic()\n"
        "db._shell._io.stop()\n"
        "print(time.monotonic() - began)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *cluster.endpoints],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not cluster.operations("acquire") and time.monotonic() < deadline:
        time.sleep(0.01)
    for node in cluster.nodes:
        cluster.always(node, IGNORE)
    out, _ = process.communicate(timeout=60)
    assert 0.1 < float(out) < 1.5
