"""The timeout of a client: what a call takes at most that names none itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from raftzmq import AsyncClient, Client, InvalidRequest, Unavailable
from tests.client.test_signatures import ASKING

NOBODY = "127.0.0.1:1"


def error_of(kind: type[Client] | type[AsyncClient], call: Callable[[Any], Any]) -> str:
    """What a call says that nobody answers, of a client whose timeout is 0.2 s."""
    if kind is Client:
        with Client(NOBODY, timeout=0.2) as db, pytest.raises(Unavailable) as caught:
            call(db)
        return str(caught.value)

    async def run() -> str:
        async with AsyncClient(NOBODY, timeout=0.2) as db:
            with pytest.raises(Unavailable) as caught:
                await call(db)
            return str(caught.value)

    return asyncio.run(run())


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("call", "seconds"),
    [
        (lambda db: db.get("k"), 0.2),
        (lambda db: db.put("k", "v"), 0.2),
        (lambda db: db.delete_prefix("k"), 0.2),
        (lambda db: db.status(), 0.2),
        (lambda db: db.get("k", timeout=0.1), 0.1),
        (lambda db: db.delete_prefix("k", timeout=0.1), 0.1),
    ],
)
def test_a_call_takes_the_clients_timeout_unless_it_has_one(
    kind: type[Client] | type[AsyncClient], call: Callable[[Any], Any], seconds: float
) -> None:
    assert f"answered within {seconds:g} s" in error_of(kind, call)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), True, "2", []])
def test_a_timeout_that_is_none_is_refused(kind: Any, wrong: Any) -> None:
    with pytest.raises(InvalidRequest, match="timeout is a number of seconds above 0"):
        kind(NOBODY, timeout=wrong)


@pytest.mark.parametrize("asks", ASKING, ids=lambda asks: asks.__name__)
def test_no_call_takes_a_timeout_by_its_place(asks: Callable[..., Any]) -> None:
    """Else one that is given so, and the client's, would be two."""
    timeout = inspect.signature(asks).parameters["timeout"]
    assert timeout.kind is inspect.Parameter.KEYWORD_ONLY
