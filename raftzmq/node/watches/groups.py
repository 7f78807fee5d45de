"""Watchers, in groups of those who watch the same, and which groups a change concerns."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from raftzmq.machine.tables.keys import Change

Subject = tuple[str, bool, bool]
"""A key or prefix, whether it is a prefix, and whether the values before are wanted."""


class Watcher:
    """One watch of one client, and the name of its user."""

    __slots__ = ("after", "client", "group", "id", "retry_ms", "seen", "skip", "user", "wait_ms")

    def __init__(self, client: bytes, ident: int, group: Group, after: int, user: str) -> None:
        self.client = client
        self.id = ident
        self.user = user
        self.group = group
        self.after = after  # it was told that it has everything up to this revision,
        self.skip = 0  # and so many events of the next
        self.seen = after  # what it is to be told has revisions above this one
        self.retry_ms = 0  # while it lags: when to try next,
        self.wait_ms = 0  # and how long it was last left in peace


class Group:
    """All who watch the same.

    `pending` are the changes that concern it, with revisions above `base`, all those up to the
    newest. The members are owed what is above their `seen`, which is never below `base`.
    """

    __slots__ = ("base", "due_ms", "members", "pending", "said_ms", "size", "subject")

    def __init__(self, subject: Subject, base: int, now_ms: int) -> None:
        self.subject = subject
        self.size = 0  # with those who are told of the past one by one, and are no members
        self.base = base
        self.members: dict[Watcher, None] = {}
        self.pending: list[Change] = []
        self.due_ms = now_ms  # not to be told of events before
        self.said_ms = now_ms  # when its members last heard anything

    def leave(self, watcher: Watcher) -> None:
        """Have a member no longer, if it was one."""
        self.members.pop(watcher, None)
        if not self.members:
            self.pending = []

    def concerns(self, change: Change) -> bool:
        key, prefix, _ = self.subject
        return change[0].startswith(key) if prefix else change[0] == key


class Groups:
    """The groups, found by what they watch and by what changes."""

    def __init__(self) -> None:
        self._groups: dict[Subject, Group] = {}
        self._by_key: defaultdict[str, list[Group]] = defaultdict(list)
        self._by_prefix: defaultdict[str, list[Group]] = defaultdict(list)
        self._counts: Counter[int] = Counter()  # of the prefixes, by their length
        self._lengths: list[int] = []  # those that there are, in order

    def __iter__(self) -> Iterator[Group]:
        return iter(self._groups.values())

    def __len__(self) -> int:
        return len(self._groups)

    def get(self, subject: Subject, base: int, now_ms: int) -> Group:
        """The group of a subject, made if there is none: then nothing up to `base` concerns it."""
        group = self._groups.get(subject)
        if group is None:
            group = self._groups[subject] = Group(subject, base, now_ms)
            self._table(group)[subject[0]].append(group)
            self._count(subject, 1)
        return group

    def remove(self, group: Group) -> None:
        table, key = self._table(group), group.subject[0]
        table[key].remove(group)
        if not table[key]:
            del table[key]
        del self._groups[group.subject]
        self._count(group.subject, -1)

    def sort(self, changes: Iterable[Change]) -> list[Group]:
        """Add each change to what is pending of the groups that it concerns and that have
        members; return the groups that had nothing pending before."""
        by_key, by_prefix, lengths = self._by_key, self._by_prefix, self._lengths
        begun: list[Group] = []
        for change in changes:
            key = change[0]
            concerned = by_key.get(key, [])
            for length in lengths:
                if length > len(key):
                    break
                found = by_prefix.get(key[:length])
                if found is not None:
                    concerned = concerned + found
            for group in concerned:
                if group.members:
                    if not group.pending:
                        begun.append(group)
                    group.pending.append(change)
        return begun

    def _count(self, subject: Subject, sign: int) -> None:
        key, prefix, _ = subject
        if prefix:
            self._counts[len(key)] += sign
            self._lengths = sorted((+self._counts).keys())

    def _table(self, group: Group) -> defaultdict[str, list[Group]]:
        return self._by_prefix if group.subject[1] else self._by_key
