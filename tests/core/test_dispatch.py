"""Every message has a handler, and every message class a place in the term rules."""

from __future__ import annotations

from raftzmq.core import messages
from raftzmq.core.messages import Message
from raftzmq.core.raft import HANDLERS


def all_messages() -> set[type[Message]]:
    return {
        thing
        for thing in vars(messages).values()
        if isinstance(thing, type) and issubclass(thing, Message) and thing is not Message
    }


def test_every_message_has_a_handler() -> None:
    assert set(HANDLERS) == all_messages()


def test_every_message_is_a_vote_request_a_reply_or_from_a_leader() -> None:
    kinds = [messages.VOTE_REQUESTS, messages.REPLIES, messages.FROM_LEADER]
    assert frozenset().union(*kinds) == all_messages()
    assert sum(map(len, kinds)) == len(all_messages())
