"""Clients: the real client session, driven as its shells drive it, that writes down a history."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final

from raftzmq.client import operations
from raftzmq.client.calls import Call
from raftzmq.client.operations import Answer, Work
from raftzmq.client.session import ClientSession
from raftzmq.client.transactions import Compare, Delete, Get, Put
from raftzmq.errors import OutcomeUnknown, RaftzmqError
from tests.sim.history import FAILED, NEVER, OK, UNKNOWN, Op

if TYPE_CHECKING:
    from tests.sim.world import World

TIMEOUTS_S: Final = (0.3, 1.0, 1.0, 3.0, 5.0)
WEIGHTS: Final = {
    "put": 30,
    "get": 30,
    "cas": 15,
    "delete": 5,
    "stale get": 5,
    "prefix": 3,
    "delete_prefix": 1,
    "txn": 6,
    "txn of two": 2,
    "move": 3,
}


class SimClient:
    """A client process; `idle` ones only do what they are told."""

    def __init__(self, world: World, name: str, *, idle: bool = False) -> None:
        self.world = world
        self.name = name
        self.idle = idle
        self.random = Random(f"{world.seed} {name}")
        endpoints = [p.client_address for p in world.processes.values()]
        self.random.shuffle(endpoints)
        self.session = ClientSession(endpoints, Random(self.random.getrandbits(64)))
        self._ops: dict[Call, Op | Callable[[Call], None]] = {}
        self._values = 0
        self._due_ms: int | None = None
        self._up: set[str] = set()
        self.dead = False
        self.operator = idle
        if not idle:
            for _ in range(world.options.outstanding):
                self._later()

    @property
    def waiting(self) -> int:
        return len(self._ops)

    # -- what it wants --------------------------------------------------------------------------

    def _later(self) -> None:
        think_ms = int(self.random.expovariate(1 / self.world.options.think_ms)) + 1
        self.world.at(think_ms, self._next)

    def _next(self) -> None:
        if not (self.idle or self.dead):
            kind = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            op, work = self._draw(kind)
            self._submit(op, work, self.random.choice(TIMEOUTS_S))

    def _value(self) -> Any:
        self._values += 1
        text = f"{self.name}/{self._values}"
        return text.encode() if self.random.random() < 0.05 else text

    def _seen(self, key: str) -> tuple[Any, int]:
        """A value of the key and its revision, as somebody saw them, or made up."""
        chance = self.random.random()
        if chance < 0.15:
            return None, 0
        if chance < 0.2:
            return NEVER, 1 + self.random.randrange(3)  # the revision of no key
        return self.world.seen.get(key, (None, 0))

    def _draw(self, kind: str) -> tuple[Op, Work]:
        history, random = self.world.history, self.random
        key, other = random.sample(history.keys, 2)
        ops = operations
        match kind:
            case "put":
                value = self._value()
                return self._op("put", key, wire(value)), ops.put(key, value)
            case "get" | "stale get":
                stale = kind == "stale get"
                op = self._op("get", key)
                op.stale = stale
                return op, ops.get(key, stale=stale, endpoint=None)
            case "cas":
                value, (expected, revision) = self._value(), self._seen(key)
                op = self._op("cas", key, wire(value), revision)
                op.expected = expected
                return op, ops.cas(key, value, revision)
            case "delete":
                return self._op("delete", key), ops.delete(key)
            case "delete_prefix":
                return self._op("delete_prefix", "k"), ops.delete_prefix("k")
            case "prefix":
                return self._op("prefix", "k", 100), ops.prefix_(
                    "k", 100, stale=False, endpoint=None
                )
            case "txn":
                return self._txn_on_one(key)
            case "txn of two":
                return self._txn([], [Put(key, self._text()), Put(other, self._text())], [])
        expected, _ = self._seen(key)
        compare = Compare(key, "value", "=", None if expected is NEVER else unwired(expected))
        return self._txn([compare], [Delete(key), Put(other, self._text())], [])

    def _text(self) -> str:
        self._values += 1
        return f"{self.name}/{self._values}"

    def _txn_on_one(self, key: str) -> tuple[Op, Work]:
        expected, _ = self._seen(key)
        operator = self.random.choice(["=", "=", "!="])
        compare = Compare(key, "value", operator, None if expected is NEVER else unwired(expected))
        return self._txn([compare], [Put(key, self._text()), Get(key)], [Get(key)])

    def _txn(self, compares: list[Any], then: list[Any], other: list[Any]) -> tuple[Op, Work]:
        work = operations.txn(compares, then, other)
        arguments = [
            [[c.key, c.field, c.operator, wire(c.operand)] for c in compares],
            [_branch(o) for o in then],
            [_branch(o) for o in other],
        ]
        return self._op("txn", *arguments), work

    def _op(self, name: str, *arguments: Any) -> Op:
        return Op(self.name, name, list(arguments), self.world.moment())

    # -- calls ----------------------------------------------------------------------------------

    def _submit(self, op: Op, work: Work, timeout: float) -> None:
        now_ms = self.world.now_ms
        call = Call(work, now_ms, timeout)
        self._ops[call] = op
        self.world.history.ops.append(op)
        self.session.submit(call, now_ms)
        self.turn()

    def ask(self, work: Work, timeout: float, done: Callable[[Call], None]) -> None:
        """Have something done that is no part of the history."""
        call = Call(work, self.world.now_ms, timeout)
        self._ops[call] = done
        self.session.submit(call, self.world.now_ms)
        self.turn()

    def write(self, key: str, timeout: float, done: Callable[[Op], None]) -> None:
        """Write a new value, and say how it ended."""
        value = self._value()
        op = self._op("put", key, wire(value))

        def finished(call: Call) -> None:
            self._finished(call, op)
            done(op)

        self.world.history.ops.append(op)
        self.ask(operations.put(key, value), timeout, finished)

    def die(self) -> None:
        """The process ends; nobody will learn what becomes of its calls."""
        self.dead = True

    def _finished(self, call: Call, op: Op) -> None:
        world = self.world
        op.told = world.moment()
        op.session, op.serial = call.session, call.id
        if call.error is None:
            answer = call.answer
            assert isinstance(answer, Answer)
            op.outcome, op.index, op.compared, op.body = (
                OK,
                answer.index,
                answer.compared,
                answer.body,
            )
            call.result()  # it must have the form that it should have
            self._remember(op)
        else:
            unknown = isinstance(call.error, OutcomeUnknown)
            op.outcome = UNKNOWN if unknown else FAILED
            op.error = f"{type(call.error).__name__}"
            assert isinstance(call.error, RaftzmqError)
        world.counts[f"op {op.outcome}"] += 1

    def _remember(self, op: Op) -> None:
        seen = self.world.seen
        if op.name in ("put", "cas") and op.compared:
            seen[op.arguments[0]] = (op.arguments[1], op.index)
        elif op.name == "get" and op.body is not None:
            seen[op.arguments[0]] = tuple(op.body)

    # -- its shell ------------------------------------------------------------------------------

    def message(self, sender: str, _to: str, frames: list[bytes]) -> None:
        if self.dead:
            return
        endpoint = self.world.processes[sender].client_address
        if self.session.endpoints.link(endpoint).up:
            self.session.received(endpoint, frames[0], self.world.now_ms)
            self.turn()

    def _is_up(self, endpoint: str) -> bool:
        world = self.world
        process = world.by_client_address.get(endpoint)
        return (
            process is not None and process.up and world.network.connected(self.name, process.name)
        )

    def turn(self) -> None:
        """Do what is due, as the shells do."""
        world, session = self.world, self.session
        if self.dead:
            return
        now_ms = world.now_ms
        session.tick(now_ms)
        for endpoint in sorted(session.interests()):
            session.link_state(endpoint, self._is_up(endpoint), now_ms)
        for batch in session.outgoing(now_ms):
            process = world.by_client_address[batch.endpoint]
            deliver = process.client_message
            world.network.send(self.name, process.name, [batch.frame], deliver, once=True)
        session.resets()
        for call in session.take_finished():
            found = self._ops.pop(call)
            if isinstance(found, Op):
                self._finished(call, found)
                self._later()
            else:
                found(call)
        due_ms = session.next_deadline_ms()
        if due_ms is not None:
            due_ms = max(due_ms, now_ms + 1)
            if self._due_ms is None or due_ms < self._due_ms or self._due_ms <= now_ms:
                self._due_ms = due_ms
                world.at(due_ms - now_ms, self._wake)

    def _wake(self) -> None:
        if self._due_ms == self.world.now_ms:
            self._due_ms = None
            self.turn()


def wire(value: Any) -> Any:
    """A value as it is on the wire."""
    if isinstance(value, bytes):
        return operations._value(value)
    return value


def unwired(value: Any) -> Any:
    return operations._decoded(value) if isinstance(value, dict) else value


def _branch(operation: Any) -> list[Any]:
    return operations._branch(operation)
