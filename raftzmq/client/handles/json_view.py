"""A client's keys with JSON in them: what is written is encoded, and what is read decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from raftzmq.client.leased import AnyLease
from raftzmq.client.models import JsonForm
from raftzmq.client.operations import keys
from raftzmq.client.operations.arguments import Operation
from raftzmq.client.operations.fences import AnyFence
from raftzmq.client.results import CasResult, Item, Range, Written
from raftzmq.client.shell import Shell

T = TypeVar("T")


class JsonView(Generic[T]):
    """The keys of a client whose values are JSON. Made by `json` of a client, which says more. The
    methods take and return what those of the client do, with a value of the view's type in it."""

    def __init__(self, shell: Shell, timeout: float | None, form: JsonForm[T]) -> None:
        self._shell = shell
        self._timeout = timeout
        self._form = form

    async def _put(
        self,
        key: str,
        value: T,
        *,
        ttl: float | None = None,
        lease: AnyLease | None = None,
        keep_end: bool = False,
        if_absent: bool = False,
        fence: AnyFence = None,
        timeout: float | None = None,
    ) -> Written[T]:
        """Write the JSON of `value`, as `put` of the client writes text. Raises InvalidRequest for
        what has none; InvalidValue if with `if_absent` something else is there: nothing is written
        then."""
        written = await self._shell.run(
            keys.put(
                key,
                self._form.encode(value),
                ttl=ttl,
                lease=lease,
                keep_end=keep_end,
                if_absent=if_absent,
                fence=fence,
                **self._within(timeout),
            )
        )
        return Written(
            written.index,
            written.term,
            written.leader,
            written.revision,
            written.succeeded,
            self._form.decode(written.current),
        )

    async def _get(
        self,
        key: str,
        *,
        details: bool = False,
        stale: bool = False,
        endpoint: str | None = None,
        timeout: float | None = None,
    ) -> Item[T] | None:
        """Read a key, as `get` of the client does; None if it is absent. Raises InvalidValue."""
        within = self._within(timeout)
        operation = keys.get(key, details=details, stale=stale, endpoint=endpoint, **within)
        return self._form.decode(await self._shell.run(operation))

    async def _cas(
        self,
        key: str,
        value: T,
        revision: int,
        *,
        ttl: float | None = None,
        lease: AnyLease | None = None,
        keep_end: bool = False,
        fence: AnyFence = None,
        timeout: float | None = None,
    ) -> CasResult[T]:
        """Write a key if its revision is `revision` (0: if it is absent), as `cas` of the client
        does. Raises InvalidValue if something else stands in the way: nothing is written then."""
        within = self._within(timeout)
        text = self._form.encode(value)
        operation = keys.cas(
            key, text, revision, ttl=ttl, lease=lease, keep_end=keep_end, fence=fence, **within
        )
        result = await self._shell.run(operation)
        if result.succeeded:
            current: Item[T] | None = Item(key, value, result.revision)
        else:
            current = self._form.decode(result.current)
        return CasResult(
            result.succeeded, result.revision, current, result.index, result.term, result.leader
        )

    async def _put_if_absent(
        self,
        key: str,
        value: T,
        *,
        ttl: float | None = None,
        lease: AnyLease | None = None,
        fence: AnyFence = None,
        timeout: float | None = None,
    ) -> CasResult[T]:
        """Write a key if it is absent. `ttl` and `lease` as of `cas`."""
        return await self._cas(key, value, 0, ttl=ttl, lease=lease, fence=fence, timeout=timeout)

    async def _range(
        self,
        start: str = "",
        end: str = "",
        limit: int = 1000,
        *,
        stale: bool = False,
        endpoint: str | None = None,
        timeout: float | None = None,
    ) -> Range[T]:
        """Read the keys from `start` up to but excluding `end`, as `range` of the client does.
        Raises InvalidValue for the first that is not of the view."""
        within = self._within(timeout)
        return await self._items(
            keys.range_(start, end, limit, stale=stale, endpoint=endpoint, **within)
        )

    async def _prefix(
        self,
        prefix: str,
        limit: int = 1000,
        *,
        stale: bool = False,
        endpoint: str | None = None,
        timeout: float | None = None,
    ) -> Range[T]:
        """Read the keys that begin with `prefix`, as `prefix` of the client does. Raises
        InvalidValue for the first that is not of the view."""
        within = self._within(timeout)
        return await self._items(
            keys.prefix(prefix, limit, stale=stale, endpoint=endpoint, **within)
        )

    async def _items(self, operation: Operation[Range]) -> Range[T]:
        found = await self._shell.run(operation)
        items = tuple(map(self._form.decode_item, found))
        return Range(items, found.more, found.index, found.revision)

    def _within(self, timeout: float | None) -> Mapping[str, float]:
        """The call's own timeout, else the client's, else that of the operation."""
        timeout = self._timeout if timeout is None else timeout
        return {} if timeout is None else {"timeout": timeout}
