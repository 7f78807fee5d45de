"""A node that is told mangled things: nothing is raised, and nothing wrong is committed or applied.

What nodes say to one another has no signature: a message in which one number was changed may be
believed. A hostile node is not covered; these rules hold all the same.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from random import Random
from typing import Any

import orjson
import pytest

from raftzmq.core.messages import Message
from raftzmq.core.ready import HardState
from raftzmq.core.state import CONTRADICTION
from raftzmq.errors import InvalidRequest, StaleData, WireError
from raftzmq.machine import READS, Machine, validate_write
from raftzmq.machine.validation import validate_read
from raftzmq.node import Node
from raftzmq.storage import MemoryStorage
from raftzmq.transport.client_wire import (
    OperationsRequest,
    Reply,
    Results,
    decode_request,
    encode_request,
)
from raftzmq.transport.peer_wire import Envelope, Hello, PeerMessage, Welcome, decode_peer
from tests.amounts import amount
from tests.fuzz.corpus import OPERATIONS, PEER, REQUEST
from tests.fuzz.decoders import REPLIES, encode_peer, hold
from tests.fuzz.mangler import GENTLE, Mangler, Parts, variants
from tests.fuzz.worlds import (
    SMALL,
    Recorded,
    Watched,
    agree,
    disk_of,
    essence,
    lived,
    operations_of,
)
from tests.machine.model import Model
from tests.node.world import CLIENT
from tests.progress import counted

MESSAGES = amount(10_000, 60_000)
REQUESTS = amount(2_000, 20_000)
SEED = 4
LIFE = 25
"""So many messages does one copy of a node get."""

CONTRADICTED = "ends the node, for it contradicts what is committed"

MOMENTS = ("joining", "young", "lagging", "leader", "follower")


class Sink:
    """An outbox: what leaves a node can be encoded and read."""

    def send(self, address: str | None, cluster: str, message: object) -> bool:
        assert isinstance(message, Message)
        self._say(Envelope(cluster, message))
        return True

    def greet(self, name: str, address: str, greeting: Hello | Welcome) -> None:
        self._say(greeting)

    def _say(self, message: PeerMessage) -> None:
        parts = encode_peer(message)
        hold(encode_peer(decode_peer(parts)) == parts, "says what reads as something else")

    def reply(self, client: bytes, reply: Reply) -> bool:
        frame = REPLIES.encode(reply)
        hold(REPLIES.take(frame) == "taken", f"answers what cannot be read: {frame!r}")
        return True


@pytest.fixture(scope="module")
def world() -> Recorded:
    return lived()


def tell(node: Node, message: PeerMessage, now_ms: int) -> None:
    if isinstance(message, Envelope):
        node.receive(message)
    else:
        node.greeted(message, now_ms)


def hand_over(watched: Watched, parts: Parts, now_ms: int) -> str:
    """Give a node an input; return what became of it. Fails when a rule is broken."""
    node = watched.node
    try:
        message = decode_peer(parts)
    except WireError:
        return "refused"
    before = essence(node)
    foreign = isinstance(message, Envelope) and message.cluster != node.cluster
    disk = disk_of(node) if foreign else {}
    try:
        tell(node, message, now_ms)
        if foreign or not node.cluster:
            hold(not node.cluster or essence(node) == before, "a stranger was heard")
            hold(not foreign or disk_of(node) == disk, "a stranger wrote to the disk")
        node.tick(now_ms)
        node.turn(Sink())
    except StaleData:
        return "says that entries are missing"
    except AssertionError as error:
        if str(error).partition("\n")[0] != CONTRADICTION:  # pytest adds what was compared
            raise
        watched.check()  # what was committed stands
        return CONTRADICTED
    watched.check()
    if foreign:
        return "of another cluster"
    return "believed" if essence(node) != before else "changed nothing"


def remembers(node: Node) -> None:
    """The node's disk can be read again after a crash, and says the same."""
    assert isinstance(node.storage, MemoryStorage)
    files = node.storage.files
    files.crash()
    restored = MemoryStorage(files, config=SMALL).open(node.name)
    hold(restored.hard_state == HardState(node.raft.term, node.raft.vote), "term and vote differ")
    last = restored.entries[-1].index if restored.entries else node.raft.log.base_index
    hold(last == node.raft.stable_index, "the log on disk ends elsewhere")
    hold(restored.repairs == [], "something was torn")


