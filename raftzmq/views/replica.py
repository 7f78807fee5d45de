"""A storage server without its sockets: primary, backup or idle, as the view says. Pure.

The driver calls `pong`, `receive`, `request` and `tick`, and then `take` for what is to be sent.
Only the primary of the newest view that this server has seen executes clients' operations. It
answers a write when its backup has executed the same. It answers a read when the backup has said,
after the request came, that it is still the backup. A backup that has gone on to a later view says
neither. So an old primary that does not know of its replacement never answers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from raftzmq.access.users import ANYBODY, User
from raftzmq.errors import DataError, Denied, InvalidRequest, WireError
from raftzmq.machine.values import body_size
from raftzmq.views.messages import (
    Ack,
    Chunk,
    ChunkAck,
    Entry,
    Forward,
    OldView,
    PeerMessage,
    Ping,
    Pong,
    Reply,
    Request,
)
from raftzmq.views.replication import AsBackup, ToBackup, old_view
from raftzmq.views.rights import check_operation
from raftzmq.views.store import READ, Store, validate
from raftzmq.views.view import BACKUP, IDLE, PRIMARY, Server, Timing, View

PENDING_MOST: Final = 4096
"""The most requests that wait for the backup; the next one is answered `overloaded`."""

PENDING_BYTES: Final = 64 * 1024 * 1024
"""The most bytes of them, and of the answers that wait with them."""

REIGNS_MOST: Final = 16


@dataclass(slots=True)
class Output:
    """What to send: pings to the view server, messages to servers, answers to clients."""

    pings: list[Ping]
    messages: list[tuple[Server, PeerMessage]]
    answers: list[tuple[bytes, Reply]]


class _Pending(NamedTuple):
    """An answer that is owed once the backup has everything up to `at` and has answered `round`."""

    at: int
    round: int
    client: bytes
    reply: Reply
    size: int


class Replica:
    """See the module. `ended` says why this process is of no more use, if that is so."""

    def __init__(self, me: Server, timing: Timing, now_ms: int) -> None:
        self.me = me
        self.view: View | None = None
        self.store: Store | None = None  # None: it does not have the state
        self.reason = "has not been heard yet"
        self.ended: str | None = None
        self.answered_ms: int | None = None  # when the view server was last heard
        self._timing = timing
        self._now_ms = now_ms
        self._reign = ""
        self._reigns_past: deque[str] = deque(maxlen=REIGNS_MOST)
        self._serial = 0
        self._serial_answered = 0
        self._ping_at_ms = now_ms
        self._to_backup: ToBackup | None = None
        self._as_backup: AsBackup | None = None
        self._former: Server | None = None  # the primary of the view before
        self._later_view = 0  # a later view exists, the backup says
        self._clock_ms = 0  # added to now_ms, so that time goes on where the last primary's ended
        self._pending: deque[_Pending] = deque()
        self._pending_bytes = 0
        self.out = Output([], [], [])

    # -- the current state ------------------------------------------------------------------------

    @property
    def role(self) -> str:
        return self.view.role_of(self.me) if self.view else IDLE

    @property
    def view_number(self) -> int:
        return self.view.number if self.view else 0

    @property
    def acts(self) -> bool:
        """Whether it is primary and, as far as it knows, may execute clients' operations."""
        return self.role == PRIMARY and self.store is not None and not self._later_view

    @property
    def is_synced(self) -> bool:
        """Whether it is primary and its backup has the whole state."""
        return self.acts and self._to_backup is not None and self._to_backup.synced

    @property
    def has_state(self) -> bool:
        """Whether it has the whole state of its view; an idle server has none."""
        backup = self._as_backup
        return self.store is not None or (backup is not None and backup.store is not None)

    @property
    def keys(self) -> int:
        store = self._as_backup.store if self._as_backup else self.store
        return len(store) if store else 0

    @property
    def next_deadline_ms(self) -> int:
        """When `tick` is due."""
        resend_ms = self._to_backup.next_deadline_ms if self._to_backup else None
        return self._ping_at_ms if resend_ms is None else min(resend_ms, self._ping_at_ms)

    def take(self) -> Output:
        """Return what to send now."""
        if self._to_backup is not None and self.acts:
            backup = self._to_backup.backup
            for message in self._to_backup.messages(self._now_ms):
                self.out.messages.append((backup, message))
        out = self.out
        self.out = Output([], [], [])
        return out

    # -- the view server --------------------------------------------------------------------------

    def tick(self, now_ms: int) -> None:
        """Let time pass."""
        self._now_ms = now_ms
        if now_ms >= self._ping_at_ms:
            self._ping()

    def _ping(self) -> None:
        self._ping_at_ms = self._now_ms + self._timing.ping_ms
        self._serial += 1
        self.out.pings.append(
            Ping(
                self._serial,
                self.me,
                self._reign,
                self._reigns_past[-1] if self._reigns_past else "",
                self.view,
                self.is_synced,
                self.keys,
            )
        )

    def pong(self, pong: Pong, now_ms: int) -> None:
        """Take the view server's answer, unless a later answer has come, or a later run of the view
        server has answered."""
        self._now_ms = now_ms
        if not self._serial_answered < pong.serial <= self._serial:
            return
        if pong.reign in self._reigns_past:
            return
        self._serial_answered = pong.serial
        self.answered_ms = now_ms
        if pong.superseded:
            self.ended = f"another process runs under the name {self.me.name}, and has its place"
            return
        if pong.reign != self._reign:
            self._reigns_past.append(self._reign)
            self._reign = pong.reign
        self.reason = pong.reason
        if pong.view is not None:
            self._see(pong.view)

    def _see(self, view: View) -> None:
        seen = self.view
        if seen is not None and view.service != seen.service:
            self.ended = (
                "the view server has begun a new service, of which this server's keys are no part"
            )
            return
        if seen is not None and (view.number < seen.number or view == seen):
            return  # of two with one number, nobody has acted in the first one: see recovery.py
        self._former = seen.primary if seen is not None else None
        self.view = view
        self._later_view = 0
        role = view.role_of(self.me)
        if role == PRIMARY:
            self._lead(view, first=seen is None)
        else:
            self._give_up(f"this server is {role} in view {view.number}")
            self.store = None
            self._to_backup = None
            self._as_backup = AsBackup(view, self.me) if role == BACKUP else None
        self._ping()  # a primary's acknowledgement, for one, should not wait

    def _lead(self, view: View, *, first: bool) -> None:
        if self._as_backup is not None:
            self.store = self._as_backup.store
            self._as_backup = None
            if self.store is not None:
                self._clock_ms = self.store.time_ms - self._now_ms
        elif first and view.number == 1:
            self.store = Store()
            self._clock_ms = -self._now_ms
        if self.store is None:
            self.reason = f"is to be primary of view {view.number}, and does not have the state"
            return
        self._to_backup = None
        if view.backup is not None:
            self._to_backup = ToBackup(view, self.me, self.store, self._timing.resend_ms)
            # Answers owed in the last view wait until the new backup has their operations. Its
            # acknowledgement also says that it is still the backup.
            self._pending = deque(pending._replace(round=0) for pending in self._pending)
        self._release()

    def stop(self) -> None:
        """Tell waiting clients that this server will not answer them."""
        self._give_up(f"{self.me.name} stops")

    # -- other servers ----------------------------------------------------------------------------

    def receive(self, message: PeerMessage, now_ms: int) -> None:
        """Take a message of another server. Raises WireError for one that no primary sends."""
        self._now_ms = now_ms
        view = self.view
        if view is None or message.service != view.service:
            return
        if message.view < view.number:
            # Only to the former primary: any other sender is a stranger.
            if isinstance(message, (Forward, Chunk)) and message.sender.is_same(self._former):
                self.out.messages.append((message.sender, old_view(view, self.me)))
            return
        if isinstance(message, OldView):
            self._told_of_later_view(message, view)
        elif message.view > view.number:
            return  # it will be sent again; by then this server should have seen the view
        elif isinstance(message, (Forward, Chunk)):
            self._follow(message, view)
        elif self._to_backup is not None and message.sender.is_same(view.backup):
            if isinstance(message, Ack):
                self._to_backup.acked(message, now_ms)
            else:
                self._chunk_acked(message)
            self._release()

    def _follow(self, message: Forward | Chunk, view: View) -> None:
        """As the backup, do what the primary says."""
        backup = self._as_backup
        if backup is None or not message.sender.is_same(view.primary):
            return
        if isinstance(message, Forward):
            answer = backup.forward(message)
        else:
            try:
                answer = backup.chunk(message)
            except DataError as error:
                raise WireError("records", str(error)) from None
        if answer is not None:
            self.out.messages.append((view.primary, answer))

    def _chunk_acked(self, message: ChunkAck) -> None:
        assert self._to_backup is not None
        was_synced = self._to_backup.synced
        self._to_backup.chunk_acked(message, self._now_ms)
        if self._to_backup.synced and not was_synced:
            self._ping()

    def _told_of_later_view(self, message: OldView, view: View) -> None:
        if self.role == PRIMARY and message.view > view.number:
            self._later_view = message.view
            self._give_up(f"there is a later view than {view.number}")
            self._ping()

    # -- clients ----------------------------------------------------------------------------------

    def request(
        self, client: bytes, request: Request, size: int, now_ms: int, user: User = ANYBODY
    ) -> None:
        """Take a user's operation, of `size` bytes. The answer comes with `take`, soon or once the
        backup has it."""
        self._now_ms = now_ms
        try:
            validate(request.op, request.session)
        except InvalidRequest as error:
            self._refuse(client, request, "invalid", str(error))
            return
        refusal = self._why_not(request)
        if refusal is not None:
            self._refuse(client, request, *refusal)
            return
        try:
            check_operation(user, request.op)
        except Denied as error:
            self._refuse(client, request, error.code, str(error))
            return
        name, *arguments = request.op[1:]
        store = self.store
        assert store is not None
        if name == READ:
            body = store.read(arguments[0])
            reply = Reply(request.id, "ok", store.index, body, self.view_number)
            wait_for = self._to_backup.ask() if self._to_backup else 0
            size += body_size(body)
            self._owe(_Pending(store.index, wait_for, client, reply, size))
            return
        entry = Entry(now_ms + self._clock_ms, request.session, request.op)
        code, index, body = store.apply(entry)
        if self._to_backup is not None:
            self._to_backup.add(entry, size)
        reply = Reply(request.id, code, index, body, self.view_number)
        self._owe(_Pending(store.index, 0, client, reply, size))

    def _why_not(self, request: Request) -> tuple[str, str] | None:
        """Why a request cannot be executed here, as code and reason; None if it can."""
        view = self.view
        if view is None or not self.acts:
            number = self._later_view or self.view_number
            return "not_primary", f"{self.me.name} does not serve as primary of view {number}"
        if request.service and request.service != view.service:
            return "not_primary", f"{self.me.name} belongs to another service"
        if request.view > view.number:
            return "not_primary", f"{self.me.name} knows view {view.number} only"
        if len(self._pending) >= PENDING_MOST or self._pending_bytes >= PENDING_BYTES:
            return "overloaded", f"{len(self._pending)} requests wait for the backup; retry later"
        return None

    def _refuse(self, client: bytes, request: Request, code: str, message: str) -> None:
        reply = Reply(request.id, code, 0, {"message": message}, self.view_number)
        self.out.answers.append((client, reply))

    def _owe(self, pending: _Pending) -> None:
        self._pending.append(pending)
        self._pending_bytes += pending.size
        if self._to_backup is None:
            self._release()

    def _release(self) -> None:
        """Answer what the backup has; if the view has no backup, everything."""
        backup = self._to_backup
        while self._pending:
            first = self._pending[0]
            if backup is not None and not (
                backup.synced
                and first.at <= backup.acked_index
                and first.round <= backup.acked_round
            ):
                return
            self._pop()
            self.out.answers.append((first.client, first.reply))

    def _give_up(self, why: str) -> None:
        """This server will not report what becomes of the waiting requests."""
        while self._pending:
            first = self._pop()
            body: Any = {"message": f"{why}: ask again, with the same serial"}
            reply = Reply(first.reply.id, "view_changed", 0, body, self.view_number)
            self.out.answers.append((first.client, reply))

    def _pop(self) -> _Pending:
        pending = self._pending.popleft()
        self._pending_bytes -= pending.size
        return pending
