"""Snapshots for clients: the state as it was at one moment, pulled a piece at a time.

Any node that has applied what the client asks for freezes its tables, and encodes them a slice a
turn, so that no turn is long, and a piece ahead of what was pulled. The newest piece is kept: an
answer that was lost is given again. A snapshot belongs to no connection, so a client that
connects anew goes on. What is over, or was left, is forgotten with the tables that it had frozen.
"""

from __future__ import annotations

from typing import Final

from raftzmq import __version__, limits
from raftzmq.access import rights
from raftzmq.access.users import User
from raftzmq.errors import DiskFull, Forming, InvalidRequest, Overloaded, RaftzmqError
from raftzmq.node.replies import Replies
from raftzmq.node.state import BackupNote, NodeState
from raftzmq.storage.snapshot_lines import SnapshotLines, encode_header
from raftzmq.transport.operator_wire import Done
from raftzmq.transport.snapshot_wire import (
    NoteRequest,
    PullRequest,
    SnapshotBegun,
    SnapshotPiece,
    SnapshotRequest,
    SnapshotSays,
)

SLICE_BYTES: Final = 64 * 1024
"""How much of a snapshot is encoded in a turn: it takes some two milliseconds."""


class _Backup:
    """A snapshot that is being pulled. `piece` has its bytes from `offset` on, as they were given
    last; the piece after it is made a slice a turn, also before anybody asks for it."""

    def __init__(self, lines: SnapshotLines, begun: SnapshotBegun, now_ms: int) -> None:
        self.begun = begun
        self.used_ms = now_ms
        self.pull: tuple[bytes, PullRequest] | None = None
        """Who waits for a piece."""
        self.offset = 0
        self.piece = b""
        self._lines = lines
        self._next = bytearray()  # what is made after the piece

    @property
    def end(self) -> int:
        """Where the next piece begins."""
        return self.offset + len(self.piece)

    @property
    def encoded(self) -> bool:
        """Whether all of it is made, and so no table is frozen for it any more."""
        return self._lines.done

    @property
    def done(self) -> bool:
        """Whether nothing follows the piece."""
        return self._lines.done and not self._next

    @property
    def has_next(self) -> bool:
        """Whether the next piece is made."""
        return self._lines.done or len(self._next) >= limits.SNAPSHOT_PIECE_BYTES

    def has(self, offset: int) -> bool:
        """Whether a piece begins there that can be given: the newest, or the one after it."""
        return offset == self.offset or (offset == self.end and not self.done)

    def make(self) -> None:
        """Make a slice of the next piece."""
        self._next += self._lines.take(SLICE_BYTES)

    def advance(self) -> None:
        """Go on to the next piece, which is made."""
        self.offset = self.end
        self.piece = bytes(self._next[: limits.SNAPSHOT_PIECE_BYTES])
        del self._next[: limits.SNAPSHOT_PIECE_BYTES]


