"""Leases and queues once more, as plainly as they can be written: lists, searched and summed."""

from __future__ import annotations

from typing import Any

from raftzmq import limits


class Coordination:
    """What coordinates, in plain tables; nothing is derived, everything is looked for."""

    keys: dict[str, tuple[Any, int, int]]
    index: int
    time_ms: int

    def __init__(self) -> None:
        self.leases: dict[int, tuple[int, int]] = {}
        """lease -> its time to live, and its end"""

        self.owners: dict[int, str] = {}
        """lease -> whose it is; those that have ended too"""
        self.ending: list[int] = []
        """Leases that have ended and have places or keys left, in the order of their ends."""
        self.swept = ""
        """Where the search for such keys goes on."""
        self.removals = 0
        """How much of what has a bound was removed in the present entry."""
        self.counting = 0
        """1 if the versions of keys are counted that are created now."""
        self.bonds: dict[str, tuple[int, int]] = {}
        """key -> its lease or 0, and its own end or 0"""
        self.queues: dict[tuple[str, str], int] = {}
        """kind, name -> how many permits there are, held or free; of a counter, those left"""
        self.places: dict[int, list[Any]] = {}
        """token -> (kind, name), lease, permits, value, held; in order of tokens"""

    # -- leases ---------------------------------------------------------------------------------

    def lease_grant(self, ttl_ms: int, owner: str = "") -> tuple[Any, ...]:
        if len(self.leases) >= limits.LEASES:
            return ("overloaded",)
        self.leases[self.index] = (ttl_ms, self.time_ms + ttl_ms)
        self.owners[self.index] = owner
        return "ok", self.index

    def lease_keep(self, lease: int) -> tuple[Any, ...]:
        if lease not in self.leases:
            return ("lease_expired",)
        ttl_ms, _ = self.leases[lease]
        self.leases[lease] = (ttl_ms, self.time_ms + ttl_ms)
        return "ok", ttl_ms

    def lease_revoke(self, lease: int, bound: int | None = None) -> tuple[Any, ...]:
        if lease not in self.leases:
            return ("lease_expired",)
        if bound is not None:
            size = self.size_of(lease)
            if size > bound:
                self.begin_end(lease)
                return "ok", None
            if size > bound - self.removals:
                return ("overloaded",)
            self.removals += size
        self.end([lease])
        return "ok", None

    def end(self, leases: list[int]) -> None:
        for lease in leases:
            del self.leases[lease]
        for token in [token for token, place in self.places.items() if place[1] in leases]:
            self.leave(token)
        self.settle()
        for key in [key for key, bond in self.bonds.items() if bond[0] in leases]:
            del self.keys[key], self.bonds[key]

    def end_what_is_due(self) -> int:
        """Leases first, then keys; in order of their ends, as many as one entry may."""
        ended: list[int] = []
        work = 0
        for end_ms, lease in sorted((end_ms, lease) for lease, (_, end_ms) in self.leases.items()):
            if end_ms <= self.time_ms and work < limits.EXPIRE_AT_ONCE:
                ended.append(lease)
                work += 1 + self.keys_of(lease) + self.places_of(lease)
        self.end(ended)
        due = sorted((end, key) for key, (lease, end) in self.bonds.items() if not lease)
        gone = [key for end, key in due if end <= self.time_ms]
        gone = gone[: max(0, limits.EXPIRE_AT_ONCE - work)]
        for key in gone:
            del self.keys[key], self.bonds[key]
        return len(ended) + len(gone)

    def size_of(self, lease: int) -> int:
        return 1 + self.keys_of(lease) + self.places_of(lease)

    def begin_end(self, lease: int) -> None:
        del self.leases[lease]
        self.ending.append(lease)

    def end_within(self, bound: int, room: int) -> tuple[int, int]:
        """Leases that are due: the large ones begin to end. Then what those have left, and then
        keys with ends of their own. Returns how many ended, and for how much there is room."""
        whole: list[int] = []
        count = 0
        for end_ms, lease in sorted((end_ms, lease) for lease, (_, end_ms) in self.leases.items()):
            size = self.size_of(lease)
            if end_ms > self.time_ms or room <= 0 or room < size <= bound:
                break
            if size > bound:
                self.begin_end(lease)
                size = 1
            else:
                whole.append(lease)
            count += 1
            room -= size
        self.end(whole)
        room = self.sweep(room)
        due = sorted((end, key) for key, (lease, end) in self.bonds.items() if not lease)
        gone = [key for end, key in due if end <= self.time_ms][:room]
        for key in gone:
            del self.keys[key], self.bonds[key]
        return count + len(gone), room - len(gone)

    def sweep(self, room: int) -> int:
        left = [t for lease in self.ending for t, place in self.places.items() if place[1] == lease]
        for token in left[:room]:
            self.leave(token)
        self.settle()
        room -= len(left[:room])
        for lease in list(self.ending):
            if self.places_of(lease) == 0 and self.keys_of(lease) <= room:
                room -= self.keys_of(lease)
                self.end_keys([key for key, bond in self.bonds.items() if bond[0] == lease])
                self.ending.remove(lease)
        if self.ending and room:
            most = limits.SWEPT_PER_REMOVAL * room
            looked_at = [key for key in sorted(self.keys) if key >= self.swept][:most]
            bonds = [(key, self.bonds.get(key, (0, 0))[0]) for key in looked_at]
            found = [key for key, lease in bonds if lease in self.ending][:room]
            if len(found) < room:
                self.swept = looked_at[-1] + "\0" if len(looked_at) == most else ""
            else:
                self.swept = found[-1] + "\0"
            self.end_keys(found)
            room -= len(found)
        return room

    def end_keys(self, keys: list[str]) -> None:
        for key in keys:
            del self.keys[key], self.bonds[key]

    def place(self, token: int) -> list[Any] | None:
        """A place that is there for those who have it."""
        found = self.places.get(token)
        return None if found is None or found[1] in self.ending else found

    def keys_of(self, lease: int) -> int:
        return sum(bond[0] == lease for bond in self.bonds.values())

    def places_of(self, lease: int) -> int:
        return sum(place[1] == lease for place in self.places.values())

    def put(self, key: str, value: Any) -> tuple[Any, ...]:
        if key not in self.keys:
            version = self.counting
        elif version := self.keys[key][2]:
            version += 1
        self.keys[key] = (value, self.index, version)
        self.bonds.pop(key, None)
        return "ok", None

    def put_leased(self, key: str, value: Any, lease: int) -> tuple[Any, ...]:
        if lease not in self.leases:
            return ("lease_expired",)
        self.put(key, value)
        self.bonds[key] = (lease, 0)
        return "ok", None

    def put_ttl(self, key: str, value: Any, ttl_ms: int) -> tuple[Any, ...]:
        self.put(key, value)
        self.bonds[key] = (0, self.time_ms + ttl_ms)
        return "ok", None

    def put_if(self, key: str, value: Any, revision: int | None, end: Any) -> tuple[Any, ...]:
        there = self.keys.get(key)
        if revision is not None and revision != (there[1] if there else 0):
            return "compare_failed", list(there[:2]) if there else None
        if isinstance(end, list):
            how, number = end
            put = {"lease": self.put_leased, "ttl": self.put_ttl}[how]
            return put(key, value, number)
        bond = self.bonds.get(key)
        self.put(key, value)
        if end == "keep" and bond:
            self.bonds[key] = bond
        return "ok", None

    def incr(self, key: str, by: int, end: Any) -> tuple[Any, ...]:
        if isinstance(end, list) and end[0] == "lease" and end[1] not in self.leases:
            return ("lease_expired",)
        held = self.keys[key][0] if key in self.keys else "0"
        try:
            number = int(held)
        except (TypeError, ValueError):
            return ("invalid",)
        if held != str(number) or abs(number + by) > limits.NUMBER_MAX:
            return ("invalid",)
        self.put_if(key, str(number + by), None, "keep" if key in self.keys else end)
        return "ok", number + by

    # -- queues ---------------------------------------------------------------------------------

    def of_queue(self, kind: str, name: str, *, held: bool) -> list[int]:
        """The tokens of a queue that hold, or those that wait."""
        found = self.places.items()
        return [token for token, place in found if place[0] == (kind, name) and place[4] is held]

    def free(self, kind: str, name: str) -> int:
        permits = self.queues[kind, name]
        if kind == "counter":
            return permits
        for token in self.of_queue(kind, name, held=True):
            permits -= self.places[token][2]
        return permits

    def settle(self) -> None:
        """Grant whatever can be granted, and forget the locks and elections without places."""
        stuck = set()
        for place in self.places.values():
            queue, _, permits, _, held = place
            if held or queue in stuck:
                continue
            if permits > self.free(*queue):
                stuck.add(queue)
                continue
            place[4] = True
            if queue[0] == "counter":
                self.queues[queue] -= permits
        used = {place[0] for place in self.places.values()}
        for queue in [queue for queue in self.queues if queue[0] in ("lock", "election")]:
            if queue not in used:
                del self.queues[queue]

    def acquire(
        self,
        kind: str,
        name: str,
        lease: int,
        permits: int,
        capacity: int,
        wait: bool,
        value: str | None,
    ) -> tuple[Any, ...]:
        if lease not in self.leases:
            return ("lease_expired",)
        size = 1 if kind in ("lock", "election") else capacity
        there = (kind, name) in self.queues
        if not there and size == 0:
            return ("not_found",)
        has = self.queues[kind, name] if there else size
        if kind == "semaphore" and (capacity not in (0, has) or permits > has):
            return ("invalid",)
        waiting = there and self.of_queue(kind, name, held=False)
        at_once = not waiting and permits <= (self.free(kind, name) if there else size)
        if not at_once and not wait:
            return ("busy",)
        if len(self.places) >= limits.PLACES or (not there and len(self.queues) >= limits.QUEUES):
            return ("overloaded",)
        self.queues.setdefault((kind, name), size)
        self.places[self.index] = [(kind, name), lease, permits, value, False]
        self.settle()
        return "ok", [self.index, self.places[self.index][4]]

    def release(self, kind: str, name: str, token: int) -> tuple[Any, ...]:
        place = self.place(token)
        if place is None or place[0] != (kind, name):
            return ("not_held",)
        del self.places[token]  # and what a counter has granted with it
        self.settle()
        return "ok", None

    def cancel(self, kind: str, name: str, token: int) -> tuple[Any, ...]:
        place = self.place(token)
        if place is None or place[0] != (kind, name):
            return ("not_held",)
        self.leave(token)
        self.settle()
        return "ok", None

    def leave(self, token: int) -> None:
        queue, _, permits, _, held = self.places.pop(token)
        if held and queue[0] == "counter":
            self.queues[queue] += permits

    def signal(self, name: str, permits: int) -> tuple[Any, ...]:
        count = left = self.queues.get(("counter", name), 0)
        left += permits
        for token in self.of_queue("counter", name, held=False):
            if self.places[token][2] > left:
                break
            left -= self.places[token][2]
        if left > limits.PERMITS:
            return ("invalid",)
        if ("counter", name) not in self.queues and len(self.queues) >= limits.QUEUES:
            return ("overloaded",)
        self.queues["counter", name] = count + permits
        self.settle()
        return "ok", self.queues["counter", name]

    def resize(self, name: str, capacity: int) -> tuple[Any, ...]:
        if ("semaphore", name) not in self.queues and len(self.queues) >= limits.QUEUES:
            return ("overloaded",)
        self.queues["semaphore", name] = capacity
        for token in self.of_queue("semaphore", name, held=False):
            if self.places[token][2] > capacity:
                self.leave(token)
        self.settle()
        return "ok", None

    def proclaim(self, name: str, token: int, value: str | None) -> tuple[Any, ...]:
        place = self.place(token)
        if place is None or place[0] != ("election", name) or not place[4]:
            return ("fenced",)
        place[3] = value
        return "ok", None

    def forget(self, kind: str, name: str) -> tuple[Any, ...]:
        if (kind, name) not in self.queues:
            return ("not_found",)
        if any(place[0] == (kind, name) for place in self.places.values()):
            return ("busy",)
        del self.queues[kind, name]
        return "ok", None

    def fenced(self, fences: list[Any], operation: list[Any]) -> tuple[Any, ...]:
        for name, token in fences:
            place = self.place(token)
            if place is None or place[0][1] != name or not place[4]:
                return ("fenced",)
        outcome: tuple[Any, ...] = getattr(self, operation[0])(*operation[1:])
        return outcome

    # -- reads ----------------------------------------------------------------------------------

    def lease(self, lease: int) -> Any:
        if lease not in self.leases:
            return None
        ttl_ms, end_ms = self.leases[lease]
        left_ms = max(0, end_ms - self.time_ms)
        return [ttl_ms, left_ms, self.keys_of(lease), self.places_of(lease)]

    def leases_after(self, after: int, limit: int) -> Any:
        found = [lease for lease in sorted(self.leases) if lease > after]
        return [[[lease, *self.lease(lease)] for lease in found[:limit]], len(found) > limit]

    def describe(self, kind: str, name: str) -> Any:
        if (kind, name) not in self.queues:
            return None
        holders = self.of_queue(kind, name, held=True)
        waiters = self.of_queue(kind, name, held=False)
        return {
            "capacity": self.queues[kind, name],
            "free": self.free(kind, name),
            "held": len(holders),
            "waiting": len(waiters),
            "holders": [[token, *self.places[token][1:4]] for token in holders],
            "waiters": [[token, *self.places[token][1:4]] for token in waiters],
        }

    def queues_of(self, kind: str, prefix: str, limit: int) -> Any:
        names = sorted(name for of, name in self.queues if of == kind and name.startswith(prefix))
        items = []
        for name in names[:limit]:
            held, waiting = (len(self.of_queue(kind, name, held=held)) for held in (True, False))
            items.append([name, self.queues[kind, name], held, waiting])
        return [items, len(names) > limit]

    def awaited(self, kind: str, name: str, token: int, _hold_ms: int) -> Any:
        """True: it holds; False: it waits; None: there is no such place."""
        place = self.place(token)
        return place[4] if place is not None and place[0] == (kind, name) else None

    def observe(self, name: str, token: int, _hold_ms: int) -> Any:
        """False: nothing to tell."""
        holders = self.of_queue("election", name, held=True)
        if not holders:
            return None if token else False
        (holder,) = holders
        return False if holder == token else [holder, self.places[holder][3]]

    def proclaimed(self, name: str, token: int, value: str | None, _hold_ms: int) -> Any:
        """False: nothing to tell."""
        found = self.observe(name, 0, 0)
        if found is False:
            return None if token else False
        return False if found == [token, value] else found
