"""The client session: whom it asks, when it asks again, and what it says in the end."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from raftzmq.errors import (
    Denied,
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    Unauthorized,
    Unavailable,
)
from raftzmq.views.messages import Reply, Request, ViewReply, ViewRequest
from raftzmq.views.session import SILENCE_MS, VIEW_SERVER, Call, ClientSession, call
from raftzmq.views.view import Server, View
from tests.views.test_service import SERVICE, A, B


def view(number: int, primary: Server, service: str = SERVICE) -> View:
    return View(service, "a" * 16, number, primary, None)


class Conversation:
    """A session, its clock, and what it has sent."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.session = ClientSession(Random(1), Random(2))

    def submit(self, name: str, *arguments: Any, timeout: float = 5) -> Call:
        asked = call(name, list(arguments), self.now_ms, timeout)
        self.session.submit(asked, self.now_ms)
        return asked

    def sent(self) -> list[tuple[str, Any]]:
        return list(self.session.outgoing(self.now_ms))

    def passes(self, ms: int) -> None:
        self.now_ms += ms
        self.session.tick(self.now_ms)

    def learns(self, news: View | None, reason: str = "") -> None:
        """It asks the view server, and is told."""
        questions = [message for to, message in self.sent() if to == VIEW_SERVER]
        assert isinstance(questions[0], ViewRequest)
        self.session.received(ViewReply(questions[0].id, news, reason), self.now_ms)

    def request(self, to: Server) -> Request:
        """The one message that it sends now to a server, besides questions to the view server."""
        requests = [message for address, message in self.sent() if address == to.address]
        assert len(requests) == 1
        assert isinstance(requests[0], Request)
        return requests[0]

    def told(self, request: Request, code: str, body: Any = None, index: int = 7) -> None:
        self.session.received(Reply(request.id, code, index, body, 1), self.now_ms)

    def opened(self) -> None:
        """Know the primary, A, and have a session."""
        self.learns(view(1, A))
        opening = self.request(A)
        assert opening.op[1] == "open"
        self.told(opening, "ok", 3)


def test_it_asks_who_is_primary_opens_a_session_and_writes() -> None:
    talk = Conversation()
    asked = talk.submit("put", "k", "v")
    talk.opened()
    write = talk.request(A)
    assert (write.session, write.op) == (3, [1, "put", "k", "v"])
    talk.told(write, "ok")
    assert asked.answer is not None
    assert talk.session.take_finished() == [asked]


def test_a_read_needs_no_session() -> None:
    talk = Conversation()
    talk.submit("get", "k")
    talk.learns(view(1, A))
    assert talk.request(A).session == 0


def test_a_write_that_gets_no_answer_is_sent_again_under_its_serial_to_whoever_leads() -> None:
    talk = Conversation()
    asked = talk.submit("put", "k", "v")
    talk.opened()
    first = talk.request(A)
    talk.passes(SILENCE_MS)
    again = talk.request(A)
    talk.passes(1)
    talk.learns(view(2, B))
    moved = talk.request(B)
    assert first.op == again.op == moved.op
    assert len({first.id, again.id, moved.id}) == 3
    assert moved.view == 2
    talk.told(moved, "ok")
    assert asked.error is None


def test_a_refusal_is_no_reason_to_doubt() -> None:
    talk = Conversation()
    asked = talk.submit("put", "k", "v", timeout=1)
    talk.opened()
    talk.told(talk.request(A), "not_primary", {"message": "not I"})
    talk.passes(1000)
    assert isinstance(asked.error, Unavailable)
    assert "not I" in str(asked.error)


@pytest.mark.parametrize("answer", ["view_changed", None])
def test_a_write_that_may_have_been_done_is_of_unknown_outcome(answer: str | None) -> None:
    talk = Conversation()
    asked = talk.submit("put", "k", "v", timeout=1)
    talk.opened()
    write = talk.request(A)
    if answer:
        talk.told(write, answer)
    talk.passes(1000)
    assert isinstance(asked.error, OutcomeUnknown)


def test_the_next_write_has_the_next_serial_whatever_became_of_the_last() -> None:
    talk = Conversation()
    talk.submit("put", "k", "v", timeout=1)
    talk.opened()
    talk.request(A)
    talk.passes(1000)
    talk.submit("put", "k", "w")
    assert talk.request(A).op[0] == 2


