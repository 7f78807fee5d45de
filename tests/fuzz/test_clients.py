"""A client that is answered in mangled ways: nothing is raised, and every call ends in time.

Whether an answer is true it cannot know; but one that it cannot read must not stop it.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from raftzmq.client.operations import cluster
from raftzmq.client.session.calls import Call
from raftzmq.errors import RaftzmqError
from raftzmq.transport.client_wire import (
    ErrorReply,
    OperationsRequest,
    Reply,
    Results,
    encode_reply,
)
from raftzmq.transport.operator_wire import Done, StatusReply
from tests.amounts import amount
from tests.client.conversation import CLUSTER, NAMES, Conversation, Sent
from tests.fuzz.decoders import hold
from tests.fuzz.mangler import CHANGES, GENTLE, Mangler
from tests.progress import counted

SEED = 31
LIFE = 20
"""So many mangled answers does one client get."""

CODES = (
    *("ok", "compare_failed", "malformed", "unsupported_version", "invalid", "not_leader"),
    *(
        "forming",
        "overloaded",
        "disk_full",
        "store_full",
        "session_expired",
        "refused",
        "unsupported",
        "outcome_unknown",
    ),
)


def answer_to(random: Random, sent: Sent) -> Reply:
    """A valid answer of some kind."""
    if not isinstance(sent.request, OperationsRequest):
        return random.choice((StatusReply(sent.ids[0], {"role": "leader"}), Done(sent.ids[0], "")))
    name = NAMES.get(sent.endpoint, "raft-9")
    code = random.choice(CODES)
    if random.random() < 0.3:
        ids = random.choice((sent.ids, None))
        return ErrorReply(ids, code, "because", name, 3, "raft-1", "b:6001")
    body = {"message": "because"} if code not in ("ok", "compare_failed") else None
    results = [[ident, code, 7, 12 if op[1] == "open" else body] for ident, op in both(sent)]
    return Results(name, 3, name, results, CLUSTER)


def both(sent: Sent) -> list[tuple[int, list[object]]]:
    return list(zip(sent.ids, sent.ops, strict=True))


def converse(mangler_seed: int, outcomes: Counter[str]) -> None:
    """One client's life; every message is answered once or twice, one of the times mangled."""
    random = Random(mangler_seed)
    talk = Conversation()
    calls: list[Call] = []
    told = 0
    while told < LIFE:
        calls += [talk.put("key"), talk.get("key"), talk.stale_get("key")]
        calls.append(talk.call(cluster.status(endpoint=None)))
        for sent in talk.later(random.choice((0, 50, 600))):
            frame = (encode_reply(answer_to(random, sent)),)
            changes = random.choice((CHANGES, GENTLE))
            mangler = Mangler(mangler_seed, [frame], changes=changes)
            try:
                for part in mangler.input(told):
                    talk.session.received(sent.endpoint, part, talk.now_ms)
            except Exception as error:
                raise mangler.found(told, f"{type(error).__name__}: {error}") from error
            told += 1
            if random.random() < 0.5:
                talk.session.received(sent.endpoint, frame[0], talk.now_ms)
    talk.later(20_000)
    for call in calls:
        hold(call.done, "a call does not end")
        try:
            call.result()
            outcomes["answered"] += 1
        except RaftzmqError as error:
            outcomes[type(error).__name__] += 1


def test_no_mangled_answer_breaks_a_client() -> None:
    outcomes: Counter[str] = Counter()
    for number in counted("conversations with a client", range(amount(60, 600))):
        converse(SEED << 20 | number, outcomes)
    print(dict(outcomes))
    assert outcomes["answered"] > outcomes.total() / 20
    assert len(outcomes) > 3
