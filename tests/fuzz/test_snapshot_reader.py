"""Snapshots with wrong bytes, from the disk or from a leader: refused, and nothing is touched."""

from __future__ import annotations

from copy import deepcopy
from random import Random

import pytest

from raftzmq.core.messages import AppendAccepted, Message, SnapshotChunk, SnapshotReply
from raftzmq.errors import CorruptFile
from raftzmq.node import Node
from raftzmq.storage import MemoryFiles, snapshot_lines
from raftzmq.storage.snapshot_files import read_records, snapshot_path, verify_snapshot
from raftzmq.transport.client_wire import Reply
from raftzmq.transport.peer_wire import Envelope, Hello, Welcome, decode_peer, encode_message
from tests.amounts import amount
from tests.fuzz.decoders import hold
from tests.fuzz.mangler import CHANGES, Found
from tests.fuzz.test_log_reader import bits, flipped, place
from tests.fuzz.worlds import Recorded, disk_of, essence, lived
from tests.progress import counted
from tests.storage.helpers import SNAPSHOTS

SEED = 21
CHUNK = 200


@pytest.fixture(scope="module")
def world() -> Recorded:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot_lines, "LINE_RECORDS", 1)
        return lived()


@pytest.fixture(scope="module")
def last_chunk(world: Recorded) -> SnapshotChunk:
    """What the leader sent to the node that lagged: a snapshot in one piece."""
    name = world.moments["lagging"].name
    messages = [decode_peer(parts) for parts in world.said[name, "snapshot_chunk"]]
    envelope = messages[-1]
    assert isinstance(envelope, Envelope)
    chunk = envelope.message
    assert isinstance(chunk, SnapshotChunk)
    assert (chunk.offset, chunk.done) == (0, True)
    assert chunk.data.count(b"\n") > 8
    return chunk


