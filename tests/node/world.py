"""Several nodes in one process: virtual time, memory for disks, a network that can be cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from raftzmq.access.users import ANYBODY, User
from raftzmq.core.config import Config
from raftzmq.core.messages import Message
from raftzmq.machine import Program
from raftzmq.node import Node, NodeSettings
from raftzmq.node.programs import offered
from raftzmq.storage import MemoryFiles, MemoryStorage, StorageConfig
from raftzmq.transport.client_wire import (
    OperationsRequest,
    Reply,
    Request,
    Results,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    encode_results,
)
from raftzmq.transport.operator_wire import Done, MemberRequest, TransferRequest
from raftzmq.transport.peer_wire import (
    Hello,
    Welcome,
    decode_peer,
    encode_hello,
    encode_message,
    encode_welcome,
)
from raftzmq.versions import SPOKEN, Spoken

STEP_MS = 10
SECRET = "5ec2e75ec2e75ec2"
NONCE = "0" * 16
"""Of a hello that nobody waits for an answer to."""

CLIENT = b"client"


class World:
    """Nodes `raft-0` … with the real wire encoding between them; a step is 10 ms."""

    def __init__(
        self,
        size: int = 3,
        seed: int = 1,
        storage: StorageConfig | None = None,
        quota_bytes: int | None = None,
        spoken: Spoken = SPOKEN,
        program: Program | None = None,
    ) -> None:
        self.now_ms = 1_000
        self.random = Random(seed)
        self.config = storage or StorageConfig()
        self.quota_bytes = quota_bytes
        self.initial = {f"raft-{k}": f"raft-{k}.raft-service:6000" for k in range(size)}
        self.disks: dict[str, MemoryFiles] = {}
        self.stores: dict[str, MemoryStorage] = {}
        self.nodes: dict[str, Node] = {}
        self.cut: set[str] = set()
        self.network: deque[tuple[str, list[bytes]]] = deque()
        self.replies: dict[str, list[Reply]] = {}
        self.listeners: dict[bytes, Callable[[Reply], bool]] = {}
        """Clients that hear their answers themselves; False: they cannot be told now."""
        self.clocks: dict[str, Callable[[int], int]] = {}
        """Node -> what its clock shows at a true time, if that is another."""
        self.serial = 0
        self.spoken: dict[str, Spoken] = {}
        """What the build of a node speaks, if it is not this one."""
        self.programs: dict[str, Program | None] = {}
        """The state machine of users' own that a node is started with."""
        self.replicas: int | None = None
        """What the nodes are told of spec.replicas, if anything; freshly read in every step."""
        for name in self.initial:
            self.spoken[name] = spoken
            self.programs[name] = program
            self.start(name)

    # -- nodes --------------------------------------------------------------------------------

    def start(self, name: str) -> Node:
        """Start a node on its disk, or on a new one if it has none."""
        store = MemoryStorage(
            self.disks.setdefault(name, MemoryFiles()),
            config=self.config,
            incarnation=lambda: f"{self.random.getrandbits(64):016x}",
        )
        self.stores[name] = store
        program = self.programs.get(name)
        settings = NodeSettings(
            name=name,
            address=f"{name}.raft-service:6000",
            initial=self.initial,
            raft=Config(
                keep_entries=self.config.keep_entries,
                spoken=self.spoken.get(name, SPOKEN),
                program=offered(program),
            ),
            quota_bytes=self.quota_bytes,
            program=program,
        )
        node = Node(
            settings, store, store.open(name), Random(self.random.random()), self.clock(name)
        )
        self.nodes[name] = node
        self.replies.setdefault(name, [])
        return node

    def kill(self, name: str) -> None:
        """The power goes: what was not synced is lost, or torn."""
        del self.nodes[name]
        self.stores[name].close()
        self.disks[name].crash(self.random)

    def wipe(self, name: str) -> None:
        """Lose the node's disk."""
        del self.disks[name]

    # -- time ---------------------------------------------------------------------------------

    def clock(self, name: str) -> int:
        """What the clock of a node shows now."""
        return self.clocks.get(name, int)(self.now_ms)

    def step(self) -> None:
        self.now_ms += STEP_MS
        arrived, self.network = self.network, deque()
        for to, frames in arrived:
            node = self.nodes.get(to)
            if node is None or to in self.cut:
                continue
            received = decode_peer(frames)
            if isinstance(received, Hello | Welcome):
                if received.sender.name not in self.cut:
                    node.greeted(received, self.clock(to))
            elif received.message.sender.name not in self.cut:
                node.receive(received)
        for name, node in list(self.nodes.items()):
            if self.replicas is not None:
                node.scaling.read(self.replicas, self.clock(name))
            node.tick(self.clock(name))
            node.turn(wires(self, name))

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds * 1000 / STEP_MS)):
            self.step()

    def until(self, done: Callable[[], Any], seconds: float = 20.0) -> Any:
        """Step until `done()` is true and return its value; fail after so many virtual seconds."""
        for _ in range(int(seconds * 1000 / STEP_MS)):
            if value := done():
                return value
            self.step()
        states = {name: (n.role, n.joining.waiting) for name, n in self.nodes.items()}
        raise AssertionError(f"not within {seconds} s: {states}")

    # -- what they are ------------------------------------------------------------------------

    def leader(self) -> Node | None:
        """The leader that a majority of the living agrees on, if any."""
        leaders = [n for n in self.nodes.values() if n.role == "leader" and n.name not in self.cut]
        return max(leaders, key=lambda n: n.raft.term) if leaders else None

    def formed(self) -> Node:
        """Run until every initial member votes; return the leader."""

        def done() -> bool:
            leader = self.leader()
            return (
                leader is not None
                and not leader.raft.membership.forming
                and leader.membership_settled
                and all(n.raft.membership == leader.raft.membership for n in self.nodes.values())
            )

        self.until(done)
        leader = self.leader()
        assert leader is not None
        return leader

    # -- clients ------------------------------------------------------------------------------

    def ask(
        self, name: str, request: Request, client: bytes = CLIENT, user: User = ANYBODY
    ) -> None:
        frame, now_ms = encode_request(request), self.clock(name)
        self.nodes[name].request(client, decode_request(frame), len(frame), now_ms, user)

    def answer(self, name: str, request: Request, user: User = ANYBODY) -> Reply:
        """Ask and run until the answer."""
        self.replies[name].clear()
        self.ask(name, request, user=user)
        return self.until(lambda: self.replies[name] and self.replies[name].pop(0))  # type: ignore[no-any-return]

    def operate(
        self,
        name: str,
        *op: Any,
        session: int = 0,
        stale: bool = False,
        user: User = ANYBODY,
    ) -> list[Any]:
        """Run one operation; return `[id, code, index, body]`, code of an error included."""
        self.serial += 1
        request = OperationsRequest(
            session=session,
            ack=self.serial,
            stale=stale,
            ops=[[self.serial, *op]],
            cluster=self.nodes[name].cluster,
        )
        reply = self.answer(name, request, user)
        if isinstance(reply, Results):
            return list(reply.results[0])
        return [self.serial, getattr(reply, "code", None), 0, getattr(reply, "message", None)]

    def session(self, name: str) -> int:
        number = self.operate(name, "open", SECRET)[3]
        assert isinstance(number, int)
        return number

    def member(self, name: str, action: str, whom: str) -> Reply:
        return self.answer(name, MemberRequest(id=1, action=action, name=whom))

    def answer_transfer(self, to: str) -> Reply:
        """Have the leader hand over to `to`."""
        leader = self.leader()
        assert leader is not None
        if leader.name == to:
            return Done(1, f"{to} leads already")
        return self.answer(leader.name, TransferRequest(id=1, to=to))


class wires:  # noqa: N801 - made like a value
    """The Outbox of one node: everything is encoded and decoded as on a real wire."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name

    def _put(self, to: str, frames: list[bytes]) -> bool:
        if self._name not in self._world.cut:
            self._world.network.append((to, frames))
        return True

    def send(self, address: str | None, cluster: str, message: Message) -> bool:
        return address is not None and self._put(message.to.name, encode_message(message, cluster))

    def greet(self, name: str, address: str, greeting: Hello | Welcome) -> None:
        hello = isinstance(greeting, Hello)
        self._put(name, encode_hello(greeting) if hello else encode_welcome(greeting))  # type: ignore[arg-type]

    def reply(self, client: bytes, reply: Reply) -> bool:
        frames = encode_results(reply) if isinstance(reply, Results) else [encode_reply(reply)]
        listener = self._world.listeners.get(client)
        if listener is not None:
            return all(listener(decode_reply(frame)) for frame in frames)
        self._world.replies[self._name] += map(decode_reply, frames)
        return True