def test_without_a_view_server_nothing_is_done() -> None:
    talk = Conversation()
    asked = talk.submit("put", "k", "v", timeout=1)
    talk.passes(1000)
    assert isinstance(asked.error, Unavailable)
    assert "view server" in str(asked.error)


def test_why_there_is_no_view_is_told() -> None:
    talk = Conversation()
    asked = talk.submit("get", "k", timeout=1)
    talk.learns(None, "has restarted, and waits for storage-1")
    talk.passes(1000)
    assert "waits for storage-1" in str(asked.error)


def test_a_forgotten_session_is_opened_anew_if_nothing_was_done_under_it() -> None:
    talk = Conversation()
    talk.submit("put", "k", "v")
    talk.opened()
    talk.told(talk.request(A), "session_expired")
    assert talk.request(A).op[1] == "open"


def test_but_a_write_in_doubt_is_never_repeated_under_a_new_session() -> None:
    talk = Conversation()
    asked = talk.submit("put", "k", "v")
    talk.opened()
    talk.request(A)
    talk.passes(SILENCE_MS)
    talk.told(talk.request(A), "session_expired")
    assert isinstance(asked.error, OutcomeUnknown)


def test_the_session_of_one_service_is_not_used_in_another() -> None:
    talk = Conversation()
    talk.submit("put", "k", "v")
    talk.opened()
    talk.told(talk.request(A), "not_primary")
    talk.learns(view(1, B, "e" * 16))
    assert talk.request(B).op[1] == "open"


def test_overload_is_told_as_what_it_is() -> None:
    talk = Conversation()
    asked = talk.submit("get", "k", timeout=1)
    talk.learns(view(1, A))
    talk.told(talk.request(A), "overloaded", {"message": "too much"})
    talk.passes(1000)
    assert isinstance(asked.error, Overloaded)


@pytest.mark.parametrize("arguments", [("put", "", "v"), ("put", "k", 1), ("fly", "k")])
def test_what_a_server_would_refuse_is_not_sent(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidRequest):
        Conversation().submit(*arguments)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), True, "1"])
def test_a_timeout_is_a_number_of_seconds(timeout: Any) -> None:
    with pytest.raises(InvalidRequest, match="timeout"):
        Conversation().submit("get", "k", timeout=timeout)


@pytest.mark.parametrize("what", ["open", "put"])
def test_what_is_denied_ends_the_call(what: str) -> None:
    talk = Conversation()
    put = talk.submit("put", "k", "v")
    if what == "open":
        talk.learns(view(1, A))
    else:
        talk.opened()
    talk.told(talk.request(A), "denied", {"message": "user 'x' may not write 'k'"})
    assert isinstance(put.error, Denied)
    assert str(put.error) == "user 'x' may not write 'k'"
    assert talk.session.next_deadline_ms() is None


def test_what_is_denied_after_an_earlier_try_may_have_been_done() -> None:
    talk = Conversation()
    put = talk.submit("put", "k", "v")
    talk.opened()
    talk.told(talk.request(A), "view_changed")
    talk.passes(SILENCE_MS)
    talk.told(talk.request(A), "denied", {"message": "no more"})
    assert isinstance(put.error, OutcomeUnknown)
    assert "no more" in str(put.error)


def test_a_view_server_that_lets_nobody_in_ends_all_calls() -> None:
    talk = Conversation()
    calls = [talk.submit("get", "k"), talk.submit("put", "k", "v")]
    talk.session.refused(VIEW_SERVER, "it wants a key", talk.now_ms)
    assert [(type(asked.error), str(asked.error)) for asked in calls] == [
        (Unauthorized, "it wants a key")
    ] * 2


def test_a_primary_that_lets_nobody_in_may_be_another_server_by_now() -> None:
    talk = Conversation()
    calls = [talk.submit("get", "k"), talk.submit("get", "k")]
    talk.learns(view(1, A))
    talk.session.unsent(talk.request(A), talk.now_ms)
    talk.session.refused(A.address, "it is not the cluster", talk.now_ms)
    talk.passes(SILENCE_MS)
    talk.learns(view(2, B))
    talk.told(talk.request(B), "ok")
    assert calls[0].answer is not None
    talk.session.unsent(talk.request(B), talk.now_ms)
    talk.session.refused(B.address, "it does not know the key", talk.now_ms)
    talk.passes(5000)
    assert isinstance(calls[1].error, Unauthorized)
    assert str(calls[1].error) == "it does not know the key"
