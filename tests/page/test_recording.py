"""What is recorded is what happened: logs, messages, and the file."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftzmq.core.entry import COMMAND, Entry
from raftzmq.core.identity import NodeId
from raftzmq.core.log import RaftLog
from raftzmq.core.membership import Membership
from raftzmq.core.messages import Message, PreVoteReply, VoteReply
from raftzmq.core.ready import SnapshotMeta
from raftzmq.errors import DataError
from raftzmq.page import html
from raftzmq.page.logs import Row, change_of
from raftzmq.page.messages import SHAPES, look_of
from raftzmq.page.recording import Recorder, decode, encode
from tests.core.test_dispatch import all_messages
from tests.page.replaying import applied

A, B = NodeId("a", "1"), NodeId("b", "1")


def log_of(base: int, terms: list[int]) -> RaftLog:
    """A log that is compacted up to `base`."""
    meta = SnapshotMeta(base, 1, 0, Membership()) if base else None
    entries = [Entry(base + n, term, 0, COMMAND, f"{n}", b"") for n, term in enumerate(terms, 1)]
    return RaftLog(meta, entries)


@st.composite
def histories(draw: st.DrawFn) -> list[RaftLog]:
    """What one log may become: two that have an entry of an index and term are equal up to it."""
    whole: list[int] = []
    logs, base = [], 0
    term = 1
    for _ in range(draw(st.integers(1, 8))):
        keep = draw(st.integers(base, max(base, len(whole))))
        term += 1
        whole = whole[:keep] + [1] * (keep - len(whole)) + [term] * draw(st.integers(0, 4))
        base = draw(st.integers(0, len(whole)))
        log = log_of(0, whole)
        if base:
            log.compact(base)
        logs.append(log)
    return logs


@given(histories())
def test_a_log_is_after_each_change_what_it_was_recorded_from(logs: list[RaftLog]) -> None:
    row, replayed = Row(), Row()
    for log in logs:
        change = change_of(row, log, str)
        if change is not None:
            replayed = applied(replayed, orjson.loads(encode(change)))
        assert row == replayed
        assert (row.base, row.base_term) == (log.base_index, log.base_term)
        assert [cell.term for cell in row.cells] == [entry.term for entry in log.entries]
        assert change_of(row, log, str) is None


def test_only_what_is_new_of_a_log_is_recorded() -> None:
    row = Row()
    change_of(row, log_of(0, [1] * 50), str)
    change = change_of(row, log_of(0, [1] * 50 + [2]), str)
    assert change is not None
    assert (change["keep"], len(change["add"])) == (50, 1)


def example_of(kind: type[Message]) -> Message:
    """A message of that class, all of whose numbers are 3."""
    values: dict[str, Any] = {"sender": A, "to": B, "entries": (), "data": b""}
    return kind(**{field.name: values.get(field.name, 3) for field in fields(kind)})


@pytest.mark.parametrize("kind", sorted(all_messages(), key=str))
def test_every_message_has_a_shape_a_label_and_words(kind: type[Message]) -> None:
    look = look_of(example_of(kind))
    assert look.shape in SHAPES
    assert look.label
    assert look.says


@pytest.mark.parametrize("kind", [PreVoteReply, VoteReply])
def test_a_vote_that_is_refused_looks_otherwise(kind: Any) -> None:
    more = {"next_term": 3} if kind is PreVoteReply else {}
    looks = [look_of(kind(A, B, 2, granted=granted, **more)) for granted in (True, False)]
    assert [look.shape for look in looks] == ["yes", "no"]


def test_what_was_encoded_is_decoded() -> None:
    recorder = Recorder("a title", "about it", source="story", name="x")
    recorder.add(3, "note", "words")
    document = recorder.document(["a"])
    assert decode(encode(document)) == document


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "no recording"),
        (b"[]", "no recording"),
        (b'{"format": "something else"}', "no recording"),
        (b'{"format": "raftzmq recording", "version": 2}', "version 2"),
        (b'{"format": "raftzmq recording", "version": 1, "nodes": [1]}', "name its nodes"),
        (b'{"format": "raftzmq recording", "version": 1, "nodes": []}', "no events"),
    ],
)
def test_what_is_no_recording_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        decode(data)


@pytest.mark.parametrize(
    "events",
    [[{"at": 2, "kind": "note"}, {"at": 1, "kind": "note"}], [{"at": 0, "kind": "x"}], [3]],
)
def test_events_are_of_known_kinds_and_in_order(events: list[Any]) -> None:
    document = Recorder("", "", source="story", name="").document([])
    with pytest.raises(DataError, match="order"):
        decode(encode({**document, "events": events}))


def test_nothing_in_a_recording_ends_the_element_that_it_stands_in() -> None:
    recorder = Recorder("</script><script>alert(1)</script>", "", source="story", name="")
    assert html(recorder.document()).count("</script>") == html().count("</script>")
