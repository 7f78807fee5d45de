"""Django's cache, its sessions, and locks, in a cluster.

    CACHES = {
        "default": {
            "BACKEND": "raftzmq.contrib.django.RaftzmqCache",
            "LOCATION": "db-0:6001,db-1:6001,db-2:6001",  # "": as Client() finds the cluster
            "OPTIONS": {"namespace": "shop/", "key": "shop.key", "timeout": 2},
        }
    }
    SESSION_ENGINE = "django.contrib.sessions.backends.cache"

Every operation is linearizable: what one process has set, every other gets. Values are pickled as
Django's own backends do it, so only the application may be allowed to write its keys.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from raftzmq import Delete, Get, InvalidRequest, Item, Put
from raftzmq.contrib import missing, shared_client

try:
    from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
    from django.core.exceptions import ImproperlyConfigured
    from django.utils.module_loading import import_string
except ModuleNotFoundError as error:
    raise missing("Django", "django") from error

if TYPE_CHECKING:
    from raftzmq.client.blocking import Lock

T = TypeVar("T")

SHORTEST_S: Final = 0.5
"""No key lives shorter."""

TOGETHER: Final = 128
"""The most operations of a transaction."""

FEW: Final = 8
"""So many keys are read one by one: a transaction waits for a write to the log."""

OPTIONS: Final = {"namespace", "key", "timeout", "serializer", "MAX_ENTRIES", "CULL_FREQUENCY"}


class PickleSerializer:
    """What Django's own backends do."""

    def dumps(self, value: object) -> bytes:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    def loads(self, data: bytes) -> Any:
        return pickle.loads(data)


class RaftzmqCache(BaseCache):  # type: ignore[misc]
    """A backend for CACHES.

    `LOCATION`: the nodes, in a list or separated by commas; empty: as `Client()` finds them.
    `OPTIONS`: `namespace`, with which the names of keys and locks begin, and what `clear` deletes
    ("django/"); `key`, the file of a user; `timeout`, seconds that a call may take; `serializer`,
    a class with `dumps` and `loads`, or its name.

    What the cluster cannot do raises RaftzmqError, as a client's calls do. It needs cluster
    version 2.
    """

    def __init__(self, location: str | Sequence[str], params: dict[str, Any]) -> None:
        super().__init__(params)
        options = dict(params.get("OPTIONS") or {})
        if unknown := options.keys() - OPTIONS:
            known = ", ".join(sorted(OPTIONS))
            raise ImproperlyConfigured(f"no OPTIONS of this cache: {unknown}; there are {known}")
        self._namespace = options.get("namespace", "django/")
        if not isinstance(self._namespace, str) or not self._namespace:
            raise ImproperlyConfigured("namespace is text that is not empty: `clear` deletes it")
        made = options.get("serializer", PickleSerializer)
        self._serializer = (import_string(made) if isinstance(made, str) else made)()
        self.client = shared_client(location, options.get("key"), options.get("timeout"))

    # -- one key --------------------------------------------------------------------------------

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        item = self.client.get(self._stored(key, version))
        return default if item is None else self._load(item)

    def has_key(self, key: str, version: int | None = None) -> bool:
        return self.client.get(self._stored(key, version)) is not None

    def set(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        name, ttl, data = self._stored(key, version), self._ttl(timeout), self._dump(value)
        if ttl == 0:
            self.client.delete(name)
        else:
            self.client.put(name, data, ttl=ttl)

    def add(
        self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Set it if it is absent, which of many callers one does."""
        name, ttl, data = self._stored(key, version), self._ttl(timeout), self._dump(value)
        if ttl == 0:
            return self.client.get(name) is None
        return self.client.put(name, data, if_absent=True, ttl=ttl).succeeded

    def touch(self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        name, ttl = self._stored(key, version), self._ttl(timeout)
        if ttl == 0:
            return self.client.delete(name).count > 0
        item = self.client.get(name)
        while item is not None:
            done = self.client.cas(name, item.value, item.revision, ttl=ttl)
            if done.succeeded:
                return True
            item = done.current
        return False

    def delete(self, key: str, version: int | None = None) -> bool:
        return self.client.delete(self._stored(key, version)).count > 0

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> Any:
        """Add to it, at once; it ends when it did. Raises ValueError if it is absent."""
        name = self._stored(key, version)
        item = self.client.get(name)
        while item is not None:
            value = self._load(item) + delta
            done = self.client.cas(name, self._dump(value), item.revision, keep_end=True)
            if done.succeeded:
                return value
            item = done.current
        raise ValueError(f"Key '{key}' not found")

    # -- many keys ------------------------------------------------------------------------------

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        names = {key: self._stored(key, version) for key in keys}
        found = zip(names, self._items([*names.values()]), strict=True)
        return {key: self._load(item) for key, item in found if item is not None}

    def set_many(
        self,
        data: Mapping[str, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[str]:
        """Set them, up to 128 at one moment; returns the keys that failed: none, or it raises."""
        ttl = self._ttl(timeout)
        if ttl == 0:
            self.delete_many(data, version)
            return []
        puts = [Put(self._stored(k, version), self._dump(v), ttl=ttl) for k, v in data.items()]
        for part in parts(puts):
            self._put(part)
        return []

    def delete_many(self, keys: Iterable[str], version: int | None = None) -> None:
        for part in parts([Delete(self._stored(key, version)) for key in keys]):
            self.client.txn(then=part)

    def clear(self) -> bool:
        """Delete what the namespace has, whatever its version; locks stay."""
        self.client.delete_prefix(self._namespace)
        return True

    def _items(self, names: list[str]) -> list[Item | None]:
        if len(names) <= FEW:
            return [self.client.get(name) for name in names]
        found: list[Any] = []
        for part in parts(names):
            try:
                found += self.client.txn(then=[Get(name) for name in part]).results
            except InvalidRequest:  # more than a transaction may return
                found += [self.client.get(name) for name in part]
        return found

    def _put(self, puts: list[Put]) -> None:
        try:
            self.client.txn(then=puts)
        except InvalidRequest:  # more than a transaction may hold, or one of them is wrong
            for put in puts:
                self.client.put(put.key, put.value, ttl=put.ttl)

    # -- locks ----------------------------------------------------------------------------------

    def lock(self, name: str, **options: Any) -> Lock:
        """A lock of the cluster, as `Client.lock` makes it:

        with cache.lock("nightly", ttl=30, timeout=0): ...
        """
        return self.client.lock(self._namespace + name, **options)

    # -- what the cluster holds -----------------------------------------------------------------

    def _stored(self, key: str, version: int | None) -> str:
        return f"{self._namespace}{self.make_and_validate_key(key, version=version)}"

    def _ttl(self, timeout: Any) -> float | None:
        """Seconds; 0: it is over at once; None: it stays."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        if timeout is None:
            return None
        return max(timeout, SHORTEST_S) if timeout > 0 else 0

    def _dump(self, value: Any) -> str | bytes:
        """Whole numbers are text: people read them, and other programs count with them."""
        if type(value) is int and value.bit_length() < 64:
            return str(value)
        data: bytes = self._serializer.dumps(value)
        return data

    def _load(self, item: Item) -> Any:
        if isinstance(item.value, bytes):
            return self._serializer.loads(item.value)
        try:
            return int(item.value)
        except ValueError:  # text that somebody else put there
            return item.value


def parts(items: list[T]) -> list[list[T]]:
    """In transactions' worth."""
    return [items[k : k + TOGETHER] for k in range(0, len(items), TOGETHER)]
