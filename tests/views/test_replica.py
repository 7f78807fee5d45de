"""A primary and its backup, message by message."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.views import replication
from raftzmq.views.messages import Chunk, Forward, OldView, PeerMessage, Pong, Reply, Request
from raftzmq.views.replica import Replica
from raftzmq.views.view import Server, Timing, View
from tests.views.test_service import SERVICE, A, B, C

REIGN = "a" * 16
TIMING = Timing()


def view(number: int, primary: Server, backup: Server | None = None) -> View:
    return View(SERVICE, REIGN, number, primary, backup)


class Pair:
    """Servers, whose messages arrive when a test says so."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.servers = {who.name: Replica(who, TIMING, 0) for who in (A, B, C)}
        self.answers: list[Reply] = []
        self.mail: list[tuple[str, PeerMessage]] = []
        self._ids = 0

    def __getitem__(self, who: Server) -> Replica:
        return self.servers[who.name]

    def tell(self, news: View, *servers: Server) -> None:
        """These see a view."""
        for who in servers:
            replica = self[who]
            replica.tick(self.now_ms)
            replica.pong(Pong(replica._serial, REIGN, news, "", False), self.now_ms)
        self.collect()

    def collect(self) -> None:
        for replica in self.servers.values():
            out = replica.take()
            self.mail += [(to.name, message) for to, message in out.messages]
            self.answers += [reply for _, reply in out.answers]

    def deliver(self, *lost: type[PeerMessage]) -> None:
        """All mail arrives, and what it leads to, but for kinds that are lost."""
        self.collect()
        while self.mail:
            to, message = self.mail.pop(0)
            if type(message) not in lost:
                self.servers[to].receive(message, self.now_ms)
            self.collect()

    def ask(self, who: Server, op: list[Any], session: int = 0, at_view: int = 0) -> None:
        self._ids += 1
        request = Request(self._ids, SERVICE, at_view, session, op)
        self[who].request(b"client", request, 100, self.now_ms)
        self.collect()

    def answered(self) -> list[tuple[str, Any]]:
        """The codes and bodies of the answers since the last time."""
        answers, self.answers = self.answers, []
        return [(reply.code, reply.body) for reply in answers]

    def open(self, who: Server) -> int:
        self.ask(who, [0, "open", "5ec2e75ec2e75ec2"])
        self.deliver()
        (answer,) = self.answered()
        assert answer[0] == "ok"
        return int(answer[1])

    def passes(self, ms: int) -> None:
        self.now_ms += ms
        for replica in self.servers.values():
            replica.tick(self.now_ms)


@pytest.fixture
def pair() -> Pair:
    """A is primary, B its backup with the state."""
    made = Pair()
    made.tell(view(1, A), A, B, C)
    made.tell(view(2, A, B), A, B, C)
    made.deliver()
    assert made[A].is_synced
    return made


def test_a_write_is_answered_once_the_backup_has_it(pair: Pair) -> None:
    session = pair.open(A)
    pair.ask(A, [1, "put", "k", "v"], session)
    assert pair.answered() == []
    pair.deliver()
    assert pair.answered() == [("ok", None)]


def test_a_read_waits_for_the_backups_consent(pair: Pair) -> None:
    pair.ask(A, [1, "get", "k"])
    assert pair.answered() == []
    pair.deliver()
    assert pair.answered() == [("ok", None)]


def test_whoever_is_not_primary_refuses(pair: Pair) -> None:
    for who in (B, C):
        pair.ask(who, [1, "get", "k"])
        assert pair.answered()[0][0] == "not_primary"


def test_a_server_that_knows_only_an_older_view_than_the_client_refuses(pair: Pair) -> None:
    pair.ask(A, [1, "get", "k"], at_view=3)
    assert pair.answered()[0][0] == "not_primary"


def test_an_old_primary_never_answers_and_says_so_when_it_learns(pair: Pair) -> None:
    pair.tell(view(3, B, C), B, C)
    pair.ask(A, [1, "get", "k"])
    pair.deliver()
    assert pair.answered() == [
        (
            "view_changed",
            {"message": "there is a later view than 2: ask again, with the same serial"},
        )
    ]
    pair.ask(A, [2, "get", "k"])
    assert pair.answered()[0][0] == "not_primary"


def test_a_retry_gets_the_first_result_over_a_failover_too(pair: Pair) -> None:
    session = pair.open(A)
    pair.ask(A, [1, "append", "k", "x"], session)
    pair.deliver()
    pair.tell(view(3, B, C), B, C)
    pair.deliver()
    pair.answered()
    pair.ask(B, [1, "append", "k", "x"], session)
    pair.tell(view(4, C), C)
    pair.deliver()
    assert pair[C].acts
    pair.answered()
    pair.ask(C, [1, "append", "k", "x"], session)
    pair.ask(C, [1, "get", "k"])
    pair.deliver()
    assert pair.answered() == [("ok", None), ("ok", ["x", 2])]


