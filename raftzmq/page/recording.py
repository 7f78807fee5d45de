"""A recording: everything that happened to a cluster, as timed events with changes (DESIGN.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson

from raftzmq.core.log import RaftLog
from raftzmq.core.messages import Message
from raftzmq.core.raft import Raft
from raftzmq.errors import DataError
from raftzmq.page import words
from raftzmq.page.logs import Row, change_of, shorten
from raftzmq.page.messages import look_of
from raftzmq.page.rules import RULES

FORMAT: Final = "raftzmq recording"
VERSION: Final = 1
KINDS: Final = frozenset(
    {
        *("note", "message", "client", "fault", "election", "vote", "log", "conflict", "commit"),
        *("apply", "snapshot", "compact", "membership", "start"),
    }
)
"""What an event may be."""
SOURCES: Final = frozenset({"story", "world", "cluster", "core"})
"""Where a recording may come from."""


def facts_of(raft: Raft) -> words.Facts:
    """What the page shows of a node that runs, besides its log."""
    membership = raft.memberships
    voter = raft.id in membership.voters
    return {
        "up": True,
        "role": raft.role.value,
        "term": raft.term,
        "vote": raft.vote.name if raft.vote else None,
        "leader": raft.leader.name if raft.leader else None,
        "commit": raft.commit_index,
        "applied": raft.applied_index,
        "snapshot": raft.snapshot_meta.index if raft.snapshot_meta else 0,
        "member": "voter" if voter else "learner" if raft.id in membership.learners else None,
    }


class Recorder:
    """Takes down what happens. Times are milliseconds, and never decrease.

    `describe` says what the body of a command is, in a few words.
    """

    def __init__(
        self,
        title: str,
        about: str,
        *,
        source: str,
        name: str,
        describe: Callable[[Any], str] = str,
    ) -> None:
        self.title, self.about = title, about
        self.source, self.name = source, name
        self.events: list[dict[str, Any]] = []
        self._describe = describe
        self._facts: dict[str, words.Facts] = {}
        self._rows: dict[str, Row] = {}
        self._cut: list[tuple[str, str]] = []
        self._messages = 0
        self._asked = 0

    def add(
        self, at_ms: int, kind: str, text: str, *, rule: str | None = None, **more: Any
    ) -> None:
        """An event of that kind; `more` is what it changes."""
        assert kind in KINDS
        event: dict[str, Any] = {"at": at_ms, "kind": kind}
        if text:
            event["text"] = text
        if rule:
            event["rule"] = rule
        self.events.append({**event, **more})

    # -- nodes ----------------------------------------------------------------------------------

    def knows(self, name: str, **facts: Any) -> words.Facts:
        """The facts that would change of a node."""
        known = self._facts.get(name, {})
        return {key: value for key, value in facts.items() if known.get(key) != value}

    def look(self, at_ms: int, name: str, raft: Raft, *, paused: bool = False) -> None:
        """Take down what has changed on a node that runs."""
        self._change(at_ms, name, {**facts_of(raft), "paused": paused}, raft.log)

    def down(self, at_ms: int, name: str, why: str | None = None) -> None:
        """A node does not run; what it has on its disk stays as it was."""
        gone = {"up": False, "paused": False, "role": "follower", "leader": None}
        self._change(at_ms, name, gone, None, why)

    def _change(
        self,
        at_ms: int,
        name: str,
        facts: words.Facts,
        log: RaftLog | None,
        why: str | None = None,
    ) -> None:
        known = self._facts.setdefault(name, {"up": False, "paused": False})
        change = self.knows(name, **facts)
        row = self._rows.setdefault(name, Row())
        last = row.last
        log_change = None if log is None else change_of(row, log, self._describe)
        steps: list[words.Step] = []
        if "up" in change:  # the rest of it is no step of its own
            steps = [words.life(name, known, change, row, why)]
            if log_change is not None:
                steps[0].change["log"] = log_change
        elif change:
            steps = list(words.steps(name, known, change, why))
        if log_change is not None and "up" not in change:
            step = words.log_step(name, last, row, {**known, **change}, log_change)
            after = [n for n, s in enumerate(steps) if s.kind in ("commit", "apply")]
            steps.insert(after[0] if after else len(steps), step)
        known.update((key, value) for key, value in change.items() if key != "log")
        for step in steps:
            self.add(at_ms, step.kind, step.text, rule=step.rule, nodes={name: step.change})

    # -- messages -------------------------------------------------------------------------------

    def sent(self, at_ms: int, sender: str, to: str, message: Message) -> int:
        """A message leaves; returns its number."""
        self._messages += 1
        look = look_of(message)
        self.add(
            at_ms,
            "message",
            "",
            rule=look.rule,
            sent={
                "id": self._messages,
                "from": sender,
                "to": to,
                "type": type(message).__name__,
                "term": message.term,
                "shape": look.shape,
                "label": look.label,
                "says": look.says,
            },
        )
        return self._messages

    def arrived(self, at_ms: int, number: int) -> None:
        self.add(at_ms, "message", "", arrived=number)

    def lost(self, at_ms: int, number: int, why: str) -> None:
        self.add(at_ms, "message", "", lost=number, why=why)

    def links(self, at_ms: int, cut: Iterable[tuple[str, str]], text: str = "") -> None:
        """The links that are cut, each from a sender to a receiver, if they are others now."""
        found = sorted(cut)
        if found != self._cut or text:
            self._cut = found
            self.add(at_ms, "fault", text or "the network changes", cut=found)

    # -- clients --------------------------------------------------------------------------------

    def asked(self, at_ms: int, client: str, text: str) -> int:
        """A client asks for something; returns the number of the operation."""
        self._asked += 1
        text = shorten(text, 120)
        asked = {"id": self._asked, "client": client}
        self.add(at_ms, "client", f"{client} asks: {text}", asked=asked)
        return self._asked

    def answered(
        self, at_ms: int, number: int, client: str, text: str, *, rule: str | None = None
    ) -> None:
        text = shorten(text, 120)
        self.add(at_ms, "client", f"{client} is told: {text}", rule=rule, answered=number)

    # -- the whole ------------------------------------------------------------------------------

    def document(self, nodes: Iterable[str] | None = None) -> dict[str, Any]:
        """The recording; `nodes` are the names in the order in which the page has them."""
        used = {event["rule"] for event in self.events if "rule" in event}
        return {
            "format": FORMAT,
            "version": VERSION,
            "title": self.title,
            "about": self.about,
            "source": {"kind": self.source, "name": self.name},
            "nodes": list(nodes if nodes is not None else sorted(self._facts)),
            "rules": {name: RULES[name]._asdict() for name in sorted(used)},
            "events": self.events,
        }


def encode(document: dict[str, Any]) -> bytes:
    """A recording as the bytes of its file."""
    return orjson.dumps(document, default=list)  # cells are tuples


def decode(data: bytes) -> dict[str, Any]:
    """The recording in a file. Raises DataError where it is none, or of a later version."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DataError(f"this is no recording: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise DataError("this is no recording")
    if document.get("version") != VERSION:
        raise DataError(
            f"this recording is of version {document.get('version')!r}, which this build does not "
            f"know; it knows {VERSION}"
        )
    nodes, events = document.get("nodes"), document.get("events")
    if not isinstance(nodes, list) or not all(isinstance(name, str) for name in nodes):
        raise DataError("this recording does not name its nodes")
    if not isinstance(events, list) or not _in_order(events):
        raise DataError("this recording has no events, or not in the order of their time")
    return document


def _in_order(events: list[Any]) -> bool:
    last = 0
    for event in events:
        at = event.get("at") if isinstance(event, dict) else None
        if not isinstance(at, int) or at < last or event.get("kind") not in KINDS:
            return False
        last = at
    return True
