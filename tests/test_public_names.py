"""What `raftzmq` offers its users: each name is listed once, where it is defined."""

from __future__ import annotations

import subprocess
import sys

import pytest

import raftzmq
from raftzmq import errors
from raftzmq.client import aio, blocking, results, transactions
from raftzmq.testing import FakeCluster

HANDLES = {*blocking.__all__} - {"Client"}
"""What methods of the blocking client return."""
SIBLINGS = HANDLES - {"ReadWriteLock"}
"""Those of which the asyncio client has its own."""


def test_the_package_has_the_names_of_its_homes_both_clients_and_what_these_return() -> None:
    listed = {*errors.__all__, *results.__all__, *transactions.__all__, *HANDLES}
    siblings = {f"Async{name}" for name in SIBLINGS}
    assert {*raftzmq.__all__} == {*listed, *siblings, "AsyncClient", "Client", "__version__"}
    assert {*raftzmq.__all__} <= {*dir(raftzmq)}
    for home in (errors, results, transactions, blocking):
        for name in home.__all__:
            assert getattr(raftzmq, name) is getattr(home, name)


def test_the_asyncio_sibling_of_a_handle_has_its_name_too() -> None:
    assert {*aio.__all__} == {*SIBLINGS, "AsyncClient"}
    for name in SIBLINGS:
        assert getattr(raftzmq, f"Async{name}") is getattr(aio, name)


def test_what_a_method_returns_is_of_the_public_type() -> None:
    with FakeCluster().client() as db:
        assert type(db.lock("nightly")) is raftzmq.Lock
        assert type(db.semaphore("api", 3)) is raftzmq.Semaphore
        assert type(db.semaphore("api", plain=True)) is raftzmq.PlainSemaphore
        assert type(db.election("chief")) is raftzmq.Election
        assert type(db.rwlock("catalog")) is raftzmq.ReadWriteLock
        assert type(db.group("workers")) is raftzmq.Group
        assert type(db.barrier("start", 2)) is raftzmq.Barrier
        with db.lease(10) as lease, db.mirror("config/") as mirror, db.watch("key") as watch:
            assert type(lease) is raftzmq.Lease
            assert type(mirror) is raftzmq.Mirror
            assert type(watch) is raftzmq.Watch


def test_a_star_import_brings_them_all() -> None:
    script = (
        "from raftzmq import *\n"
        "names = {name for name in dir() if not name.startswith('_')}\n"
        "import raftzmq\n"
        "assert names == {*raftzmq.__all__} - {'__version__'}, names\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.parametrize("name", ["DataError", "Nothing", "nothing", "Locks", "AsyncReadWriteLock"])
def test_it_has_no_other_names(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'raftzmq' has no attribute '{name}'"):
        getattr(raftzmq, name)


def test_a_module_of_the_package_is_imported_alone() -> None:
    script = (
        "import sys\n"
        "from raftzmq import limits\n"
        "loaded = [name for name in sys.modules if name.startswith('raftzmq.')]\n"
        "assert loaded == ['raftzmq.limits'], loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_the_package_alone_imports_next_to_nothing() -> None:
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import raftzmq\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "assert loaded <= {'raftzmq', '__future__', 'importlib', 'warnings'}, loaded\n"
    )
    subprocess.run([sys.executable, "-S", "-c", script], check=True, timeout=120)


def test_the_clients_import_nothing_that_only_the_command_and_nodes_need() -> None:
    script = (
        "import sys\n"
        "from raftzmq import AsyncClient, Client\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "others = {'typer', 'click', 'rich', 'pydantic', 'prometheus_client', 'lightkube',\n"
        "          'opentelemetry', 'obstore', 'tomllib', 'raftzmq_cli'}\n"
        "assert not others & loaded, others & loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


RARE = """
    raftzmq.access.key_files raftzmq.access.keys raftzmq.client.aio raftzmq.client.otel
    raftzmq.client.transactions raftzmq.lines raftzmq.machine raftzmq.node raftzmq.server
    raftzmq.state_machine.definition raftzmq.storage raftzmq.testing raftzmq.transport.curve
    raftzmq.transport.handshakes raftzmq.views
    asyncio ctypes hashlib logging socket ssl tempfile
""".split()  # noqa: SIM905 -- a list of twenty quoted words is harder to read
"""A blocking client loads these when they are used: keys, transactions, a link that is down."""


def test_the_blocking_client_imports_nothing_that_few_calls_need() -> None:
    script = (
        "import sys\n"
        "import dataclasses, threading, orjson, zmq\n"
        "before = set(sys.modules)\n"
        "from raftzmq import Client\n"
        "loaded = (set(sys.modules) - before) & {*sys.argv[1:]}\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script, *RARE], check=True, timeout=120)
