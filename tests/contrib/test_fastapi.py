"""A client in a FastAPI application: its lifespan, the dependency, and errors."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from raftzmq import Client, Denied, InvalidRequest, OutcomeUnknown, RaftzmqError, Unavailable
from raftzmq.contrib.fastapi import RaftzmqClient, lifespan, unavailable

pytestmark = pytest.mark.system


def application(endpoints: str, **options: Any) -> FastAPI:
    app = FastAPI(
        lifespan=lifespan(endpoints, **options), exception_handlers={RaftzmqError: unavailable}
    )

    async def read(name: str, db: RaftzmqClient) -> Any:
        item = await db.get(name)
        return item and item.value

    async def fail(name: str) -> None:
        raise {"unknown": OutcomeUnknown, "denied": Denied}[name]("in words")

    app.add_api_route("/keys/{name}", read)
    app.add_api_route("/errors/{name}", fail)
    return app


async def ask(app: FastAPI, path: str) -> tuple[int, bytes]:
    """Status and body of the answer to a GET, as a server would get it."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "asgi": {"version": "3.0"},
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def answers(app: FastAPI, *paths: str) -> list[tuple[int, bytes]]:
    async def all_of_them() -> list[tuple[int, bytes]]:
        async with app.router.lifespan_context(app):
            return [await ask(app, path) for path in paths]

    return asyncio.run(all_of_them())


def test_a_request_uses_the_client_of_the_application(client: Client, endpoints: str) -> None:
    client.put("k", "v")
    app = application(endpoints)
    assert answers(app, "/keys/k", "/keys/none") == [(200, b'"v"'), (200, b"null")]
    assert answers(app, "/keys/k") == [(200, b'"v"')]  # started once more


def test_without_a_majority_the_answer_is_503() -> None:
    app = application("127.0.0.1:1", timeout=0.3)
    (status, body), denied, unknown = answers(app, "/keys/k", "/errors/denied", "/errors/unknown")
    assert (status, b"detail" in body) == (503, True)
    assert (denied[0], unknown[0]) == (500, 500)


def test_the_client_is_closed_with_the_application(client: Client, endpoints: str) -> None:
    app = application(endpoints)

    async def hold() -> Any:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(app.router.lifespan_context(app))
            db = app.state.raftzmq
            await db.lock("held").acquire()
        with pytest.raises(Unavailable):
            await db.get("k")

    asyncio.run(hold())
    with client.lock("held", timeout=5):  # its time to live is ten seconds
        pass


def test_an_application_without_the_lifespan_is_told_what_to_do() -> None:
    app = FastAPI()

    async def read(db: RaftzmqClient) -> None: ...

    app.add_api_route("/", read)
    with pytest.raises(InvalidRequest, match="lifespan"):
        asyncio.run(ask(app, "/"))


HOLDER = """
import asyncio, sys
from fastapi import FastAPI
from raftzmq.contrib.fastapi import lifespan

async def hold():
    app = FastAPI(lifespan=lifespan(sys.argv[1]))
    async with app.router.lifespan_context(app):
        async with app.state.raftzmq.lock("killed", ttl=1) as lock:
            print(lock.token, flush=True)
            await asyncio.sleep(60)

asyncio.run(hold())
"""


def test_what_a_killed_application_held_passes_on(
    client: Client, endpoints: str, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", HOLDER, endpoints]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        token = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        with client.lock("killed", timeout=60) as lock:
            assert lock.token > token
