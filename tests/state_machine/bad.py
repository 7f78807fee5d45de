"""State machines with the mistakes that people make: each must be found."""

from __future__ import annotations

import datetime
import os
import random
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from time import time_ns

from raftzmq.state_machine import Rejected, StateMachine, replicated


class Outside(StateMachine):
    """Each method reaches for what another node does not have."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def _note(self, found: object) -> None:
        self.seen.append(str(found))

    @replicated
    def wall_clock(self) -> None:
        self._note(time.time())

    @replicated
    def wall_clock_by_name(self) -> None:
        self._note(time_ns() // 10**12)

    @replicated
    def date(self) -> None:
        self._note(datetime.datetime.now(datetime.UTC).year)

    @replicated
    def today(self) -> None:
        self._note(datetime.date.today().year)

    @replicated
    def chance(self) -> None:
        self._note(random.random())

    @replicated
    def seeded_chance(self) -> None:
        self._note(random.Random(1).randrange(6))

    @replicated
    def unique(self) -> None:
        self._note(uuid.uuid4())

    @replicated
    def entropy(self) -> None:
        self._note(os.urandom(4))

    @replicated
    def file(self) -> None:
        self._note(Path(__file__).read_text())

    @replicated
    def opened(self) -> None:
        with open(__file__) as file:  # noqa: PTH123 -- as people do
            self._note(file.name)

    @replicated
    def network(self) -> None:
        socket.socket().close()

    @replicated
    def environment(self) -> None:
        self._note(os.getpid())

    @replicated
    def identity(self) -> None:
        self._note(id(self))

    @replicated
    def hashed(self) -> None:
        self._note(hash("a"))

    @replicated
    def printed(self) -> None:
        print("said")

    @replicated
    def hidden(self) -> None:
        try:
            self._note(time.time())
        except BaseException:
            self._note("nothing")


class Sets(StateMachine):
    """The order of a set is another in another process."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @replicated
    def gather(self, names: list[str]) -> list[str]:
        self.names = list({*self.names, *names})
        return self.names

    @replicated
    def gather_in_order(self, names: list[str]) -> list[str]:
        self.names = sorted({*self.names, *names})
        return self.names


_COUNT = [0]


class Remembers(StateMachine):
    """It keeps something outside its state."""

    def __init__(self) -> None:
        self.count = 0

    @replicated
    def add(self) -> int:
        _COUNT[0] += 1
        return _COUNT[0]


class Careless(StateMachine):
    """It changes its state, and then raises."""

    def __init__(self) -> None:
        self.items: list[object] = []

    @replicated
    def add(self, item: int) -> list[object]:
        self.items.append(item)
        return self.items

    @replicated
    def decline(self) -> None:
        self.items.clear()
        raise Rejected("not today")

    @replicated
    def fail(self, kind: str) -> object:
        self.items.clear()
        failures: dict[str, Callable[[], object]] = {
            "key": lambda: dict[str, int]()["missing"],
            "zero": lambda: 1 // 0,
            "exit": lambda: (_ for _ in ()).throw(SystemExit(3)),
            "recursion": lambda: self.fail("recursion"),
            "set": lambda: self.items.append({1, 2}),
            "date": lambda: self.items.append(datetime.date(2026, 1, 1)),
            "number": lambda: self.items.append(2**70),
            "keys": lambda: self.items.append({1: 2}),
            "text": lambda: self.items.append("\udc00"),
            "size": lambda: self.items.append("x" * 5 * 2**20),
            "result": lambda: "x" * 2 * 2**20,
            "result kind": lambda: {1, 2},
            "private": lambda: setattr(self, "_cache", 1),
        }
        return failures[kind]()
