"""The three parties as processes of a world: each runs the real pure code, by messages as bytes.

A party can crash and come back as another process, stand still for a while, and be cut off.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

from raftzmq.errors import OutcomeUnknown, RaftzmqError
from raftzmq.views.messages import (
    Ack,
    Chunk,
    ChunkAck,
    Forward,
    Message,
    OldView,
    Ping,
    Pong,
    Request,
    ViewReply,
    ViewRequest,
)
from raftzmq.views.replica import Replica
from raftzmq.views.service import ViewService
from raftzmq.views.session import VIEW_SERVER, Call, ClientSession, call
from raftzmq.views.view import Server
from raftzmq.views.wire import decode, encode
from tests.sim.history import FAILED, OK, UNKNOWN, Op

if TYPE_CHECKING:
    from tests.views.sim.world import World

VIEWS: Final = "views"
TIMEOUTS_S: Final = (0.3, 1.0, 2.0, 5.0)
WEIGHTS: Final = {"put": 30, "get": 30, "append": 25, "delete": 6}
LIST: Final = "list"
"""Keys that begin so are only appended to."""


class Party:
    """A process: when it is up, messages reach it; when it stands still, they wait."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.up = False
        self.boot = 0
        self._paused: list[tuple[str, bytes]] | None = None
        self._due_ms: int | None = None

    @property
    def is_paused(self) -> bool:
        return self._paused is not None

    def start(self) -> None:
        self.up, self._paused, self._due_ms = True, None, None
        self.boot += 1
        self.begin()
        self.turn()

    def start_if_down(self) -> None:
        if not self.up:
            self.start()

    def crash(self) -> None:
        self.up, self._paused = False, None

    def pause(self, for_ms: int) -> None:
        """Stand still; then everything that came meanwhile comes at once."""
        boot, self._paused = self.boot, []

        def resume() -> None:
            if self.up and self.boot == boot and self._paused is not None:
                waiting, self._paused = self._paused, None
                for sender, frame in waiting:
                    self.take(sender, decode(frame), len(frame))
                self.turn()

        self.world.at(for_ms, resume)

    def deliver(self, sender: str, _to: str, frames: list[bytes]) -> None:
        if self._paused is not None:
            self._paused.append((sender, frames[0]))
        elif self.up:
            self.take(sender, decode(frames[0]), len(frames[0]))
            self.turn()

    def send(self, to: str, message: Message) -> None:
        world = self.world
        world.network.send(self.name, to, [encode(message)], world.parties[to].deliver)

    def turn(self) -> None:
        """Do what is due, and have the next turn when more is."""
        self.world.steps += 1
        self.work()
        due_ms = self.due_ms()
        if due_ms is None or not self.up:
            return
        due_ms = max(due_ms, self.world.now_ms + 1)
        if self._due_ms is None or due_ms < self._due_ms or self._due_ms <= self.world.now_ms:
            self._due_ms = due_ms
            boot = self.boot

            def wake() -> None:
                if self.boot == boot and self._due_ms == self.world.now_ms:
                    self._due_ms = None
                    if self.up and self._paused is None:
                        self.turn()
                    elif self.up:
                        self._due_ms = None

            self.world.at(due_ms - self.world.now_ms, wake)

    # -- what each kind does ----------------------------------------------------------------------

    def begin(self) -> None:
        raise NotImplementedError

    def take(self, sender: str, message: Message, size: int) -> None:
        raise NotImplementedError

    def work(self) -> None:
        raise NotImplementedError

    def due_ms(self) -> int | None:
        raise NotImplementedError


class SimViewServer(Party):
    """The view server."""

    service: ViewService

    def begin(self) -> None:
        world = self.world
        self.service = ViewService(
            world.random_id(), world.random_id(), world.options.timing, world.now_ms
        )

    def take(self, sender: str, message: Message, size: int) -> None:
        service = self.service
        if isinstance(message, Ping):
            pong = service.ping(message, self.world.now_ms)
            self.world.rules.view_server(service)
            if pong is not None:
                self.send(sender, pong)
        elif isinstance(message, ViewRequest):
            self.send(sender, ViewReply(message.id, service.view, service.reason))

    def work(self) -> None:
        self.service.tick(self.world.now_ms)
        self.world.rules.view_server(self.service)

    def due_ms(self) -> int:
        return self.service.next_deadline_ms


