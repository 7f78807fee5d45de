"""Each story comes out as it is told, and its recording is what happened."""

from __future__ import annotations

import pytest

from raftzmq.page.recording import KINDS, SOURCES, decode, encode, facts_of
from raftzmq.page.rules import RULES
from tests.page.replaying import play
from tests.show.stories import STORIES
from tests.show.telling import LINES_MAX, lines

NAMES = sorted(STORIES)


@pytest.mark.parametrize("name", NAMES)
def test_a_story_ends_where_its_nodes_are(name: str) -> None:
    stage = STORIES[name].tell()
    nodes = play(decode(encode(stage.recorder.document())))
    assert set(nodes) == set(stage.nodes)
    for node in stage.nodes.values():
        facts, row = nodes[node.name]
        assert facts["up"] == node.up
        if node.up:
            assert {key: facts.get(key) for key in facts_of(node.raft)} == facts_of(node.raft)
            terms = [entry.term for entry in node.raft.log.entries]
            assert [cell.term for cell in row.cells] == terms


@pytest.mark.parametrize("name", NAMES)
def test_a_story_is_told_on_a_screen(name: str) -> None:
    document = STORIES[name].tell().recorder.document()
    assert document["source"]["kind"] in SOURCES
    told = lines(document)
    assert len(told) <= LINES_MAX
    assert max(map(len, told)) <= 130


@pytest.mark.parametrize("name", NAMES)
def test_every_message_has_one_end_at_most_and_after_its_beginning(name: str) -> None:
    sent: set[int] = set()
    ended: set[int] = set()
    for event in STORIES[name].tell().recorder.document()["events"]:
        assert event["kind"] in KINDS
        if "sent" in event:
            sent.add(event["sent"]["id"])
        for end in (event[key] for key in ("arrived", "lost") if key in event):
            assert end in sent - ended
            ended.add(end)


def test_each_rule_is_named_by_a_story() -> None:
    named = {rule for one in STORIES.values() for rule in one.tell().recorder.document()["rules"]}
    assert named == set(RULES)


def text_of(name: str) -> str:
    return "\n".join(lines(STORIES[name].tell().recorder.document()))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("election", "b wins, and leads term 3"),
        ("election", "b, c: appends entry 3 of term 2: x = 1"),
        ("split-vote", "a, b: gives up, in term 2"),
        ("conflict", "a removes entries 3 to 4, and takes entries 3 to 4"),
        ("figure-8", "removes entry 2, and takes entry 2"),
        ("figure-8-safe", "a commits entries 1 to 3"),
        ("stale-read", "client-1 is told: a does not lead; ask another"),
        ("check-quorum", "a steps down from term 2"),
        ("no-op", "client is told: what a has, applied to 4"),
        ("figure-7", "f removes entries 5 to 12, and takes entries 5 to 12"),
        ("pre-vote", "c hears no leader, and asks who would vote for it in term 3"),
        ("snapshot", "c installs a snapshot of everything up to 5"),
        ("transfer", "b stands for election in term 3"),
        ("new-member", "d is a learner"),
        ("membership-rollback", "a removes entry 3, and takes entry 3"),
        ("removes-itself", "b wins, and leads term 3"),
        ("lost-disk", "c starts, with an empty log"),
    ],
)
def test_a_story_has_its_point(name: str, words: str) -> None:
    assert words in text_of(name)


def test_a_write_that_is_never_committed_is_never_answered() -> None:
    events = STORIES["conflict"].tell().recorder.document()["events"]
    asked = {event["asked"]["id"]: event["text"] for event in events if "asked" in event}
    answered = {event["answered"] for event in events if "answered" in event}
    assert [text for number, text in asked.items() if number not in answered] == [
        "client-1 asks: a to write lost 1",
        "client-1 asks: a to write lost 2",
    ]
