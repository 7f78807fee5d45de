"""What a user of the blocking client reads many keys with, and has JSON in them."""

from __future__ import annotations

from typing import Any, Literal, Self, TypeVar, overload

from raftzmq.client.handles import json_view, scan
from raftzmq.client.models import PLAIN, JsonForm
from raftzmq.client.results import Item
from raftzmq.client.shell import Shell, blocking, finish

T = TypeVar("T")
M = TypeVar("M")


class Scan(scan.Scan[T]):
    """The keys that begin with a prefix, in order, as they were at one `revision`, which is no
    older than the newest write that was answered before. Made by `Client.scan`: an iterator, for
    one thread.

    The client and the node have a message of them in memory, however many there are. `with` begins
    it, and so does iterating. What is left before the end is to be closed: `close`, the end of the
    `with` or the garbage collector does that. Raises Unavailable also when the node goes, or lets
    the scan go, in the middle: read it again then.

        with db.scan("jobs/") as jobs:
            for item in jobs:
                print(item.key, item.value)
    """

    open = blocking(scan.Scan._open)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        if self._is_ready() or finish(self._has_more()):
            return self._take()
        raise StopIteration

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class JsonView(json_view.JsonView[T]):
    """The keys of a client whose values are JSON: `Client.json`.
    For example:

        db.json.put("config/limits", {"workers": 3})
        if item := db.json.get("config/limits"):
            print(item.value["workers"])
    """

    put = blocking(json_view.JsonView._put)
    get = blocking(json_view.JsonView._get)
    cas = blocking(json_view.JsonView._cas)
    put_if_absent = blocking(json_view.JsonView._put_if_absent)
    range = blocking(json_view.JsonView._range)
    prefix = blocking(json_view.JsonView._prefix)

    def scan(
        self,
        prefix: str = "",
        *,
        after: str = "",
        limit: int | None = None,
        stale: bool = False,
        endpoint: str | None = None,
        timeout: float | None = None,
    ) -> Scan[Item[T]]:
        """The keys that begin with `prefix`, one after another, as `scan` of the client gives them.
        One that is not of the view raises InvalidValue, and reading may go on behind it."""
        return Scan(
            self._shell,
            prefix,
            self._form.decode_item,
            after=after,
            limit=limit,
            keys_only=False,
            stale=stale,
            endpoint=endpoint,
            timeout=self._timeout if timeout is None else timeout,
        )

    def __call__(self, model: type[M]) -> JsonView[M]:
        """The view whose values are of a model: a class of pydantic or msgspec, or a dataclass.
        Raises InvalidRequest for what is none."""
        return JsonView(self._shell, self._timeout, JsonForm(model))


class Views:
    """What the client has of them."""

    _shell: Shell
    _timeout: float | None

    @property
    def json(self) -> JsonView[Any]:
        """The same keys, with JSON in them: `put`, `get`, `cas`, `put_if_absent`, `range`, `prefix`
        and `scan` as here. `db.json(Model)` gives values of a class of pydantic or msgspec, or of a
        dataclass (then msgspec is needed to read them).

            db.json.put("config/limits", {"workers": 3})
            jobs = db.json(Job)
            jobs.put("jobs/7", Job(page=1))
            if item := jobs.get("jobs/7"):
                print(item.value.page)

        What is not JSON, or not of the model, raises InvalidValue, which names the key; a number
        beyond 64 bits, or whatever else orjson cannot write, InvalidRequest."""
        return JsonView(self._shell, self._timeout, PLAIN)

    @overload
    def scan(
        self,
        prefix: str = "",
        *,
        keys_only: Literal[False] = False,
        after: str = "",
        limit: int | None = None,
        stale: bool = False,
        endpoint: str | None = None,
        timeout: float | None = None,
    ) -> Scan[Item]: ...

    @overload
    def scan(
        self,
        prefix: str = "",
        *,
        keys_only: Literal[True],
        after: str = "",
        limit: int | None = None,
        stale: bool = False,
        endpoint: str | None = None,
        timeout: float | None = None,
    ) -> Scan[str]: ...

    def scan(
        self,
        prefix: str = "",
        *,
        keys_only: bool = False,
        after: str = "",
        limit: int | None = None,
        stale: bool = False,
        endpoint: str | None = None,
        timeout: float | None = None,
    ) -> Scan[Any]:
        """All keys that begin with `prefix`, one after another, as they are at one moment: millions
        of them take no more memory than a message, here and at the node.

            for item in db.scan("jobs/"):
                print(item.key, item.value)

        With `keys_only` there are keys without their values. `after` begins behind that key, and
        `limit` ends after so many. It comes from any node, or from the one at `endpoint`, and has
        every write that was answered before; with `stale` it is what that node has applied so far.
        Each message is waited for `timeout` seconds. Raises Unsupported where a node of release
        0.2.0 is asked, and Overloaded if the node holds 16 scans that are not read to their end."""
        return Scan(
            self._shell,
            prefix,
            scan.unchanged,
            after=after,
            limit=limit,
            keys_only=keys_only,
            stale=stale,
            endpoint=endpoint,
            timeout=self._timeout if timeout is None else timeout,
        )
