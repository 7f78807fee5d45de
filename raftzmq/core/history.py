"""Which membership is in force, and which was at an earlier index.

A membership takes effect when its entry is appended, committed or not (thesis 4.1); so when the
entry is truncated, the one before it is in force again.
"""

from __future__ import annotations

from collections.abc import Iterable

from raftzmq.core.entry import CONFIG, Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.membership import Membership
from raftzmq.core.ready import SnapshotMeta


class MembershipHistory:
    """The memberships of the log, from the snapshot on, each with the index of its entry."""

    def __init__(self, snapshot: SnapshotMeta | None, entries: Iterable[Entry]) -> None:
        base = (0, Membership()) if snapshot is None else (snapshot.index, snapshot.membership)
        self.steps: list[tuple[int, Membership]] = [base]
        self._refresh()
        self.append(entry for entry in entries if entry.index > base[0])

    @property
    def index(self) -> int:
        """The index of the entry (or snapshot) that the membership in force comes from."""
        return self.steps[-1][0]

    def at(self, index: int) -> Membership:
        """The membership in force at `index`, which must not lie below the snapshot."""
        for since, membership in reversed(self.steps):
            if since <= index:
                return membership
        raise IndexError(index)

    def append(self, entries: Iterable[Entry]) -> None:
        """Take the memberships out of newly appended entries."""
        news = [entry for entry in entries if entry.kind == CONFIG]
        if news:
            self.steps += [(entry.index, Membership.from_body(entry.body)) for entry in news]
            self._refresh()

    def truncate_from(self, index: int) -> None:
        """Take back what came with entries from `index` on."""
        if self.index >= index:
            self.steps = [step for step in self.steps if step[0] < index]
            assert self.steps, "the snapshot's membership cannot be truncated"
            self._refresh()

    def compact(self, index: int) -> None:
        """Forget what was superseded at or before `index`."""
        older = [step for step in self.steps if step[0] <= index]
        self.steps = older[-1:] + self.steps[len(older) :]

    def restore(self, snapshot: SnapshotMeta, *, keep_suffix: bool) -> None:
        """Begin again from a snapshot, with or without the log entries after it."""
        suffix = [step for step in self.steps if step[0] > snapshot.index] if keep_suffix else []
        self.steps = [(snapshot.index, snapshot.membership), *suffix]
        self._refresh()

    def may_campaign(self, node: NodeId, commit_index: int) -> bool:
        """Whether `node` is a voter in the membership in force or in one it may fall back to.

        A node whose removal is not known to be committed must still stand: it may be the only
        one whose log can win (thesis 4.2.2, figure 4.6).
        """
        return node in self.voters or any(
            node in membership.voters for membership in self._possible(commit_index)
        )

    def may_speak(self, node: NodeId, commit_index: int) -> bool:
        """Whether `node` is in the membership in force or in one it may fall back to: who leaves
        leads until that is committed, and may have to stand once more (thesis 4.2.2)."""
        return node in self.ids or any(
            node in membership.ids for membership in self._possible(commit_index)
        )

    def _possible(self, commit_index: int) -> list[Membership]:
        later = [membership for index, membership in self.steps if index > commit_index]
        return [self.at(commit_index), *later]

    def _refresh(self) -> None:
        self.membership = self.steps[-1][1]
        self.voters = self.membership.voters
        self.ids = self.membership.ids
        self.learners = self.membership.learners
