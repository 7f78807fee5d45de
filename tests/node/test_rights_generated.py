"""What users may not read makes no difference to what they are told, whatever they ask for; and
what they may not write is as it was.

Two clusters differ in nothing but what a user may not read. The user asks both for the same, at
random. An answer that differs has told something.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest

from raftzmq.access.users import User
from raftzmq.machine.commands import fences, table, transactions
from raftzmq.machine.commands.operation import Operation
from tests.amounts import amount
from tests.node.test_rights import OTHER, WRITER, Cluster

ASKER: Final = User("billing", read=("b/",), write=("a/", "c"))
OWN: Final = ["a/k", "a/", "a0", "a/\U0010ffff", "b/k", "b/l", "b/", "b0", "c", "ck"]
OTHERS: Final = ["a", "b", "b0\0", "d", "", "s/k", "s/l", "s/", "s0", "s", "\0", "\U0010ffff"]
KINDS: Final = ("lock", "semaphore", "counter", "election")
ROWS: Final[dict[str, Operation]] = {**table.COMMANDS, **table.READS}


class Asker:
    """Makes operations from the names of their arguments."""

    def __init__(self, random: Random, numbers: list[int]) -> None:
        self.random = random
        self.numbers = numbers  # of leases and of places
        self.fence = ["s/k", numbers[-4]]  # the lock there, which one of the clusters has let go

    def operation(self, rows: dict[str, Any] | None = None) -> list[Any]:
        rows = ROWS if rows is None else rows
        names = sorted([*rows, *(name for name in ("txn", "fenced", "range") * 3 if name in rows)])
        row = rows[self.random.choice(names)]
        return [row.name, *[self.argument(row.name, what) for what in row.arguments]]

    def argument(self, name: str, what: str) -> Any:
        random = self.random
        makers: dict[str, Callable[[], Any]] = {
            "value": lambda: None if name == "acquire" else random.choice(["v", "secret 1"]),
            "revision": lambda: random.choice([0, *self.numbers]),
            "limit": lambda: random.choice([1, 2, 10]),
            "ttl_ms": lambda: 60_000,
            "kind": lambda: random.choice(KINDS[1:3] if name == "forget" else KINDS),
            "lease": lambda: random.choice(self.numbers),
            "token": lambda: random.choice(self.numbers),
            "after": lambda: 0,
            "hold_ms": lambda: 0,
            "permits": lambda: 1,
            "capacity": lambda: 3 if name == "resize" else 0,
            "wait": lambda: random.random() < 0.5,
            "compares": lambda: [self.compare() for _ in range(random.randrange(3))],
            "then": self.branch,
            "else": self.branch,
            "fences": lambda: [
                random.choice([[self.text(), random.choice(self.numbers)], self.fence])
            ],
            "operation": lambda: self.operation(fences.FENCED),
        }
        return makers.get(what, self.text)()

    def text(self) -> str:
        return self.random.choice(OWN if self.random.random() < 0.7 else OTHERS)

    def branch(self) -> list[Any]:
        return [self.operation(transactions.BRANCH) for _ in range(self.random.randrange(2))]

    def compare(self) -> list[Any]:
        operand = self.random.choice(["secret 0", "secret 1", None])
        return [self.text(), "value", self.random.choice(["=", "!="]), operand]


class Furnished(Cluster):
    """What is under "s/", and whose the places there are, depends on `which`."""

    def __init__(self, which: int) -> None:
        super().__init__()
        own, others = self.granted(WRITER), self.granted(OTHER)
        self.numbers = [own, others]
        for key in ("a/k", "b/k", "ck"):
            self.done("put", key, "v")
        self.done("put_leased", "b/l", "v", others)
        self.done("put", "s/k", f"secret {which}")
        self.done("put", "b0", f"secret {which}")
        self.done("put_leased" if which else "put", "s/l", "secret 1", *([others] * which))
        for name in ("a/k", "b/k", "s/k"):
            for kind in KINDS:
                lease = own if name == "a/k" else others
                capacity = 3 if kind in ("semaphore", "counter") else 0
                place = self.done("acquire", kind, name, lease, 1, capacity, True, None)
                self.numbers.append(place[0])
        if which:
            self.done("release", "lock", "s/k", self.numbers[-4])
        else:
            self.done("put", "s/m", "secret 0")

    def beyond(self) -> list[Any]:
        """What is there that the asker may not write."""
        return [
            record
            for record in self.contents()
            if (record[0] in ("key", "bond") and not record[1].startswith(ASKER.write))
            or (record[0] in ("queue", "place") and not record[2].startswith(ASKER.write))
        ]


@pytest.mark.parametrize("seed", range(amount(3, 40)))
def test_no_answer_tells_of_what_may_not_be_read(seed: int) -> None:
    clusters = [Furnished(0), Furnished(1)]
    assert clusters[0].numbers == clusters[1].numbers
    asker = Asker(Random(seed), clusters[0].numbers)
    before = [cluster.beyond() for cluster in clusters]
    assert before[0] != before[1]
    allowed = 0
    for _ in range(300):
        operation = asker.operation()
        if operation[0] == "lease_revoke" and operation[1] == asker.numbers[0]:
            continue  # it would end most of what the rest is about
        told = [cluster.do(*operation, user=ASKER) for cluster in clusters]
        assert told[0] == told[1], operation
        allowed += told[0][0] not in ("denied", "invalid")
    assert [cluster.beyond() for cluster in clusters] == before
    assert allowed > 30, "nearly nothing was asked"


def test_the_secrets_would_show_to_who_may_read_them() -> None:
    clusters = [Furnished(0), Furnished(1)]
    asker = Asker(Random(0), clusters[0].numbers)
    user = User("billing", read=("",))
    told = [
        [cluster.do(*operation, user=user) for cluster in clusters]
        for operation in (asker.operation() for _ in range(300))
    ]
    assert any(one != other for one, other in told)
