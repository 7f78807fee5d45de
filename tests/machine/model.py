"""The state machine once more, as plainly as it can be written: the tests' second opinion."""

from __future__ import annotations

import copy
from hashlib import sha256
from operator import eq, gt, lt, ne
from typing import Any

from raftzmq import limits
from raftzmq.machine.values import body_size
from tests.machine.coordination_model import Coordination
from tests.machine.program_model import Banking

READS = {
    "leases": "leases_after",
    "queues": "queues_of",
    "await": "awaited",
    "keys": "keys_after",
    "ask": "asked",
}
"""What reads are called here, where it is something else."""


def session_number(index: int, secret: str = "") -> int:
    """The number of a session that was opened at an index, with a secret or as in older logs."""
    return int(sha256(f"{secret} {index}".encode()).hexdigest()[:16], 16) if secret else index


class Model(Coordination, Banking):
    """Values stay in their wire form, tables are copied whole, everything is searched linearly."""

    def __init__(self) -> None:
        Coordination.__init__(self)
        Banking.__init__(self)
        self.keys: dict[str, tuple[Any, int, int]] = {}
        self.sessions: dict[int, dict[str, Any]] = {}
        self.index = 0
        self.time_ms = 0

    def apply(self, index: int, time_ms: int, body: Any, *, first: bool = True) -> tuple[Any, ...]:
        """Return code, index and body, or just code and index where the body is a message. The
        command is the `first` of its entry, or not."""
        if first:
            self.removals = 0
        number, ack, (serial, name, *arguments) = body
        self.index, self.time_ms = index, max(self.time_ms, time_ms)
        if name == "open":
            return self.open(*arguments)
        if name in ("cluster_version", "program"):
            set_it = self.change_version if name == "cluster_version" else self.program
            return ("ok", index, set_it(*arguments))
        if name == "expire" and arguments:
            return ("ok", index, self.expire(*arguments))
        if name == "expire":
            idle = self.idle_for(limits.SESSION_TTL_MS)
            for old in idle:
                del self.sessions[old]
            return ("ok", index, len(idle) + self.end_what_is_due())
        if number not in self.sessions:
            return ("session_expired", index)
        if name == "close":
            del self.sessions[number]
            return ("ok", index, None)
        session = self.sessions[number]
        session["used_ms"] = self.time_ms
        session["ack"] = max(ack, session["ack"])
        if serial < session["ack"]:
            return ("invalid", index)
        if serial not in session["results"]:
            if serial > session["ack"] + limits.SESSION_OUTSTANDING:
                return ("overloaded", index)
            code, *result = getattr(self, name)(*arguments)
            if code == "overloaded":
                return (code, index)
            session["results"][serial] = (code, index, *copy.deepcopy(result))
        kept: tuple[Any, ...] = session["results"][serial]
        return kept

    def change_version(self, version: int, _pinned: bool) -> int:
        """Cluster version 1 counts nothing, and what was counted is forgotten there."""
        self.counting = int(version >= 2)
        if not self.counting:
            dict.update(self.keys, {k: (v, at, 0) for k, (v, at, _) in self.keys.items()})
        return version

    def expire(self, bound: int) -> int:
        """What ends by itself, within a bound; sessions last."""
        count, room = self.end_within(bound, bound - self.removals)
        for old in self.idle_for(limits.SESSION_TTL_MS):
            if room > 0:
                session = self.sessions.pop(old)
                room -= 1 + sum(serial >= session["ack"] for serial in session["results"])
                count += 1
        return count

    def open(self, secret: str = "") -> tuple[Any, ...]:
        if len(self.sessions) >= limits.SESSIONS:
            idle = self.idle_for(limits.SESSION_EVICTABLE_MS)
            if not idle:
                return ("overloaded", self.index)
            del self.sessions[idle[0]]
        number = session_number(self.index, secret)
        self.sessions[number] = {"ack": 0, "used_ms": self.time_ms, "results": {}}
        return ("ok", self.index, number)

    def idle_for(self, idle_ms: int) -> list[int]:
        """Return the sessions idle for so long, the least recently used first."""
        order = sorted((self.sessions[number]["used_ms"], number) for number in self.sessions)
        return [number for used_ms, number in order if self.time_ms - used_ms >= idle_ms]

    def cas(self, key: str, value: Any, revision: int) -> tuple[Any, ...]:
        if self.revision(key) != revision:
            return "compare_failed", self.get(key)
        return self.put(key, value)

    def delete(self, key: str) -> tuple[str, Any]:
        self.bonds.pop(key, None)
        return "ok", len([self.keys.pop(key)]) if key in self.keys else 0

    def having(self, prefix: str) -> list[str]:
        return sorted(key for key in self.keys if key.startswith(prefix))

    def delete_prefix(self, prefix: str, bound: int | None = None) -> tuple[Any, ...]:
        keys = self.having(prefix)
        if bound is not None:
            if len(keys) > bound:
                return ("invalid",)
            if len(keys) > bound - self.removals:
                return ("overloaded",)
            self.removals += len(keys)
        return "ok", sum(self.delete(key)[1] for key in keys)

    def delete_first(self, prefix: str, limit: int) -> tuple[str, Any]:
        keys = self.having(prefix)
        first = keys[: max(0, limit - self.removals)]
        for key in first:
            self.delete(key)
        self.removals += len(first)
        return "ok", [len(first), len(first) < len(keys)]

    def txn(
        self, compares: Any, then: Any, otherwise: Any, bound: int | None = None
    ) -> tuple[Any, ...]:
        others = self.removals
        before = self.keys.copy(), self.bonds.copy()
        succeeded = all(self.holds(*compare) for compare in compares)
        bodies = []
        for name, *arguments in then if succeeded else otherwise:
            if name in ("get", "range", "prefix"):
                bodies.append(self.read(name, *arguments))
            else:
                if bound is not None:
                    touched = len(self.having(*arguments)) if name == "delete_prefix" else 1
                    if self.removals + touched > bound:
                        self.keys, self.bonds = before
                        return ("overloaded",) if others else ("invalid",)
                    self.removals += touched
                code, *said = getattr(self, name)(*arguments)
                if code != "ok":
                    self.keys, self.bonds = before
                    return (code, *said)
                bodies += said
        if sum(map(body_size, bodies)) > limits.TRANSACTION_BYTES:
            self.keys, self.bonds = before
            return ("invalid",)
        return "ok", [succeeded, bodies]

    def holds(self, key: str, field: str, operator: str, operand: Any) -> bool:
        if field == "revision":
            found: Any = self.revision(key)
        else:
            found = self.keys[key][0] if key in self.keys else None
        compares = {"=": eq, "!=": ne, "<": lt, ">": gt}
        return bool(compares[operator](found, operand))

    def revision(self, key: str) -> int:
        return self.keys[key][1] if key in self.keys else 0

    def read(self, name: str, *arguments: Any) -> Any:
        return getattr(self, READS.get(name, name))(*arguments)

    def get(self, key: str) -> Any:
        return list(self.keys[key][:2]) if key in self.keys else None

    def item(self, key: str) -> Any:
        if key not in self.keys:
            return None
        lease, end_ms = self.bonds.get(key, (0, None))
        if lease:
            _, end_ms = self.leases.get(lease, (0, self.time_ms))
        left = None if end_ms is None else max(0, end_ms - self.time_ms)
        value, revision, version = self.keys[key]
        return [value, revision, lease, left, version]

    def count(self, prefix: str) -> int:
        return len(self.having(prefix))

    def keys_after(self, prefix: str, after: str, limit: int) -> Any:
        found = [key for key in self.having(prefix) if key > after or not after]
        return [found[:limit], len(found) > limit]

    def range(self, start: str, end: str, limit: int) -> Any:
        return self.page(
            [key for key in self.keys if start <= key and (key < end or not end)], limit
        )

    def prefix(self, prefix: str, limit: int) -> Any:
        return self.page([key for key in self.keys if key.startswith(prefix)], limit)

    def page(self, found: list[str], limit: int) -> Any:
        items = [[key, *self.keys[key][:2]] for key in sorted(found)[:limit]]
        return [items, len(found) > limit]
