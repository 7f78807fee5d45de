"""Watches: who is told of which changes, when, and from where (PROTOCOL.md, "Watches").

Those who watch the same are a group. Its members are told of new changes together, by messages
that are encoded once. Who is behind, because it asked for the past or does not read, is no member:
it is told from the history by and by, until it has caught up or what it lacks is forgotten.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final

from raftzmq import limits
from raftzmq.access.rights import check_request
from raftzmq.access.users import ANYBODY, User, Users
from raftzmq.core.role import Role
from raftzmq.errors import Denied
from raftzmq.node.interfaces import Outbox
from raftzmq.node.state import NodeState
from raftzmq.node.watches.groups import Group, Groups, Subject, Watcher
from raftzmq.node.watches.history import History, revision_of
from raftzmq.node.watches.messages import Batch, batches
from raftzmq.transport.watch_wire import Events, UnwatchRequest, Watching, WatchLost, WatchRequest

MEMBERS_PER_MS: Final = 10
"""A group is told of nothing further for a millisecond for each so many members: a message costs
the loop 10 to 20 microseconds, so however fast the keys change, a group takes a tenth or two of
its time. What came meanwhile goes together, and costs little more than one event."""

PROGRESS_AT_ONCE: Final = 500
"""Most members of groups to which nothing happened that are told so in one turn."""

SCAN_CHANGES: Final = 2_000
"""How much of the history is searched at a time for one who is behind."""

SCAN_TURN_CHANGES: Final = 20_000
"""And for all of them, in one turn."""

RETRY_MS: Final = 10
RETRY_MOST_MS: Final = 500
"""Who cannot be told is tried again after so long, then ever less often."""


class Watches:
    """All watches at this node. Public attributes are for reading."""

    def __init__(self, node: NodeState, now_ms: int) -> None:
        self._node = node
        self._now_ms = now_ms
        self._closed = False
        self.groups = Groups()
        self._watchers: dict[bytes, dict[int, Watcher]] = {}
        self._confirmed: OrderedDict[Watcher, int] = OrderedDict()  # when, the oldest first
        self._said: OrderedDict[Group, None] = OrderedDict()  # who heard least lately comes first
        self._begun: list[Group] = []  # those with something pending
        self._lagging: dict[Watcher, None] = {}
        self._lag_due_ms = 0
        self._answers: list[tuple[bytes, Watching | WatchLost]] = []
        self.history = History(node.machine.revision, node.settings.history_bytes)
        self.events_sent = 0
        self.lost: Counter[str] = Counter()
        """Watches that were refused or ended from here, by code."""

    @property
    def count(self) -> int:
        return len(self._confirmed)

    @property
    def lagging(self) -> int:
        """How many of them are behind: catching up, or not reading."""
        return len(self._lagging)

    @property
    def next_deadline_ms(self) -> int | None:
        """When `turn` is needed at the latest, if nothing happens before."""
        if not self._confirmed:
            return None
        due = [next(iter(self._confirmed.values())) + limits.WATCH_CONFIRMED_MS]
        due += [group.due_ms for group in self._begun]
        if self._lagging:
            due.append(self._lag_due_ms)
        if self._said and self._is_current:
            due.append(next(iter(self._said)).said_ms + limits.WATCH_PROGRESS_MS)
        return min(due)

    # -- what clients ask ---------------------------------------------------------------------

    def watch(
        self, client: bytes, request: WatchRequest, now_ms: int, user: User = ANYBODY
    ) -> None:
        """Begin a watch for a user, or confirm one that is there."""
        self._now_ms = now_ms
        subject = (request.key, request.prefix, request.previous)
        self.spoke(client, user.name)
        known = self._watchers.get(client, {}).get(request.id)
        if (denial := _denial(user, subject)) is not None:
            if known is not None:
                self._forget(known)
            self._say_lost(client, request.id, Denied.code, denial, self.history.floor + 1)
            return
        if known is not None:
            if known.group.subject != subject:
                message = f"id {request.id} was another watch: use a new id for each"
                self._lose(known, "invalid", message, known.after + 1)
                return
            self._confirmed[known] = now_ms
            self._confirmed.move_to_end(known)
        else:
            refusal = self._refusal(client, request)
            if refusal is not None:
                code, message = refusal
                self._say_lost(client, request.id, code, message, self.history.floor + 1)
                return
            known = self._add(client, request, user.name)
        node = self._node
        self._answers.append((client, Watching(request.id, known.after, node.name, node.cluster)))

    def _refusal(self, client: bytes, request: WatchRequest) -> tuple[str, str] | None:
        """The code and the reason why a watch cannot be, if it cannot."""
        node, start = self._node, request.start
        if not (node.cluster and node.is_member):
            return "forming", f"{node.name} is no member of a cluster: ask another node"
        if node.stopping or self._closed:
            return "stopping", f"{node.name} is stopping: ask another node"
        if self.count >= limits.WATCHES:
            most = limits.WATCHES
            return "overloaded", f"{node.name} has {most} watches, its most: ask another, or later"
        if len(self._watchers.get(client, ())) >= limits.WATCHES_PER_CLIENT:
            most = limits.WATCHES_PER_CLIENT
            return "overloaded", f"this connection has {most} watches, the most: end some"
        if start is not None and request.cluster not in ("", node.cluster):
            return "compacted", f"revision {start} is of another cluster, {request.cluster}"
        if start is not None and start <= self.history.floor:
            return "compacted", self._forgotten(start)
        return None

    def _forgotten(self, start: int) -> str:
        first = self.history.floor + 1
        return f"{self._node.name} remembers changes from revision {first} on, not from {start}"

    def _add(self, client: bytes, request: WatchRequest, user: str) -> Watcher:
        newest = self.history.through
        after = newest if request.start is None else request.start - 1
        subject = (request.key, request.prefix, request.previous)
        group = self.groups.get(subject, newest, self._now_ms)
        group.size += 1
        self._said.setdefault(group)
        watcher = Watcher(client, request.id, group, after, user)
        self._watchers.setdefault(client, {})[request.id] = watcher
        self._confirmed[watcher] = self._now_ms
        if not self._joined(watcher):
            self._lag(watcher)
        return watcher

    def unwatch(self, client: bytes, request: UnwatchRequest) -> None:
        """End a watch, if it is there."""
        watcher = self._watchers.get(client, {}).get(request.id)
        if watcher is not None:
            self._forget(watcher)

    def spoke(self, client: bytes, user: str) -> None:
        """A connection of that name is this user's. Somebody else may have had one before: what
        they watched, all of it, is not to be told here."""
        watchers = self._watchers.get(client)
        if watchers is not None and next(iter(watchers.values())).user != user:
            for watcher in list(watchers.values()):
                self._forget(watcher)

    def users_changed(self, users: Users) -> None:
        """End the watches of users who may not have them any more."""
        for watcher in list(self._confirmed):
            denial = _denial(users.now(watcher.user), watcher.group.subject)
            if denial is not None:
                self._lose(watcher, Denied.code, denial, watcher.after + 1)

    # -- the turn -----------------------------------------------------------------------------

    def collect(self) -> None:
        """Take in what was applied. Call it often: the state machine notes it without bound."""
        machine = self._node.machine
        changes = machine.take_changes()
        self.history.add(changes, machine.revision)
        if self._confirmed and changes:
            self._begun += self.groups.sort(changes)

    def turn(self, now_ms: int, out: Outbox) -> None:
        """Tell whoever is to be told now, once all is collected."""
        self._now_ms = now_ms
        self._answer(out)
        if self._confirmed:
            self._tell_begun(out)
            self._tell_lagging(out)
            self._tell_progress(out)
            self._forget_unconfirmed()
            self._answer(out)

    def restart(self) -> None:
        """A snapshot has taken the place of all state: what was between is not known here."""
        for group in self.groups:
            for watcher in list(group.members):
                owed = [c for c in group.pending if revision_of(c) > watcher.seen]
                newest = max(self.history.through, watcher.seen)
                watcher.seen = revision_of(owed[0]) - 1 if owed else newest
                self._lag(watcher)
        node = self._node
        self.history = History(node.machine.revision, node.settings.history_bytes)

    def finish(self, out: Outbox) -> None:
        """The node ends: so do all watches."""
        self._closed = True
        for watcher in list(self._confirmed):
            message = f"{self._node.name} is stopping: ask another node"
            self._lose(watcher, "stopping", message, watcher.after + 1)
        self._answer(out)

    def _answer(self, out: Outbox) -> None:
        for client, reply in self._answers:
            out.reply(client, reply)
        self._answers.clear()

    @property
    def _is_current(self) -> bool:
        """Whether this node may say that nothing has happened: not when it is cut off, nor as a
        follower whose disk is full. What it cannot store is not told to be committed either."""
        node, raft = self._node, self._node.raft
        if node.lacks and raft.role is not Role.LEADER:
            return False
        return node.is_member and raft.leader is not None

    def _tell_begun(self, out: Outbox) -> None:
        begun, self._begun = self._begun, []
        for group in begun:
            if group.due_ms > self._now_ms and group.pending:
                self._begun.append(group)
            elif group.pending:
                self._tell_group(group, out)

    def _tell_progress(self, out: Outbox) -> None:
        told = 0
        while self._said and told < PROGRESS_AT_ONCE and self._is_current:
            group = next(iter(self._said))
            if self._now_ms - group.said_ms < limits.WATCH_PROGRESS_MS:
                break
            told += len(group.members)
            self._tell_group(group, out)

    def _tell_group(self, group: Group, out: Outbox) -> None:
        """Tell all members of what is pending, or that there is nothing."""
        pending, group.pending = group.pending, []
        through, previous = self.history.through, group.subject[2]
        shared: dict[tuple[int, int], _Shared] = {}
        for watcher in list(group.members):
            after, seen = watcher.after, watcher.seen
            messages = shared.get((after, seen))
            if messages is None:
                owed = pending
                if seen > group.base:  # it joined later
                    owed = [change for change in pending if revision_of(change) > seen]
                messages = shared[after, seen] = _Shared(
                    batches(
                        owed, after=after, skip=0, through=max(through, after), previous=previous
                    )
                    if owed or not pending
                    else ()
                )
            if not self._tell(watcher, messages, out):
                self._lag(watcher)
        group.base = through
        group.due_ms = self._now_ms + len(group.members) // MEMBERS_PER_MS
        group.said_ms = self._now_ms
        if group.size:  # else its last watcher was lost just now
            self._said.move_to_end(group)

    def _tell(self, watcher: Watcher, messages: Iterable[Batch], out: Outbox) -> bool:
        """Send messages to a watcher; False once one was not taken. It is then put back to what
        it has."""
        for batch in messages:
            if batch.events is None:
                revision = batch.before + 1
                why = f"a change at revision {revision} is longer than a message may be"
                self._lose(watcher, "oversize", f"{why}: read the key", revision + 1)
                return True
            message = Events(watcher.id, batch.after, batch.through, batch.events, batch.skip)
            if not out.reply(watcher.client, message):
                watcher.after = batch.after
                watcher.skip = batch.skip
                watcher.seen = batch.before
                watcher.wait_ms = min(RETRY_MOST_MS, max(RETRY_MS, 2 * watcher.wait_ms))
                watcher.retry_ms = self._now_ms + watcher.wait_ms
                return False
            watcher.after = watcher.seen = batch.through
            watcher.skip = 0
            self.events_sent += batch.told
        return True

    # -- those who are behind -----------------------------------------------------------------

    def _lag(self, watcher: Watcher) -> None:
        """Have a watcher told from the history, from the next turn on."""
        watcher.group.leave(watcher)
        self._lagging[watcher] = None
        self._lag_due_ms = min(self._lag_due_ms, watcher.retry_ms)

    def _joined(self, watcher: Watcher) -> bool:
        """Make a watcher a member of its group, if it has, or will be told with the others, all."""
        group = watcher.group
        if not group.members:
            group.base = self.history.through
        if watcher.seen < group.base:
            return False
        group.members[watcher] = None
        watcher.wait_ms = watcher.retry_ms = 0
        self._lagging.pop(watcher, None)
        return True

    def _tell_lagging(self, out: Outbox) -> None:
        """Tell those who are behind of the next piece of what they lack."""
        if not self._lagging or self._now_ms < self._lag_due_ms:
            return
        budget = SCAN_TURN_CHANGES
        shared: dict[tuple[Group, int, int, int], tuple[_Shared, int]] = {}
        for watcher in list(self._lagging):
            if budget <= 0:
                break
            if watcher.retry_ms > self._now_ms:
                continue
            del self._lagging[watcher]  # it goes to the end of the line, or leaves it
            self._lagging[watcher] = None
            if watcher.seen < self.history.floor:
                code = "slow" if watcher.wait_ms else "compacted"
                start = self.history.floor + 1
                self._lose(watcher, code, self._forgotten(watcher.seen + 1), start)
                continue
            key = (watcher.group, watcher.after, watcher.seen, watcher.skip)
            if key not in shared:
                shared[key] = self._next_piece(watcher)
                budget -= SCAN_CHANGES
            messages, through = shared[key]
            if self._tell(watcher, messages, out):
                watcher.seen = max(watcher.seen, through)
                if watcher in self._confirmed:
                    self._joined(watcher)
        self._lag_due_ms = min((watcher.retry_ms for watcher in self._lagging), default=0)

    def _next_piece(self, watcher: Watcher) -> tuple[_Shared, int]:
        """The messages of the next piece of the history, none if it has nothing for the watcher;
        and up to which revision it goes."""
        history, group = self.history, watcher.group
        changes, through = history.changes, history.through
        begin = history.place(watcher.seen)
        end = begin + SCAN_CHANGES
        if end < len(changes):
            through = revision_of(changes[end - 1])
            end = history.place(through)
        owed = [change for change in changes[begin:end] if group.concerns(change)]
        messages = batches(
            owed[watcher.skip :],
            after=watcher.after,
            skip=watcher.skip,
            through=through,
            previous=group.subject[2],
        )
        return _Shared(messages if owed else ()), through

    # -- the end of a watch -------------------------------------------------------------------

    def _forget_unconfirmed(self) -> None:
        while self._confirmed:
            watcher, confirmed_ms = next(iter(self._confirmed.items()))
            if self._now_ms - confirmed_ms < limits.WATCH_CONFIRMED_MS:
                break
            self._forget(watcher)

    def _lose(self, watcher: Watcher, code: str, message: str, start: int) -> None:
        """End a watch and say so."""
        self._forget(watcher)
        self._say_lost(watcher.client, watcher.id, code, message, start)

    def _say_lost(self, client: bytes, ident: int, code: str, message: str, start: int) -> None:
        self.lost[code] += 1
        self._answers.append((client, WatchLost(ident, code, message, start)))

    def _forget(self, watcher: Watcher) -> None:
        group = watcher.group
        del self._confirmed[watcher]
        of_client = self._watchers[watcher.client]
        del of_client[watcher.id]
        if not of_client:
            del self._watchers[watcher.client]
        self._lagging.pop(watcher, None)
        group.leave(watcher)
        group.size -= 1
        if not group.size:
            self.groups.remove(group)
            del self._said[group]


def _denial(user: User, subject: Subject) -> str | None:
    """Why a user may not watch that; None if they may. The values before are of the same keys."""
    key, prefix, _previous = subject
    try:
        check_request(user, "watch", key, prefix)
    except Denied as error:
        return str(error)
    return None


class _Shared:
    """Messages that are made when somebody first needs them, and once for all."""

    def __init__(self, source: Iterable[Batch]) -> None:
        self._source = iter(source)
        self._made: list[Batch] = []

    def __iter__(self) -> Iterator[Batch]:
        yield from self._made
        for batch in self._source:
            self._made.append(batch)
            yield batch
