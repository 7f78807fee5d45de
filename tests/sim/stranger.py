"""A stranger who reaches every port, has no key, and forges whatever it could have seen.

It reads the status of nodes, so it knows the cluster, who is a member, terms and indices. It does
not see what goes between others: no nonce, no number of a session. In the exact name of a member it
says only what the rules make harmless; what they cannot is in core/DESIGN.md.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from raftzmq import limits
from raftzmq.core.entry import COMMAND
from raftzmq.core.identity import NodeId
from raftzmq.core.messages import (
    AppendAccepted,
    AppendEntries,
    AppendRejected,
    Heartbeat,
    HeartbeatReply,
    LogRegressed,
    Message,
    PreVoteReply,
    PreVoteRequest,
    SnapshotChunk,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from raftzmq.core.raft import Raft
from raftzmq.lines import encode_entry
from raftzmq.transport.client_wire import OperationsRequest, encode_request
from raftzmq.transport.peer_wire import (
    Hello,
    Neighbour,
    Welcome,
    encode_hello,
    encode_message,
    encode_welcome,
)
from raftzmq.versions import SPOKEN
from tests.machine.entries import commands_of
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.sim.process import SimProcess, WatchedNode
    from tests.sim.world import World

SHARE: Final = 0.3
"""Of the worlds, those that have a stranger."""

PAUSE_MS: Final = 400
"""The mean time between two bursts of forged messages."""

FORGED: Final = "bad0bad0bad0bad0"
"""The incarnation of everybody that it invents, members' names included."""

NAME: Final = "raft-77"
ADDRESS: Final = "stranger:6000"
FOREIGN: Final = "f" * 16
"""The cluster that it says it belongs to."""

APPENDED: Final = "appended by a stranger"
PUT: Final = "put by a stranger"

LAST_TERM: Final = 2**50
"""No elections, and none of the stranger's jumps, reach it."""


def is_stranger(node: NodeId | None) -> bool:
    return node is not None and node.incarnation == FORGED


