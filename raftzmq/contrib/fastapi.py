"""A client in a FastAPI application.

from raftzmq.contrib.fastapi import RaftzmqClient, lifespan, unavailable

app = FastAPI(
    lifespan=lifespan("db-0:6001,db-1:6001"),
    exception_handlers={RaftzmqError: unavailable},
)

@app.get("/greeting")
async def greeting(db: RaftzmqClient) -> str: ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Final

from raftzmq import AsyncClient, Denied, InvalidRequest, OutcomeUnknown, Unauthorized
from raftzmq.contrib import missing

try:
    from fastapi import Depends, FastAPI, Request
    from fastapi.requests import HTTPConnection
    from fastapi.responses import JSONResponse
except ModuleNotFoundError as error:
    raise missing("FastAPI", "fastapi") from error

FINAL: Final = (Denied, InvalidRequest, OutcomeUnknown, Unauthorized)
"""What a client had better not simply ask again."""


def lifespan(
    endpoints: Sequence[str] | str | None = None,
    *,
    key: str | None = None,
    timeout: float | None = None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """The lifespan of an application that has a client, with the arguments of AsyncClient. It is
    closed when the application ends: locks are free then, and nothing waits for the cluster when
    it starts. Within a lifespan of one's own: `async with lifespan(...)(app): yield`."""

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncClient(endpoints, key=key, timeout=timeout) as client:
            app.state.raftzmq = client
            yield

    return living


def raftzmq_client(connection: HTTPConnection) -> AsyncClient:
    """The application's client: `Depends(raftzmq_client)`, for requests and websockets. Raises
    InvalidRequest if the application has no `lifespan` of raftzmq."""
    client = getattr(connection.app.state, "raftzmq", None)
    if not isinstance(client, AsyncClient):
        raise InvalidRequest("the application has no client: FastAPI(lifespan=lifespan(...))")
    return client


RaftzmqClient = Annotated[AsyncClient, Depends(raftzmq_client)]
"""The type of a parameter that is the application's client."""


async def unavailable(request: Request, problem: Exception) -> JSONResponse:
    """A handler of RaftzmqError: the answer is 503, so that clients try again; 500 for what would
    not get better, or of which nobody knows whether it was done."""
    del request
    status = 500 if isinstance(problem, FINAL) else 503
    return JSONResponse({"detail": str(problem)}, status)