@pytest.mark.parametrize("moment", MOMENTS)
def test_no_mangled_message_breaks_a_node(world: Recorded, moment: str) -> None:
    original = world.moments[moment]
    corpus = world.corpus(original.name)
    corpus += PEER[:: max(1, len(PEER) * 3 // len(corpus))]  # of another cluster
    manglers = [Mangler(SEED, corpus), *[Mangler(SEED + 1, corpus, changes=GENTLE, only=0)] * 2]
    outcomes: Counter[str] = Counter()
    watched = Watched(deepcopy(original))
    now_ms, random = world.now_ms, Random(SEED)
    for number in counted("mangled messages for a node", range(MESSAGES // len(MOMENTS))):
        if number % LIFE == 0:
            watched = Watched(deepcopy(original))
        now_ms += random.choice((0, 1, 10, 400))
        mangler = manglers[number % 3]
        try:
            as_sent = (
                hand_over(watched, random.choice(corpus), now_ms) if random.random() < 0.3 else ""
            )
            if as_sent == CONTRADICTED:  # what was believed before was wrong
                watched = Watched(deepcopy(original))
            outcome = hand_over(watched, mangler.input(number), now_ms)
            ended = outcome == CONTRADICTED or watched.node.raft.regressed is not None
            if number % LIFE == LIFE - 1 and not ended:
                remembers(watched.node)
        except Exception as error:
            raise mangler.found(number, f"{moment}: {type(error).__name__}: {error}") from error
        outcomes[outcome] += 1
        if ended:  # it stops, and says why
            watched = Watched(deepcopy(original))
    print(moment, dict(outcomes), dict(watched.node.raft.dropped))
    assert outcomes["refused"] > 0
    assert outcomes["of another cluster"] > 0
    if moment != "joining":
        assert outcomes["believed"] > MESSAGES // len(MOMENTS) // 50


def test_messages_of_another_cluster_change_nothing(world: Recorded) -> None:
    for moment in MOMENTS:
        node = deepcopy(world.moments[moment])
        before, disk, said = essence(node), disk_of(node), 0
        for parts in world.corpus(node.name):
            message = decode_peer(parts)
            if isinstance(message, Envelope) and node.cluster:
                said += 1
                node.receive(Envelope("another", message.message))
                node.receive(Envelope("", message.message))
        assert essence(node) == before
        assert disk_of(node) == disk
        assert node.dropped["foreign_cluster"] == 2 * said
        assert said or moment == "joining"


def requests_of(world: Recorded) -> list[Parts]:
    """Requests of every kind; those with operations as a client of that world sends them."""
    decoded = [decode_request(parts[0]) for parts in REQUEST]
    operations = [request for request in decoded if isinstance(request, OperationsRequest)]
    ours = operations_of(world, [request for request in operations if request.session])
    other = [request for request in decoded if not isinstance(request, OperationsRequest)]
    return [(encode_request(request),) for request in (*ours, *ours, *operations, *other)]


def ask_one(world: Recorded, frame: bytes) -> str:
    leader = world.leader()
    name = leader.name if leader else "raft-0"
    try:
        request = decode_request(frame)
    except WireError as error:
        return f"refused: {error.reason}"
    world.nodes[name].request(CLIENT, request, len(frame), world.now_ms)
    for node in world.nodes.values():
        node.stop_requested = node.stopping = False  # asked for by some of the requests
    world.step()
    world.step()
    replies = world.replies[name]
    codes = {
        result[1] for reply in replies if isinstance(reply, Results) for result in reply.results
    }
    outcome = min(codes) if codes else "an error" if replies else "pending"
    replies.clear()
    return outcome


def test_no_mangled_request_breaks_a_cluster(world: Recorded) -> None:
    world = deepcopy(world)
    outcomes: Counter[str] = Counter()
    mangler = Mangler(SEED, requests_of(world))
    watched = [Watched(node) for node in world.nodes.values()]
    for number in counted("mangled requests for a node", range(REQUESTS)):
        try:
            outcomes[ask_one(world, b"".join(mangler.input(number)[:1]))] += 1
            for one in watched:
                one.check()
        except Exception as error:
            raise mangler.found(number, f"{type(error).__name__}: {error}") from error
        if number % 500 == 499:
            same_states(world)
    same_states(world)
    print(dict(outcomes))
    assert outcomes["ok"] > REQUESTS / 30


def same_states(world: Recorded) -> None:
    """Let everybody catch up: then every node has the same state."""
    world.until(lambda: world.leader() is not None)
    world.run(2)
    hashes: dict[int, str] = {}
    for node in world.nodes.values():
        found = node.machine.state_hash()
        assert hashes.setdefault(node.machine.applied_index, found) == found


class Twins:
    """The machine and its model, told the same things."""

    def __init__(self) -> None:
        self.machine, self.model, self.index = Machine(), Model(), 0
        self.done: Counter[str] = Counter()

    def take(self, session: int, ack: int, op: Any) -> None:
        """Do what a node does with an operation of a client; the two must say the same."""
        try:
            if op[1] in READS:
                validate_read(op)
                read = self.machine.read(op)
                found = read[2] if read[0] == "ok" else None  # the model makes no messages
                hold(found == self.model.read(op[1], *op[2:]), f"reads something else: {read}")
                self.done["read"] += 1
                return
            validate_write(op)
        except InvalidRequest as error:
            hold("\n" not in str(error), "not one line")
            self.done["invalid"] += 1
            return
        # A session is opened first, and again whenever somebody has closed it.
        known = min(self.model.sessions, default=0)
        self._apply([session or known, ack, op] if known else [0, 0, [0, "open"]])

    def _apply(self, body: list[Any]) -> None:
        self.index += 1
        result = self.machine.apply(self.index, self.index * 10, body)
        expected = self.model.apply(self.index, self.index * 10, body)
        said = (*result[:2], *result[2:][: len(expected) - 2])  # the model makes no messages
        hold(said == expected, f"{body}: {result}, not {expected}")
        self.done[result[0]] += 1


def test_whatever_is_valid_the_machine_executes_as_the_model_does() -> None:
    mangler, twins = Mangler(SEED + 1, REQUEST), Twins()
    for number in counted("requests for machine and model", range(amount(4_000, 40_000))):
        try:
            request = decode_request(b"".join(mangler.input(number)[:1]))
        except WireError:
            continue
        if not isinstance(request, OperationsRequest):
            continue
        try:
            for op in request.ops:
                twins.take(request.session if number % 4 == 0 else 0, request.ack % 50, op)
        except Exception as error:
            raise mangler.found(number, f"{type(error).__name__}: {error}") from error
    done, machine = twins.done, twins.machine
    assert done["ok"] > 300
    assert done["read"] > 100
    assert done["invalid"] > 100
    assert Machine.restore(machine.snapshot()).state_hash() == machine.state_hash()


def test_every_argument_of_every_operation_replaced_by_every_odd_value() -> None:
    twins = Twins()
    for operation in OPERATIONS:
        for text in variants(orjson.dumps(operation)):
            try:
                op = orjson.loads(text)
            except orjson.JSONDecodeError:
                continue
            if type(op) is list and len(op) > 1 and type(op[1]) is str:
                if op[0] == operation[0]:
                    op[0] = twins.index + 1  # a serial is executed once
                try:
                    twins.take(0, max(0, twins.index - 100), op)
                except Exception as error:
                    raise AssertionError(f"{op}") from error
    assert twins.done["invalid"] > 1000
    assert twins.done["ok"] > 100


def test_the_rules_notice_when_they_are_broken(world: Recorded) -> None:
    watched = Watched(deepcopy(world.moments["follower"]))
    watched.check()
    watched.node.raft.commit_index -= 1
    with pytest.raises(AssertionError, match="commit index"):
        watched.check()
    watched = Watched(deepcopy(world.moments["follower"]))
    watched.model.keys["k1"] = ("another", 1, 0)
    with pytest.raises(AssertionError, match="keys differ"):
        agree(watched.node, watched.model)
    watched = Watched(deepcopy(world.moments["follower"]))
    watched.node.raft.term -= 1
    with pytest.raises(AssertionError, match="term"):
        watched.check()