class SimStore(Party):
    """A storage server. A new process of it has nothing of what the last one had."""

    replica: Replica

    def begin(self) -> None:
        world = self.world
        me = Server(self.name, world.random_id(), f"{self.name}:7001")
        self.replica = Replica(me, world.options.timing, world.now_ms)
        self._looked = 0

    def take(self, sender: str, message: Message, size: int) -> None:
        world, replica = self.world, self.replica
        match message:
            case Pong():
                replica.pong(message, world.now_ms)
            case Request():
                world.rules.arrived(self, sender, message)
                replica.request(sender.encode(), message, size, world.now_ms)
            case Forward() | Ack() | Chunk() | ChunkAck() | OldView():
                replica.receive(message, world.now_ms)
        self._look()

    def _look(self) -> None:
        """Let the rules see what has been decided: it leaves later, when much may have changed."""
        world, answers = self.world, self.replica.out.answers
        for client, reply in answers[self._looked :]:
            world.rules.answers(self, client.decode(), reply)
        self._looked = len(answers)
        world.rules.store(self)

    def work(self) -> None:
        world, replica = self.world, self.replica
        replica.tick(world.now_ms)
        self._look()
        out, self._looked = replica.take(), 0
        for ping in out.pings:
            self.send(VIEWS, ping)
        for to, message in out.messages:
            self.send(to.name, message)
        for client, reply in out.answers:
            self.send(client.decode(), reply)
        world.rules.store(self)
        if replica.ended is not None:
            world.story.tell(self.name, f"stops: {replica.ended}")
            world.counts["stopped as of no use"] += 1
            self.crash()
            world.at(500, self.start_if_down)

    def due_ms(self) -> int:
        return self.replica.next_deadline_ms


class SimClient(Party):
    """A client process that does one thing after the other, and writes down a history."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.random = Random(f"{world.seed} {name}")
        self._op: tuple[Call, Op] | None = None
        self._values = 0

    @property
    def waits(self) -> bool:
        return self._op is not None

    def begin(self) -> None:
        secrets = Random(f"secrets of {self.world.seed} {self.name}")
        self.session = ClientSession(Random(self.random.getrandbits(64)), secrets)
        self._later()

    def _later(self) -> None:
        think_ms = int(self.random.expovariate(1 / self.world.options.think_ms)) + 1
        self.world.at(think_ms, self._next)

    def _next(self) -> None:
        if self.world.is_ending or self._op is not None:
            return
        name = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        keys = [key for key in self.world.history.keys if key.startswith(LIST)]
        if name != "append" and self.random.random() < 0.7:
            keys = [key for key in self.world.history.keys if key not in keys]
        key = self.random.choice(keys)
        if key.startswith(LIST) and name in ("put", "delete"):
            name = "get"
        self.ask(name, key, self.random.choice(TIMEOUTS_S))

    def ask(self, name: str, key: str, timeout_s: float) -> None:
        """Do one operation; its value, if it has one, is written nowhere else."""
        world = self.world
        self._values += 1
        value = f"{self.name}/{self._values};"
        arguments: list[Any] = [key, value] if name in ("put", "append") else [key]
        op = Op(self.name, name, arguments, world.moment())
        world.history.ops.append(op)
        asked = call(name, arguments, world.now_ms, timeout_s)
        self._op = (asked, op)
        self.session.submit(asked, world.now_ms)
        self.turn()

    def take(self, sender: str, message: Message, size: int) -> None:
        self.session.received(message, self.world.now_ms)

    def work(self) -> None:
        world, session = self.world, self.session
        session.tick(world.now_ms)
        for to, message in session.outgoing(world.now_ms):
            self.send(VIEWS if to == VIEW_SERVER else to.partition(":")[0], message)
        for done in session.take_finished():
            self._finished(done)

    def _finished(self, done: Call) -> None:
        assert self._op is not None
        asked, op = self._op
        assert done is asked
        self._op = None
        world = self.world
        op.told = world.moment()
        op.session, op.serial = asked.session, asked.serial
        if asked.answer is not None:
            op.outcome, op.index, op.body = OK, asked.answer.index, asked.answer.body
        else:
            assert isinstance(asked.error, RaftzmqError)
            unknown = isinstance(asked.error, OutcomeUnknown)
            op.outcome = UNKNOWN if unknown else FAILED
            op.error = type(asked.error).__name__
        world.counts[f"op {op.outcome}"] += 1
        self._later()

    def due_ms(self) -> int | None:
        return self.session.next_deadline_ms()
