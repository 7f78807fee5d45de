"""Clients: the real client session, driven as its shells drive it, that writes down a history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

import orjson

from raftzmq import limits
from raftzmq.access.users import User
from raftzmq.client.operations import cluster, keys, transactions
from raftzmq.client.operations.arguments import Answer, Operation, Work, decode_value, encode_value
from raftzmq.client.session.calls import Call
from raftzmq.client.session.session import Session
from raftzmq.client.session.verdicts import REFUSALS
from raftzmq.client.transactions import Compare, Delete, DeletePrefix, Get, GetPrefix, GetRange, Put
from raftzmq.errors import Denied, OutcomeUnknown, RaftzmqError
from tests.sim import banking
from tests.sim.history import COUNTER, FAILED, NEVER, ODD, OK, REFUSED, UNKNOWN, Op

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
    "range": 2,
    "delete_prefix": 1,
    "txn": 6,
    "txn of two": 2,
    "txn by revision": 2,
    "large txn": 1,
    "move": 3,
    "close": 0.5,
    ODD: 1,
}

READER_TIMEOUTS_S: Final = (0.05, 0.2, 1.0)
READS: Final = {"get": 9, "prefix": 1}
"""What a reader asks for."""

NEWER: Final = 0.3
"""Share of the worlds in which clients also send what is new in cluster version 2. They draw it
from numbers of their own, so every other world stays as it was."""

COUNTING: Final = 0.4
"""Share of these in which a put becomes an `incr`, and a get one of the counter."""

NAP: Final = 0.02
"""How often a client sleeps before its next request, and perhaps longer than its session lives."""

ODD_ENDS: Final = ("", "", "", "\u00e9", "\U0001f40d", '\x00"\\', "\u2028")
"""What some values end with: text that one encoder may treat in another way than the next."""

ILL_FORMED: Final[tuple[list[Any], ...]] = (
    ["put", "k0", 1],
    ["put", "k0", None],
    ["put", "", "a value"],
    ["put", "k0", {"b64": "not base64"}],
    ["put", "k0", "more than a value may have".ljust(1000)],
    ["put", "k0", "a value", "and one more"],
    ["cas", "k0", "a value", -1],
    ["cas", "k0", "a value", "1"],
    ["cas", "k0", "a value", True],
    ["delete", ["k0"]],
    ["delete_prefix", 0],
    ["increment", "k0", 1],
    ["expire"],
    ["txn", [], [], None],
    ["txn", [["k0", "value", "<", "a value"]], [], []],
    ["txn", [["k0", "version", "=", 1]], [], []],
    ["txn", [["k0", "revision", "=", "1"]], [], []],
    ["txn", [], [["put", "k0"]], []],
    ["txn", [], [["txn", [], [], []]], []],
    ["txn", [], [["get", 0]], []],
)
"""What no client library sends, and a node must refuse before it reaches the log."""


ADMINS: Final = ("0", "3", "6", "9")
"""The last digits of those that are admins. Others are held to their rights, and none may be told
that it may not do what it asks for."""


class SimClient:
    """A client process; `idle` ones only do what they are told, and a `reader` writes nothing."""

    def __init__(
        self, world: World, name: str, *, idle: bool = False, reader: bool = False
    ) -> None:
        self.world = world
        self.name = name
        self.idle = idle
        self.reader = reader
        self.random = Random(f"{world.seed} {name}")
        endpoints = [p.client_address for p in world.processes.values()]
        self.random.shuffle(endpoints)
        self.secrets = Random(f"{world.seed} {name} secrets")
        newer = Random(f"newer in {world.seed}").random() < NEWER
        self.newer = Random(f"{world.seed} {name} newer") if newer else None
        self.customer = banking.customer(world, name)
        self.session = self._session(endpoints, Random(self.random.getrandbits(64)))
        self._ops: dict[Call, Op | Callable[[Call], None]] = {}
        self._values = 0
        self._due_ms: int | None = None
        self._awake_ms = 0
        self.dead = False
        self.operator = idle
        if not idle:
            for _ in range(self._calls_at_once()):
                self._later()

    def _session(self, endpoints: list[str], random: Random) -> Session:
        return Session(endpoints, random, self.secrets, learns_members=False)

    @property
    def user(self) -> User:
        """What nodes take it for: a user of its own, who may do what it asks for."""
        return User(self.name, write=("",), admin=self.idle or self.name.endswith(ADMINS))

    def _calls_at_once(self) -> int:
        return self.world.options.outstanding

    def _weights(self) -> Mapping[str, float]:
        return READS if self.reader else WEIGHTS

    @property
    def waiting(self) -> int:
        return len(self._ops)

    # -- what it wants --------------------------------------------------------------------------

    def _later(self) -> None:
        options, now_ms = self.world.options, self.world.now_ms
        mean_ms = 20 if self.reader else options.think_ms
        think_ms = int(self.random.expovariate(1 / mean_ms)) + 1
        if self.random.random() < NAP:
            nap_ms = self.random.choice([limits.SESSION_EVICTABLE_MS, options.session_ttl_ms])
            if nap_ms <= options.seconds * 1000:
                self._awake_ms = now_ms + int(nap_ms * self.random.uniform(0.8, 1.8))
        self.world.at(max(think_ms, self._awake_ms - now_ms), self._next)

    def _next(self) -> None:
        if self.idle or self.dead:
            return
        asleep_ms = self._awake_ms - self.world.now_ms
        if asleep_ms > 0:
            self.world.at(asleep_ms, self._next)
        else:
            weights = self._weights()
            kind = self.random.choices(list(weights), list(weights.values()))[0]
            op, work = self._of_the_bank(*self._of_version_2(*self._draw(kind)))
            timeouts = READER_TIMEOUTS_S if self.reader else TIMEOUTS_S
            self._submit(op, work, self.random.choice(timeouts))

    def _value(self) -> Any:
        return self._text().encode() if self.random.random() < 0.05 else self._text()

    def _text(self) -> str:
        """A value that is written once; now and then one as long as values may be."""
        self._values += 1
        text = f"{self.name}/{self._values}{self.random.choice(ODD_ENDS)}"
        if self.random.random() < 0.02:
            return text + "." * (limits.VALUE_BYTES - len(text.encode()))
        return text

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
        match kind:
            case "put":
                value = self._value()
                return self._op("put", key, wire(value)), keys.put(key, value)
            case "get" | "stale get":
                stale = kind == "stale get"
                op = self._op("get", key)
                op.stale = stale
                return op, keys.get(key, stale=stale)
            case "cas":
                value, (expected, revision) = self._value(), self._seen(key)
                op = self._op("cas", key, wire(value), revision)
                op.expected = expected
                return op, keys.cas(key, value, revision)
            case "delete":
                return self._op("delete", key), keys.delete(key)
            case "delete_prefix":
                return self._op("delete_prefix", "k"), keys.delete_prefix_at_once("k")
            case "prefix":
                return self._op("prefix", "k", 100), keys.prefix("k", 100)
            case "range":
                start, end = sorted([key, other])
                limit = random.choice([1, 2, 100])
                end = random.choice(["", end])
                return self._op("range", start, end, limit), keys.range_(start, end, limit)
            case "close":
                return self._op("close"), cluster.close_session()
            case "odd":
                ill = random.choice(ILL_FORMED)
                tail = orjson.dumps(ill)[1:]
                return self._op(ODD, *ill), Operation(tail, lambda answer: answer, True)
        return self._draw_txn(kind, key, other)

    def _draw_txn(self, kind: str, key: str, other: str) -> tuple[Op, Work]:
        expected, revision = self._seen(key)
        operand = None if expected is NEVER else unwired(expected)
        then: list[Any] = [Put(other, self._text())]
        match kind:
            case "txn":
                operator = self.random.choice(["=", "=", "!="])
                compare = Compare(key, "value", operator, operand)
                return self._txn([compare], [Put(key, self._text()), Get(key)], [Get(key)])
            case "txn of two":
                return self._txn([], [Put(key, self._text()), *then], [])
            case "txn by revision":
                operator = self.random.choice(["<", ">", "!="])
                compare = Compare(key, "revision", operator, revision)
                return self._txn(
                    [compare], [*then, Get(key), GetRange(key, "", 2)], [Delete(other)]
                )
            case "large txn":  # its reads may return more than they may
                reads = [GetPrefix("k", 100)] * self.random.randint(1, 4)
                return self._txn([], [DeletePrefix(key), *then, *reads], [])
        return self._txn([Compare(key, "value", "=", operand)], [Delete(key), *then], [])

    def _txn(self, compares: list[Any], then: Sequence[Any], other: list[Any]) -> tuple[Op, Work]:
        if self.newer is not None and self.newer.random() < 0.5:
            then = [replace(o, keep_end=True) if isinstance(o, Put) else o for o in then]
        work = transactions.txn(compares, then, other)
        name, *arguments = orjson.loads(b"[" + work.tail)
        return self._op(name, *arguments), work

    def _of_version_2(self, op: Op, work: Work) -> tuple[Op, Work]:
        """In some worlds, now and then, a newer form of a put or cas, which of keys that never end
        does the same; or a put or get becomes one of the counter."""
        random = self.newer
        if random is None or random.random() < 0.5:
            return op, work
        counts = random.random() < COUNTING
        newer: Work
        match op.name, *op.arguments:
            case "put", _, _ if counts:
                newer = keys.incr(COUNTER, random.choice([1, 1, 5]))
            case "get", _ if counts and not op.stale:
                newer = keys.get(COUNTER)
            case "put", key, value:
                newer = keys.put(key, unwired(value), keep_end=True)
            case "cas", key, value, revision if revision:
                newer = keys.cas(key, unwired(value), revision, keep_end=True)
            case "get", key if not op.stale:
                newer = keys.get(key, details=True)
            case "prefix", prefix, _:
                newer = keys.count(prefix) if random.random() < 0.5 else keys.keys_(prefix)
            case "put_ttl", key, value, ttl_ms:
                newer = keys.put(key, unwired(value), if_absent=True, ttl=ttl_ms / 1000)
            case "put_leased", key, value, lease:
                revision = self.world.seen.get(key, (None, 0))[1]
                newer = keys.cas(key, unwired(value), revision, lease=lease)
            case _:
                return op, work
        name, *arguments = orjson.loads(b"[" + newer.tail)
        return replace(op, name=name, arguments=arguments), newer

    def _of_the_bank(self, op: Op, work: Work) -> tuple[Op, Work]:
        """Where there is a bank, now and then a call of it instead."""
        call = None
        if self.customer is not None:
            call = banking.drawn(self.customer, reads=self.reader)
        if call is None:
            return op, work
        name, arguments = banking.form_of(call)
        return self._op(name, *arguments), call

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

    def read(self, key: str, timeout: float) -> None:
        """Read a key now."""
        self._submit(self._op("get", key), keys.get(key), timeout)

    def write(self, key: str, timeout: float, done: Callable[[Op], None]) -> None:
        """Write a new value, and say how it ended."""
        value = self._value()
        self.perform(self._op("put", key, wire(value)), keys.put(key, value), timeout, done)

    def perform(self, op: Op, work: Work, timeout: float, done: Callable[[Op], None]) -> None:
        """Have an operation done, and say how it ended."""

        def finished(call: Call) -> None:
            self._finished(call, op)
            done(op)

        self.world.history.ops.append(op)
        self.ask(work, timeout, finished)

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
                answer.revision,
                answer.compared,
                answer.body,
            )
            call.result()  # it must have the form that it should have
            self._remember(op)
        else:
            assert isinstance(call.error, RaftzmqError)
            op.error = type(call.error).__name__
            assert not isinstance(call.error, Denied), f"{self.name} may do that: {call.error}"
            if call.error.code in REFUSALS:
                op.outcome, op.code = REFUSED, call.error.code
            else:
                op.outcome = UNKNOWN if isinstance(call.error, OutcomeUnknown) else FAILED
        world.counts[f"op {op.outcome}"] += 1

    def _remember(self, op: Op) -> None:
        seen = self.world.seen
        self.world.counts["incr done"] += op.name == "incr"
        self.world.counts["put_if done"] += op.name == "put_if" and op.compared
        self.world.counts["calls done"] += op.name == "call"
        if op.name in ("put", "cas", "put_if") and op.compared:
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
        return encode_value(value)
    return value


def unwired(value: Any) -> Any:
    return decode_value(value) if isinstance(value, dict) else value