class Leader:
    """Sends a snapshot as a leader does, piece by piece, wherever the receiver says it is.

    Also the receiver's outbox. `spoil` may replace the chunks on their way by any others.
    """

    def __init__(self, node: Node, whole: SnapshotChunk, size: int = CHUNK) -> None:
        self.node = node
        self.whole = whole
        self.size = size
        self.offset: int | None = 0
        self.restarts = 0

    def send(self, address: str | None, cluster: str, message: Message) -> bool:
        match message:
            case SnapshotReply(next_offset=offset):
                self.restarts += offset == 0
                self.offset = offset
            case AppendAccepted():
                self.offset = None
        return True

    def greet(self, name: str, address: str, greeting: Hello | Welcome) -> None:
        pass

    def reply(self, client: bytes, reply: Reply) -> bool:
        return True

    def chunk(self, data: bytes, offset: int) -> SnapshotChunk:
        part, whole = data[offset : offset + self.size], self.whole
        return SnapshotChunk(
            whole.sender,
            whole.to,
            whole.term,
            whole.snapshot_index,
            whole.snapshot_term,
            offset,
            part,
            offset + len(part) >= len(data),
        )

    def hand_over(self, chunk: SnapshotChunk) -> None:
        envelope = decode_peer(encode_message(chunk, self.node.cluster))
        assert isinstance(envelope, Envelope)
        self.node.receive(envelope)
        self.node.turn(self)

    def transfer(self, data: bytes) -> bool:
        """Send it all once, from the start; return whether the receiver has installed it."""
        self.offset, self.restarts = 0, 0
        for offset in range(0, max(1, len(data)), self.size):
            self.hand_over(self.chunk(data, offset))
            if self.restarts or self.offset is None:
                break
        return self.offset is None

    def insist(self, data: bytes) -> bool:
        """Send it from wherever the receiver says that it is; at most three times over."""
        self.offset = 0
        for _ in range(3 * (len(data) // self.size + 2)):
            if self.offset is None:
                return True
            self.hand_over(self.chunk(data, self.offset))
        return False


class Untouched:
    """A node that is waiting for a snapshot, and what must not change until a good one comes."""

    def __init__(self, node: Node, whole: SnapshotChunk, size: int = CHUNK) -> None:
        self.node = deepcopy(node)
        self.leader = Leader(self.node, whole, size)
        self.good = whole.data
        self.leader.transfer(b"nothing of the kind\n")  # from now on it knows its leader
        self.before = essence(self.node)
        self.hash = self.node.machine.state_hash()
        self.disk = self.files()

    def files(self) -> object:
        unfinished = (SNAPSHOTS / "incoming-", SNAPSHOTS / "writing-")
        disk = disk_of(self.node).items()
        return {p: data for p, data in disk if not str(p).startswith(tuple(map(str, unfinished)))}

    def check(self) -> None:
        hold(essence(self.node)[:13] == self.before[:13], "the node has changed")
        hold(self.node.machine.state_hash() == self.hash, "the state has changed")
        hold(self.files() == self.disk, "the disk has changed")

    def takes_the_good_one(self, state_hash: str) -> None:
        """And has the right state then."""
        hold(self.leader.insist(self.good), "a good snapshot was not taken")
        index = self.leader.whole.snapshot_index
        hold(self.node.machine.applied_index == index, "the machine is elsewhere")
        hold(self.node.machine.state_hash() == state_hash, "another state")
        found = disk_of(self.node)[snapshot_path(SNAPSHOTS, index, self.leader.whole.snapshot_term)]
        hold(found == self.good, "another file")


@pytest.fixture(scope="module")
def state_hash(world: Recorded, last_chunk: SnapshotChunk) -> str:
    """What the state is at the snapshot."""
    waiting = Untouched(world.moments["lagging"], last_chunk)
    assert waiting.leader.transfer(last_chunk.data)
    return waiting.node.machine.state_hash()


def test_a_good_snapshot_arrives_in_pieces(
    world: Recorded, last_chunk: SnapshotChunk, state_hash: str
) -> None:
    waiting = Untouched(world.moments["lagging"], last_chunk)
    assert waiting.node.machine.state_hash() != state_hash
    waiting.check()
    waiting.takes_the_good_one(state_hash)
    with pytest.raises(AssertionError, match="the node has changed"):
        waiting.check()


def test_every_bit_of_a_snapshot_file(last_chunk: SnapshotChunk) -> None:
    good = last_chunk.data
    index, term = last_chunk.snapshot_index, last_chunk.snapshot_term
    files, path = MemoryFiles(), snapshot_path(SNAPSHOTS, index, term)
    files.make_dirs(SNAPSHOTS)
    for bit in counted("bits of a snapshot file", bits(Random(SEED), good, amount(3_000, 1 << 30))):
        files.put(path, flipped(good, bit))
        with pytest.raises(CorruptFile) as caught:
            verify_snapshot(files, path, index, term)
        found = caught.value
        assert (found.path, found.line, found.byte) == (path, *place(good, bit // 8)), f"bit {bit}"
    files.put(path, good)
    assert verify_snapshot(files, path, index, term)[0].index == index


def test_every_bit_of_a_snapshot_from_a_leader(
    world: Recorded, last_chunk: SnapshotChunk, state_hash: str
) -> None:
    waiting = Untouched(world.moments["lagging"], last_chunk, size=1 << 20)
    dropped = waiting.node.dropped["damaged_snapshot"]
    tried = 0
    every = bits(Random(SEED), last_chunk.data, amount(1_000, 1 << 30))
    for bit in counted("bits of a snapshot from a leader", every):
        assert not waiting.leader.transfer(flipped(last_chunk.data, bit)), f"bit {bit} was taken"
        assert waiting.leader.restarts == 1, f"after bit {bit} it was not asked for again"
        hold(essence(waiting.node) == waiting.before, f"bit {bit} changed the node")
        tried += 1
    waiting.check()
    assert waiting.node.dropped["damaged_snapshot"] == dropped + tried
    waiting.takes_the_good_one(state_hash)


def test_mangled_snapshots_from_a_leader(
    world: Recorded, last_chunk: SnapshotChunk, state_hash: str
) -> None:
    waiting, good = Untouched(world.moments["lagging"], last_chunk), last_chunk.data
    for number in counted("mangled snapshots", range(amount(500, 4_000))):
        random = Random(SEED << 40 | number)
        data = random.choice(CHANGES)(random, good, good)
        try:
            if data != good:
                hold(not waiting.leader.transfer(data), "a mangled snapshot was taken")
                waiting.check()
            if number % 50 == 49:
                waiting.takes_the_good_one(state_hash)
                waiting = Untouched(world.moments["lagging"], last_chunk)
        except Exception as error:
            raise Found(SEED, number, (data,), f"{type(error).__name__}: {error}") from error


def disturbed(random: Random, chunks: list[SnapshotChunk]) -> list[SnapshotChunk]:
    """The chunks of a good snapshot, some lost, repeated, out of order, cut or misplaced."""
    changed = list(chunks)
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(changed))
        chunk = changed[at]
        offset = random.choice((0, chunk.offset ^ 1, chunk.offset ^ 8, CHUNK, 2**53 - 1))
        data = random.choice(CHANGES)(random, chunk.data, b"")
        fields = (chunk.sender, chunk.to, chunk.term, chunk.snapshot_index, chunk.snapshot_term)
        match random.randrange(7):
            case 0 if len(changed) > 1:
                del changed[at]
            case 1:
                changed.insert(random.randint(0, len(changed)), chunk)
            case 2:
                random.shuffle(changed)
            case 3:
                changed[at] = SnapshotChunk(*fields, offset, chunk.data, chunk.done)
            case 4:
                changed[at] = SnapshotChunk(*fields, chunk.offset, chunk.data, not chunk.done)
            case 5:
                wrong = (*fields[:3], fields[3] + random.choice((-1, 1, 7)), fields[4])
                changed[at] = SnapshotChunk(*wrong, chunk.offset, chunk.data, chunk.done)
            case _:
                changed[at] = SnapshotChunk(*fields, chunk.offset, data, chunk.done)
    return changed


def test_chunks_that_are_lost_doubled_misplaced_or_mangled(
    world: Recorded, last_chunk: SnapshotChunk, state_hash: str
) -> None:
    lagging = world.moments["lagging"]
    pieces = [
        Leader(lagging, last_chunk).chunk(last_chunk.data, offset)
        for offset in range(0, len(last_chunk.data), CHUNK)
    ]
    installed = 0
    for number in counted("disturbed snapshots", range(amount(300, 3_000))):
        chunks = disturbed(Random(SEED << 40 | number), pieces)
        waiting = Untouched(lagging, last_chunk)
        try:
            for chunk in chunks:
                waiting.leader.hand_over(chunk)
            if waiting.node.machine.applied_index != lagging.machine.applied_index:
                installed += 1  # what was wrong did not matter: it is the right one then
                hold(waiting.node.machine.state_hash() == state_hash, "another state")
                continue
            waiting.check()
            waiting.takes_the_good_one(state_hash)
        except Exception as error:
            parts = tuple(b"".join(encode_message(chunk, "c")) for chunk in chunks)
            raise Found(SEED, number, parts, f"{type(error).__name__}: {error}") from error
    assert installed > 0


def test_damage_that_comes_while_a_snapshot_is_read_is_found(last_chunk: SnapshotChunk) -> None:
    """After the check at the start, every line is checked once more on the way to the machine."""
    good = last_chunk.data
    index, term = last_chunk.snapshot_index, last_chunk.snapshot_term
    files, path = MemoryFiles(), snapshot_path(SNAPSHOTS, index, term)
    files.make_dirs(SNAPSHOTS)
    every = bits(Random(SEED), good, amount(1_000, 1 << 30))
    for bit in counted("bits of a snapshot that is being read", every):
        files.put(path, flipped(good, bit))
        with pytest.raises(CorruptFile) as caught:
            list(read_records(files, path))
        assert (caught.value.line, caught.value.byte) == place(good, bit // 8)