class Backups:
    """All of a node's. Those who ask for one may have to wait until the node has applied enough."""

    def __init__(self, node: NodeState, replies: Replies) -> None:
        self._node = node
        self._replies = replies
        self._asked: dict[tuple[bytes, int], tuple[SnapshotRequest, int]] = {}
        """By client and id: the request, and until when it waits."""
        self._backups: dict[int, _Backup] = {}
        self._of_requests: dict[tuple[bytes, int], int] = {}

    @property
    def next_deadline_ms(self) -> int | None:
        """When `turn` is needed at the latest, if nothing is asked or applied before."""
        if any(not one.has_next for one in self._backups.values()):
            return self._node.now_ms
        due = [until_ms for _, until_ms in self._asked.values()]
        due += [one.used_ms + limits.SNAPSHOT_UNUSED_MS for one in self._backups.values()]
        return min(due, default=None)

    def request(self, client: bytes, request: SnapshotSays, now_ms: int, user: User) -> None:
        """Take a user's request, if the user may ask for that."""
        try:
            match request:
                case SnapshotRequest():
                    rights.check_request(user, "snapshot")
                    self._begin(client, request, now_ms)
                case PullRequest():
                    rights.check_request(user, "snapshot_pull")
                    self._pull(client, request, now_ms)
                case NoteRequest():
                    rights.check_request(user, "backup_note")
                    self._note(client, request)
        except RaftzmqError as error:
            self._replies.refuse(client, [request.id], error)

    def _begin(self, client: bytes, request: SnapshotRequest, now_ms: int) -> None:
        node = self._node
        if node.unrecorded:
            raise DiskFull(node.unrecorded)
        if not node.cluster:
            raise Forming(f"{node.name} belongs to no cluster yet")
        if request.cluster != node.cluster:
            raise InvalidRequest(f"{node.name} is of another cluster")
        of_request = client, request.id
        backup = self._backups.get(self._of_requests.get(of_request, -1))
        if backup is not None:  # the answer was lost
            self._replies.reply(client, backup.begun)
            return
        under_way = sum(not one.encoded for one in self._backups.values()) + len(self._asked)
        if under_way >= limits.SNAPSHOTS and of_request not in self._asked:
            raise Overloaded(
                f"{under_way} snapshots of {node.name} are under way or were left lately, the most "
                "there may be: try again in half a minute, or ask another node"
            )
        self._asked[of_request] = request, now_ms + limits.SNAPSHOT_WAIT_MS

    def _pull(self, client: bytes, request: PullRequest, now_ms: int) -> None:
        backup = self._backups.get(request.snapshot)
        if backup is None:
            raise InvalidRequest(f"{self._node.name} holds no such snapshot any more: begin anew")
        if not backup.has(request.offset):
            raise InvalidRequest(f"{self._node.name} holds no piece from byte {request.offset} on")
        backup.used_ms = now_ms
        backup.pull = client, request

    def _note(self, client: bytes, request: NoteRequest) -> None:
        noted = BackupNote(request.revision, request.time_s)
        known = self._node.last_backup
        if known is None or noted.time_s > known.time_s:
            self._node.last_backup = noted
        self._replies.reply(client, Done(request.id, f"{self._node.name} has noted the backup"))

    def turn(self, now_ms: int) -> None:
        """Begin what can be begun, and answer who waits for a piece."""
        for of_request, (request, until_ms) in list(self._asked.items()):
            if self._has_applied(request.start):
                del self._asked[of_request]
                self._freeze(of_request, request, now_ms)
            elif now_ms >= until_ms:
                del self._asked[of_request]
                error = Overloaded(f"{self._node.name} lags behind: ask another node, or again")
                self._replies.refuse(of_request[0], [request.id], error)
        for number, backup in list(self._backups.items()):
            if now_ms - backup.used_ms >= limits.SNAPSHOT_UNUSED_MS:
                self._forget(number)
                continue
            if not backup.has_next:
                backup.make()
            if backup.pull is not None:
                self._answer(backup, *backup.pull)

    def _has_applied(self, revision: int) -> bool:
        """Whether the state has it, and the membership that belongs to the state is settled."""
        node = self._node
        settled = node.raft.membership_index <= node.raft.applied_index
        return settled and node.machine.applied_index > 0 and node.machine.revision >= revision

    def _freeze(self, of_request: tuple[bytes, int], request: SnapshotRequest, now_ms: int) -> None:
        node = self._node
        machine = node.machine
        number = node.random.getrandbits(52)
        begun = SnapshotBegun(
            request.id, number, node.name, node.cluster, machine.revision, len(machine.state.keys)
        )
        remarks = {"cluster": node.cluster, "time": request.time, "version": __version__}
        header = encode_header(node.raft.snapshot_meta_at(machine.applied_index), remarks)
        self._backups[number] = _Backup(SnapshotLines(header, machine.snapshot()), begun, now_ms)
        self._of_requests[of_request] = number
        self._replies.reply(of_request[0], begun)

    def _answer(self, backup: _Backup, client: bytes, request: PullRequest) -> None:
        if request.offset == backup.end and not backup.done:
            if not backup.has_next:
                return
            backup.advance()
        backup.pull = None
        self._replies.reply(
            client, SnapshotPiece(request.id, backup.offset, backup.piece, backup.done)
        )

    def _forget(self, number: int) -> None:
        del self._backups[number]
        self._of_requests = {of: at for of, at in self._of_requests.items() if at != number}

    def abort(self) -> None:
        """Forget all: the state is about to be another, and both might be more than there is
        memory."""
        for number in list(self._backups):
            self._forget(number)
