"""Methods that are made of functions look to a user as if they were written out in both clients."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from raftzmq import AsyncClient, Client
from raftzmq.client import aio, blocking
from raftzmq.client.operations import cluster, keys, leases, queues, transactions
from tests.conftest import PATIENCE_S

if TYPE_CHECKING:
    from typing import assert_type

    from raftzmq import Item, Leader, Queue, Written

CLIENTS = [Client, AsyncClient]
HANDLES = ["Lease", "Lock", "Semaphore", "PlainSemaphore", "Election", "Watch", "Scan", "JsonView"]
ASKING = [
    function
    for module in (keys, transactions, cluster, leases, queues)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__
    if not name.startswith("_") and "timeout" in inspect.signature(function).parameters
]

ASKED = {asks: inspect.signature(asks) for asks in ASKING}
"""As they are before the tests' own patience (tests/conftest.py)."""


def public(owner: Any) -> Iterator[tuple[str, Any]]:
    return (
        (name, method)
        for name, method in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_")
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_a_method_of_a_client_shows_its_own_arguments(client: Any) -> None:
    assert str(inspect.signature(client.put)) == (
        "(self, key: 'str', value: 'Value', *, ttl: 'float | None' = None, "
        "lease: 'AnyLease | None' = None, keep_end: 'bool' = False, if_absent: 'bool' = False, "
        "fence: 'AnyFence' = None, timeout: 'float' = 5) -> 'Written'"
    )
    assert str(inspect.signature(client("a:1").delete)) == (
        "(key: 'str', *, previous: 'bool' = False, fence: 'AnyFence' = None, "
        "timeout: 'float' = 5) -> 'Deleted'"
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_the_tests_have_more_patience_than_a_user(client: Any) -> None:
    for name in ("put", "lease"):
        assert inspect.unwrap(vars(client)[name]).__kwdefaults__["timeout"] == PATIENCE_S


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("asks", ASKING, ids=lambda asks: asks.__name__)
def test_every_method_that_is_one_call_is_shown_as_if_written_out(client: Any, asks: Any) -> None:
    name = asks.__name__.rstrip("_")
    method = vars(client)[name]
    shown, asked = inspect.signature(method), ASKED[asks]
    assert list(shown.parameters) == ["self", *asked.parameters]
    assert list(shown.parameters.values())[1:] == list(asked.parameters.values())
    kind = "NodeRequest" if asks.__module__ == cluster.__name__ else "Operation"
    assert asked.return_annotation == f"{kind}[{shown.return_annotation}]"
    assert method.__annotations__["return"] == shown.return_annotation
    assert (method.__name__, method.__qualname__) == (name, f"{client.__name__}.{name}")
    assert inspect.getdoc(method) == inspect.getdoc(asks) != ""
    assert inspect.iscoroutinefunction(method) == (client is AsyncClient)


@pytest.mark.parametrize("module", [blocking, aio])
@pytest.mark.parametrize("handle", HANDLES)
def test_every_method_of_a_handle_has_a_docstring_and_itself_as_first_argument(
    module: Any, handle: str
) -> None:
    owner = getattr(module, handle)
    assert inspect.getdoc(owner)
    for name, method in public(owner):
        assert inspect.getdoc(method), f"{handle}.{name}"
        assert next(iter(inspect.signature(method).parameters)) == "self", f"{handle}.{name}"


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    def shown(owner: Any) -> dict[str, list[str]]:
        return {name: list(inspect.signature(method).parameters) for name, method in public(owner)}

    assert shown(Client) == shown(AsyncClient)
    for handle in HANDLES:
        expected = shown(getattr(aio, handle))
        if handle == "Lease":
            del expected["open"]  # the blocking client's is open when it is returned
        assert shown(getattr(blocking, handle)) == expected


@pytest.mark.parametrize("client", CLIENTS)
def test_no_method_that_is_one_call_is_without_a_timeout(client: Any) -> None:
    asked = [m.__wrapped__ for m in vars(client).values() if hasattr(m, "__wrapped__")]
    made = [asks for asks in asked if asks.__module__.startswith("raftzmq.client.operations.")]
    assert len(made) == len(ASKING) >= 26
    assert set(made) == set(ASKING)


def test_a_wrong_argument_is_named_in_the_error() -> None:
    untyped: Any = Client("127.0.0.1:1")
    with pytest.raises(TypeError, match=r"put\(\) .*'timeuot'"):
        untyped.put("k", "v", timeuot=1)
    untyped = AsyncClient("127.0.0.1:1")
    with pytest.raises(TypeError, match=r"put\(\) .*'timeuot'"):
        untyped.put("k", "v", timeuot=1).send(None)  # as awaiting does


if TYPE_CHECKING:
    # What mypy must see of both; an unused `ignore` is an error.

    def _blocking(db: Client) -> None:
        assert_type(db.put("k", "v", ttl=1.5), Written)
        assert_type(db.get("k", stale=True), Item | None)
        assert_type(db.acquire("lock", "l", 7), int)
        assert_type(db.describe("lock", "l"), Queue | None)
        assert_type(db.lock("l").acquire(timeout=1), blocking.Lock)
        assert_type(db.semaphore("s").wait(2), int)
        assert_type(db.semaphore("s", plain=True).signal(), int)
        assert_type(db.election("e").leader(), Leader | None)
        assert_type(db.lease(5), blocking.Lease)
        db.put("k")  # type: ignore[call-arg]
        db.put("k", "v", 5)  # type: ignore[call-arg]
        db.get(1)  # type: ignore[arg-type]
        db.lock("l").release(after=1)  # type: ignore[call-arg]

    async def _asyncio(db: AsyncClient) -> None:
        assert_type(await db.put("k", "v", ttl=1.5), Written)
        assert_type(await db.get("k", stale=True), Item | None)
        assert_type(await db.acquire("lock", "l", 7), int)
        assert_type(await db.describe("lock", "l"), Queue | None)
        assert_type(await db.lock("l").acquire(timeout=1), aio.Lock)
        assert_type(await db.semaphore("s").wait(2), int)
        assert_type(await db.semaphore("s", plain=True).signal(), int)
        assert_type(await db.election("e").leader(), Leader | None)
        assert_type(await db.lease(5), aio.Lease)
        await db.put("k")  # type: ignore[call-arg]
        await db.put("k", "v", 5)  # type: ignore[call-arg]
        await db.get(1)  # type: ignore[arg-type]
        await db.lock("l").release(after=1)  # type: ignore[call-arg]
