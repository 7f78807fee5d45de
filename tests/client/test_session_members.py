"""A client that was given one endpoint learns of the other members, and uses all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from raftzmq.client.operations import cluster, keys, queues
from raftzmq.client.operations.arguments import Work
from raftzmq.client.session.members import EVERY_MS, FIRST_MS
from raftzmq.client.session.subscriptions import Subscription
from raftzmq.transport.operator_wire import StatusReply, StatusRequest
from tests.client.conversation import CLUSTER, A, B, C, Conversation, Sent

NODE_PORTS = {A: "a:6000", B: "b:6000", C: "c:6000"}

KINDS: dict[str, Callable[[], Work]] = {
    "write": lambda: keys.put("k", "v"),
    "read": lambda: keys.get("k", stale=False, endpoint=None),
    "stale read": lambda: keys.get("k", stale=True, endpoint=None),
    "held answer": lambda: queues.await_place("lock", "l", 7),
    "status": lambda: cluster.status(None),
    "transfer": lambda: cluster.transfer(None),
    "membership": lambda: cluster.member_add("raft-3"),
}


def status(*endpoints: str, applied: int = 100, name: str = CLUSTER) -> dict[str, Any]:
    members = [{"name": "raft-0", "address": NODE_PORTS[e], "voter": True} for e in endpoints]
    return {"role": "leader", "cluster": name, "applied_index": applied, "members": members}


def asked(talk: Conversation, ms: int) -> Sent:
    """The one status that is asked for within so many milliseconds."""
    sent = [s for s in talk.later(ms) if isinstance(s.request, StatusRequest)]
    assert len(sent) == 1
    return sent[0]


def learned(*endpoints: str, given: str = A) -> Conversation:
    talk = Conversation([given], learns_members=True)
    talk.open_session()
    sent = asked(talk, FIRST_MS)
    talk.answer(given, StatusReply(sent.ids[0], status(*endpoints)))
    return talk


def test_a_program_that_asks_one_thing_asks_nothing_else() -> None:
    talk = Conversation([A], learns_members=True)
    talk.get("k")
    talk.done(talk.one())
    assert talk.later(FIRST_MS // 2) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_request_goes_to_another_member_when_the_given_one_is_gone(kind: str) -> None:
    talk = learned(A, B, C)
    talk.down = {A}
    talk.call(KINDS[kind](), timeout=10)
    assert any(sent.endpoint in (B, C) for sent in talk.later(3000))


def test_a_watch_goes_on_at_another_member_when_the_given_one_is_gone() -> None:
    talk = learned(A, B, C)
    talk.session.subscribe(Subscription("k", None, None, False), talk.now_ms)
    talk.one()
    talk.down = {A}
    assert any(sent.endpoint in (B, C) for sent in talk.later(3000))


def test_of_several_members_those_that_are_down_too_are_passed_over() -> None:
    talk = learned(A, B, C)
    talk.down = {A, B}
    talk.put("k", timeout=10)
    assert any(sent.endpoint == C for sent in talk.later(3000))


def test_addresses_that_mean_nothing_here_are_not_used_while_the_given_one_answers() -> None:
    talk = learned(B, C)
    talk.down = {B, C}
    for _ in range(20):
        call = talk.put("k")
        sent = talk.one()
        assert sent.endpoint == A
        talk.done(sent)
        assert call.done
        talk.later(100)
    assert not {B, C} & talk.session.interests()


def test_members_are_asked_for_once_a_minute() -> None:
    talk = learned(A, B)
    assert talk.later(EVERY_MS - 1000) == []
    again = asked(talk, 1200)
    talk.answer(A, StatusReply(again.ids[0], status(A, C, applied=200)))
    assert talk.session.endpoints.known == (A, C)


@pytest.mark.parametrize(
    "said",
    [
        status(A, C, applied=99),
        status(applied=200),
        {**status(applied=200), "members": [{"address": "no port"}]},
        {**status(applied=200), "members": 7},
        {**status(A, C), "applied_index": None},
    ],
    ids=["older", "none", "no address", "no list", "no index"],
)
def test_what_is_older_or_no_list_of_members_changes_nothing(said: dict[str, Any]) -> None:
    talk = learned(A, B)
    again = asked(talk, EVERY_MS + 200)
    talk.answer(A, StatusReply(again.ids[0], said))
    assert talk.session.endpoints.known == (A, B)


def test_the_list_of_another_cluster_is_taken_whatever_its_index() -> None:
    talk = learned(A, B)
    again = asked(talk, EVERY_MS + 200)
    talk.answer(A, StatusReply(again.ids[0], status(A, C, applied=3, name="0" * 16)))
    assert talk.session.endpoints.known == (A, C)


NAME = "db.test:6001"
ADDRESSES = ("10.9.9.1:6001", "10.9.9.2:6001", "10.9.9.3:6001")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alive", ADDRESSES)
def test_a_name_is_all_of_its_addresses(kind: str, alive: str) -> None:
    talk = Conversation([NAME], learns_members=True)
    talk.down = {NAME, *ADDRESSES} - {alive}
    talk.call(KINDS[kind](), timeout=10)
    assert talk.later(1000) == []
    talk.session.resolved(NAME, ADDRESSES)
    assert any(sent.endpoint == alive for sent in talk.later(3000))


def test_a_watch_tries_all_addresses_of_a_name() -> None:
    talk = Conversation([NAME], learns_members=True)
    talk.down = {NAME, *ADDRESSES[:2]}
    talk.session.subscribe(Subscription("k", None, None, False), talk.now_ms)
    assert talk.later(1000) == []
    talk.session.resolved(NAME, ADDRESSES)
    assert any(sent.endpoint == ADDRESSES[2] for sent in talk.later(3000))


def test_addresses_that_a_name_had_before_are_forgotten() -> None:
    talk = Conversation([NAME, A])
    talk.session.resolved(NAME, ADDRESSES)
    talk.session.resolved(NAME, ADDRESSES[1:])
    assert list(talk.session.endpoints.known) == [NAME, A, *ADDRESSES[1:]]
    talk.session.resolved(NAME, ADDRESSES[:1])  # of one, libzmq knows by the name
    assert list(talk.session.endpoints.known) == [NAME, A]


def test_names_that_nobody_gave_are_not_looked_into() -> None:
    talk = Conversation([A])
    talk.session.resolved("raft-7.elsewhere:6001", ADDRESSES)
    assert talk.session.endpoints.known == (A,)