class Stranger:
    """Forges messages until the faults stop, and knows what must not come of them."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self.present = random.random() < SHARE and not world.options.alone
        self._sent = 0
        self._end_ms = 0

    def begin(self, end_ms: int) -> None:
        if self.present:
            self._end_ms = end_ms
            self._world.at(PAUSE_MS, self._burst)

    def _burst(self) -> None:
        world, random = self._world, self._random
        if world.now_ms >= self._end_ms:
            return
        up = [process for process in world.processes.values() if process.node is not None]
        for _ in range(random.randrange(1, 8) if up else 0):
            victim, seen = random.choice(up), random.choice(up)
            if victim.node is not None and seen.node is not None:
                random.choice([self._say, self._say, self._greet, self._write])(
                    victim, victim.node, seen.node
                )
        world.at(int(random.expovariate(1 / PAUSE_MS)) + 1, self._burst)

    # -- what it says -----------------------------------------------------------------------------

    def _say(self, victim: SimProcess, node: WatchedNode, seen: WatchedNode) -> None:
        if not seen.cluster:
            return
        raft, random = node.raft, self._random
        names = [NAME, *(member.id.name for member in seen.raft.membership)]
        if random.random() < 0.8 or raft.leader in (None, raft.id):
            sender = NodeId(random.choice(names), FORGED)
            message = random.choice(self._as_nobody(raft, sender))
        else:
            assert raft.leader is not None
            message = random.choice(self._as_leader(raft, raft.leader))
        self._send(victim, encode_message(message, seen.cluster), type(message).__name__)

    def _as_nobody(self, raft: Raft, sender: NodeId) -> list[Message]:
        """Everything that there is, from somebody who is no member."""
        jump = self._random.choice([0, 1, limits.TERM_JUMP, limits.TERM_MAX - 1 - raft.term])
        who = (sender, raft.id, raft.term + jump)
        term, last, last_term = who[2], raft.log.last_index, raft.log.last_term
        prev = self._random.choice([last, max(raft.log.base_index, last - 2)])
        prev_term = raft.log.term_at(prev) or 0
        operation = [1, 0, [1, "put", "k0", APPENDED]]
        entry = encode_entry(prev + 1, max(term, 1), 0, COMMAND, operation)
        return [
            PreVoteRequest(*who, term + 1, last + 9, term),
            VoteRequest(*who, last + 9, term, False),
            VoteRequest(*who, last + 9, term, True),
            AppendEntries(*who, prev, prev_term, prev + 1, 0, (entry,)),
            AppendEntries(*who, last + 5, last_term, last, 0, ()),
            Heartbeat(*who, last, 0),
            SnapshotChunk(*who, last + 9, term, 0, b"everything", True),
            TimeoutNow(*who),
            LogRegressed(*who, last + 9, self._random.getrandbits(53)),
            PreVoteReply(*who, raft.term + 1, True),
            VoteReply(*who, True),
            AppendAccepted(*who, last, 0),
            AppendRejected(*who, last, 0, 0, 0, 0, 7),
            HeartbeatReply(*who, 0),
        ]

    def _as_leader(self, raft: Raft, leader: NodeId) -> list[Message]:
        """What the leader itself might say, and what must be asked about, or is out of bounds."""
        who = (leader, raft.id, raft.term)
        beyond = raft.log.last_index + 10**6
        jump = self._random.randrange(1000, limits.TERM_JUMP)
        return [
            LogRegressed(*who, beyond, 0),
            LogRegressed(*who, beyond, self._random.getrandbits(53)),
            Heartbeat(*who, beyond, 0),
            VoteRequest(leader, raft.id, limits.TERM_MAX, 0, 0, True),
            Heartbeat(leader, raft.id, limits.TERM_MAX, 0, 0),
            VoteRequest(leader, raft.id, raft.term + jump, 0, 0, True),
        ]

    def _greet(self, victim: SimProcess, node: WatchedNode, seen: WatchedNode) -> None:
        random, nobody = self._random, NodeId(NAME, FORGED)
        nonce = f"{random.getrandbits(64):016x}"
        members = [member.id for member in seen.raft.membership] or [nobody]
        if random.random() < 0.5:
            name = random.choice(members).name
            sender = random.choice([nobody, NodeId(name, FORGED), random.choice(members)])
            hello = Hello(random.choice(["", seen.cluster]), sender, ADDRESS, nonce, SPOKEN)
            self._send(victim, encode_hello(hello), "hello")
            return
        welcome = Welcome(
            random.choice([FOREIGN, seen.cluster]),
            random.choice([nobody, *members]),
            ADDRESS,
            node.raft.id,
            nonce,
            limits.TERM_MAX - 1,
            random.choice([None, NAME]),
            (Neighbour(nobody, ADDRESS),),
            "",
        )
        self._send(victim, encode_welcome(welcome), "welcome")

    def _write(self, victim: SimProcess, node: WatchedNode, seen: WatchedNode) -> None:
        """Use another client's session: the small numbers, in case they count up."""
        random = self._random
        known = seen.machine.revision
        for _ in range(8):
            self._sent += 1
            session = random.choice([random.randrange(1, min(known, 60) + 2), known, known + 1])
            serial = random.randrange(1, limits.SESSION_OUTSTANDING)
            op = [serial, "put", "k0", PUT]
            frame = encode_request(OperationsRequest(session, 0, False, [op], seen.cluster))
            victim.client_message(f"stranger-{self._sent}", victim.name, [frame])
        self._world.counts["forged write"] += 8

    def _send(self, victim: SimProcess, frames: list[bytes], what: str) -> None:
        self._world.counts[f"forged {what}"] += 1
        victim.peer_message("stranger", victim.name, frames)

    # -- what must not come of it -----------------------------------------------------------------

    def check(self, process: SimProcess) -> None:
        """After each turn of a node: it believes nothing of what only a stranger says."""
        node = process.node
        if node is None or not self.present:
            return
        raft, name = node.raft, process.name
        if raft.term > LAST_TERM:
            raise Violation(f"{name} is in term {raft.term}, which no elections reach")
        if is_stranger(raft.leader) or is_stranger(raft.vote):
            raise Violation(f"{name} follows or elects a stranger: {raft.leader}, {raft.vote}")
        if node.cluster == FOREIGN:
            raise Violation(f"{name} has joined the cluster of a stranger")
        if any(map(is_stranger, raft.vouched)) or ADDRESS in node.addresses.values():
            raise Violation(f"{name} believes what a stranger said of the members")
        if raft.log.entries and APPENDED.encode() in raft.log.entries[-1].line:
            raise Violation(f"{name} has appended an entry of a stranger")

    def judge(self) -> None:
        """No write that the stranger sent in another's session was done."""
        rules = self._world.rules
        for entry in rules.entries:
            if PUT.encode() in entry.line:
                results = zip(commands_of(entry), rules.results[entry.index], strict=True)
                if any(PUT in op and result[0] == "ok" for (_, _, op), result in results):
                    raise Violation(f"entry {entry.index} did a stranger's write in some session")
