"""Why an endpoint does not get connected although somebody listens: CURVE itself never says.

An endpoint that is wanted, and not up after DOUBT_MS, is inspected in a thread of its own,
again and again while it stays so. A connected client inspects nothing. The same thread looks up a
name, for libzmq tries one of its addresses only.
"""

from __future__ import annotations

import _socket
from collections import deque
from collections.abc import Iterator, Set
from functools import partial
from typing import TYPE_CHECKING, Final

from raftzmq.client.greenlets import new_thread
from raftzmq.errors import InvalidRequest
from raftzmq.naming import literal, parse_address, parse_pod_name

if TYPE_CHECKING:
    from raftzmq.access.key_files import KeySource
    from raftzmq.transport.handshakes import Finding, Verdict

DOUBT_MS: Final = 100
"""How long an endpoint may take to get connected before it is inspected."""

AGAIN_MS: Final = 1000
"""Time from one inspection of an endpoint to the next."""

POLL_MS: Final = 20
"""How often to look whether an inspection is done."""

AT_ONCE: Final = 8
"""The most inspections at a time."""


class Inspections:
    """Endpoints that are down, and what was found out about them. Times in milliseconds."""

    def __init__(self, key_source: KeySource | None, option: str) -> None:
        """`option` is how whoever connects is given a key."""
        self._key_source = key_source
        self._option = option
        self._due_ms: dict[str, int] = {}  # of those that are down and not being inspected
        self._under_way: set[str] = set()
        self._found: deque[tuple[str, Finding]] = deque()  # the threads append
        self._addresses: deque[tuple[str, tuple[str, ...]]] = deque()  # here too

    def is_up(self, endpoint: str) -> None:
        """No need to inspect this one."""
        self._due_ms.pop(endpoint, None)

    def is_down(self, endpoint: str, now_ms: int) -> None:
        """This one is wanted, and not connected."""
        if endpoint not in self._due_ms and endpoint not in self._under_way:
            self._due_ms[endpoint] = now_ms + DOUBT_MS

    def due_ms(self, now_ms: int) -> int | None:
        """When `take` has something to do; None: not as things are."""
        due_ms = min(self._due_ms.values(), default=None)
        if self._under_way:
            return now_ms + POLL_MS if due_ms is None else min(due_ms, now_ms + POLL_MS)
        return due_ms

    def __bool__(self) -> bool:
        """Whether anything is due, or under way."""
        return bool(self._due_ms or self._under_way)

    def take(self, wanted: Set[str], now_ms: int) -> list[tuple[str, Finding]]:
        """Begin what is due and still wanted; return what was found since the last time."""
        found = []
        while self._found:
            endpoint, finding = self._found.popleft()
            self._under_way.discard(endpoint)
            self._due_ms[endpoint] = now_ms + AGAIN_MS
            found.append((endpoint, finding))
        for endpoint in self._due_ms.keys() - wanted:
            del self._due_ms[endpoint]
        due = [e for e, due_ms in self._due_ms.items() if due_ms <= now_ms]
        if due:
            # Imported late, for most clients never need it; and not in a thread: among greenlets
            # that would have to wait for them.
            import raftzmq.transport.handshakes  # noqa: F401
        for endpoint in due:
            if len(self._under_way) >= AT_ONCE:
                break
            try:
                new_thread(partial(self._inspect, endpoint), "raftzmq-inspect").start()
            except RuntimeError:  # there can be no thread now
                self._due_ms[endpoint] = now_ms + AGAIN_MS
                continue
            del self._due_ms[endpoint]
            self._under_way.add(endpoint)
        return found

    def take_addresses(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What was looked up since the last time: endpoints by name, and all addresses of each."""
        while self._addresses:
            yield self._addresses.popleft()

    def _inspect(self, endpoint: str) -> None:
        from raftzmq.transport.handshakes import Finding, Verdict, inspect

        finding = Finding(Verdict.SILENT)
        try:
            if addresses := _addresses(endpoint):
                self._addresses.append((endpoint, addresses))
            if self._key_source is None:
                finding = inspect(endpoint, None)
            else:
                key = self._key_source.refresh()
                finding = inspect(endpoint, key.own, key.servers)
        finally:
            self._found.append((endpoint, finding))

    def words(self, endpoint: str, verdict: Verdict) -> str:
        """What is wrong there, and what to do, in one line."""
        where = _name(endpoint)
        key = None if self._key_source is None else self._key_source.key
        if key is None:
            return f"{where} wants a key: give {self._option}"
        from raftzmq.access.keys import Kind
        from raftzmq.transport.handshakes import Verdict

        if verdict is Verdict.UNKNOWN_KEY:
            is_node = key.own.public.kind is Kind.NODE
            cure = "give both the same node.key" if is_node else "add it to users.toml"
            return f"{where} does not know the key {key.own.public.short} of {key.name!r}: {cure}"
        if verdict is Verdict.PLAIN:
            return f"{where} runs without keys: this client will not speak unencrypted"
        return f"{endpoint} is not the cluster this key is for, or no node"


def _addresses(endpoint: str) -> tuple[str, ...]:
    """All addresses of an endpoint's name as endpoints, each once, in the resolver's order; () for
    an IP address, and for a name that has none. It blocks."""
    host, port = parse_address(endpoint)
    if literal(host) is not None:
        return ()
    try:
        found = _socket.getaddrinfo(host, port, type=_socket.SOCK_STREAM)
    except OSError:
        return ()
    ips = (str(where[0]) for *_, where in found)
    return tuple(dict.fromkeys(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in ips))


def _name(endpoint: str) -> str:
    """The node's name, where the host is a pod's; the endpoint otherwise."""
    label = endpoint.partition(".")[0].partition(":")[0]
    try:
        return str(parse_pod_name(label))
    except InvalidRequest:
        return endpoint
