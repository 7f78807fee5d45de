"""Who may send what, by every message and every operation."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from raftzmq.access.users import ANYBODY, User, Users
from raftzmq.errors import Denied, InvalidRequest
from raftzmq.views import messages, store
from raftzmq.views.messages import (
    Ack,
    Chunk,
    ChunkAck,
    Forward,
    Message,
    OldView,
    Ping,
    Pong,
    Reply,
    Request,
    StatusRequest,
    ViewRequest,
)
from raftzmq.views.replica import Replica
from raftzmq.views.rights import OPERATIONS, SERVER, check_message, check_operation
from raftzmq.views.view import Timing, View
from tests.views.test_service import SERVICE, A

ADMIN = User("root", admin=True)
BILLING = User("billing", read=("prices/",), write=("billing/",))
READER = User("reader", read=("prices/",))
NOBODY = User("nobody")

BETWEEN_SERVERS: tuple[Message, ...] = (
    Ping(1, A, "", "", None, False, 0),
    Forward(SERVICE, 1, A, 1, 1, ()),
    Ack(SERVICE, 1, A, 1, 1),
    Chunk(SERVICE, 1, A, 0, True, ()),
    ChunkAck(SERVICE, 1, A, 1),
    OldView(SERVICE, 2, A),
)
OF_CLIENTS: tuple[Message, ...] = (
    ViewRequest(1),
    StatusRequest(1),
    Request(1, SERVICE, 1, 0, [1, "get", "a"]),
)


def test_every_message_that_servers_take_is_one_of_these() -> None:
    known = {type(message) for message in (*BETWEEN_SERVERS, *OF_CLIENTS)}
    answers = {messages.Pong, messages.ViewReply, messages.StatusReply, messages.Reply}
    assert set(get_args(Message)) == known | answers


@pytest.mark.parametrize("message", BETWEEN_SERVERS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("user", [ADMIN, BILLING, NOBODY], ids=lambda u: str(u.name))
def test_what_servers_say_is_taken_from_servers_alone(user: User, message: Message) -> None:
    with pytest.raises(Denied, match=f"user '{user.name}' may not speak as a storage server"):
        check_message(user, message)
    check_message(SERVER, message)
    check_message(ANYBODY, message)  # without keys


@pytest.mark.parametrize("message", OF_CLIENTS, ids=lambda m: type(m).__name__)
def test_every_user_may_ask(message: Message) -> None:
    for user in (ADMIN, NOBODY, ANYBODY, SERVER):
        check_message(user, message)


def test_no_user_can_have_the_name_of_the_servers() -> None:
    with pytest.raises(InvalidRequest):
        Users([SERVER])


def test_every_operation_has_its_right() -> None:
    assert set(OPERATIONS) == {store.READ, *store.COMMANDS, *store.SESSIONLESS}


def may(user: User, *words: Any) -> bool:
    try:
        check_operation(user, [1, *words])
    except Denied:
        return False
    return True


@pytest.mark.parametrize(
    ("words", "who"),
    [
        (("get", "prices/a"), {"billing", "reader"}),
        (("get", "billing/a"), {"billing"}),
        (("get", "other"), set()),
        (("put", "billing/a", "v"), {"billing"}),
        (("put", "prices/a", "v"), set()),
        (("append", "billing/a", "v"), {"billing"}),
        (("append", "prices/a", "v"), set()),
        (("delete", "billing/a"), {"billing"}),
        (("delete", "prices/a"), set()),
        (("open", "5ec2e75ec2e75ec2"), {"billing"}),
        (("close",), {"billing", "reader", "nobody", "node"}),
    ],
)
def test_an_operation_takes_its_right(words: tuple[Any, ...], who: set[str]) -> None:
    assert {u.name for u in (BILLING, READER, NOBODY, SERVER) if may(u, *words)} == who
    assert may(ADMIN, *words)
    assert may(ANYBODY, *words)


def test_the_primary_alone_says_who_may() -> None:
    """The users of a server that is none may be older than the primary's."""
    replica = Replica(A, Timing(), 0)
    replica.request(b"c", Request(1, SERVICE, 1, 0, [1, "get", "other"]), 10, 0, NOBODY)
    ((_, reply),) = replica.take().answers
    assert isinstance(reply, Reply)
    assert reply.code == "not_primary"


def test_what_is_denied_is_not_done() -> None:
    replica = Replica(A, Timing(), 0)
    replica.tick(0)
    replica.pong(Pong(1, "a" * 16, View(SERVICE, "a" * 16, 1, A, None), "", False), 0)

    def ask(user: User, session: int, *op: Any) -> Reply:
        replica.request(b"c", Request(1, SERVICE, 1, session, [1, *op]), 10, 0, user)
        ((_, reply),) = replica.take().answers
        return reply

    session = ask(BILLING, 0, "open", "5ec2e75ec2e75ec2").body
    assert ask(BILLING, session, "put", "prices/a", "1").code == "denied"
    assert ask(READER, session, "append", "billing/a", "1").code == "denied"
    assert replica.keys == 0
    assert ask(BILLING, session, "put", "billing/a", "1").code == "ok"
    denied = ask(READER, 0, "get", "billing/a")
    assert (denied.code, denied.body) == (
        "denied",
        {"message": "user 'reader' may not read 'billing/a': it may read 'prices/'"},
    )