def test_what_is_lost_is_sent_again_and_executed_once(pair: Pair) -> None:
    session = pair.open(A)
    pair.ask(A, [1, "append", "k", "x"], session)
    pair.deliver(Forward)
    assert pair.answered() == []
    pair.passes(TIMING.resend_ms)
    pair.deliver()
    assert pair.answered() == [("ok", None)]
    pair.tell(view(3, B), B)
    pair.ask(B, [1, "get", "k"])
    assert pair.answered()[0][1][0] == "x"


def test_a_new_backup_gets_everything_in_chunks_that_may_be_lost(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replication, "CHUNK_BYTES", 200)
    session = pair.open(A)
    for n in range(100):
        pair.ask(A, [n + 1, "put", f"k{n}", "v" * 50], session)
    pair.deliver()
    pair.tell(view(3, A, C), A, C)
    for message in (Chunk, None, Chunk, None):
        pair.deliver(*([message] if message else []))
        pair.passes(TIMING.resend_ms)
    assert pair[A].is_synced
    assert pair[C].keys == 100


def test_what_is_asked_while_the_backup_gets_the_state_waits_for_it(pair: Pair) -> None:
    session = pair.open(A)
    pair.tell(view(3, A, C), A)
    pair.ask(A, [1, "put", "k", "v"], session)
    pair.deliver()
    assert pair.answered() == []
    pair.tell(view(3, A, C), C)
    pair.passes(TIMING.resend_ms)
    pair.deliver()
    assert pair.answered() == [("ok", None)]


def test_a_server_that_does_not_have_the_state_does_not_lead(pair: Pair) -> None:
    pair.tell(view(3, C), C)
    assert not pair[C].acts
    pair.ask(C, [1, "get", "k"])
    assert pair.answered()[0][0] == "not_primary"


def test_a_message_of_an_earlier_view_is_refused_and_changes_nothing(pair: Pair) -> None:
    pair.tell(view(3, B), B)
    pair[B].receive(Forward(SERVICE, 2, A, 9, 1, ()), 0)
    assert [type(message) for _, message in pair[B].take().messages] == [OldView]


def test_a_view_server_that_has_been_left_is_not_obeyed(pair: Pair) -> None:
    replica = pair[A]
    replica.tick(pair.now_ms + 1000)
    replica.pong(Pong(replica._serial, "f" * 16, view(2, A, B), "", False), pair.now_ms)
    replica.tick(pair.now_ms + 2000)
    replica.pong(Pong(replica._serial, REIGN, view(3, B), "", False), pair.now_ms)
    assert replica.view_number == 2


@pytest.mark.parametrize(
    ("op", "told"),
    [
        (["put"], "[serial, name, arguments...]"),
        ([1, "put", "", "v"], "must not be empty"),
        ([1, "append", "k", 1], "append: the value must be a string"),
        ([1, "put", "k" * 5000, "v"], "the limit is 4096"),
        ([1, "increment", "k"], "there are get, put, append, delete"),
        ([True, "get", "k"], "id must be an integer"),
        (None, "an operation is"),
    ],
)
def test_ill_formed_operations_are_refused_before_anything_is_done(
    pair: Pair, op: Any, told: str
) -> None:
    pair.ask(A, op, session=1)
    ((code, body),) = pair.answered()
    assert code == "invalid"
    assert told in body["message"]


def test_an_append_beyond_the_limit_leaves_the_value_as_it_is(pair: Pair) -> None:
    session = pair.open(A)
    half = "x" * (limits.VALUE_BYTES // 2 + 1)
    pair.ask(A, [1, "append", "k", half], session)
    pair.ask(A, [2, "append", "k", half], session)
    pair.ask(A, [2, "append", "k", half], session)
    pair.ask(A, [1, "get", "k"])
    pair.deliver()
    codes = pair.answered()
    assert [code for code, _ in codes] == ["ok", "too_long", "too_long", "ok"]
    assert codes[3][1][0] == half


def test_a_write_without_a_session_that_is_known_is_refused(pair: Pair) -> None:
    pair.ask(A, [1, "put", "k", "v"], session=99)
    pair.deliver()
    assert pair.answered()[0][0] == "session_expired"


def test_nobody_can_guess_the_number_of_a_session() -> None:
    numbers = set()
    for secret in ("5ec2e75ec2e75ec2", "5ec2e75ec2e75ec3"):
        pair = Pair()
        pair.tell(view(1, A), A)
        pair.ask(A, [0, "open", secret])
        ((code, number),) = pair.answered()
        assert code == "ok"
        numbers.add(number)
    assert len(numbers) == 2
    assert min(numbers) > 2**32
    pair.ask(A, [0, "open"])
    ((code, _),) = pair.answered()
    assert code == "invalid"
