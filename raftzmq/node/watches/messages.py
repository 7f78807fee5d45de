"""Changes of keys as messages of events, each encoded once for all who are told of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from raftzmq import limits
from raftzmq.machine.tables.keys import Change
from raftzmq.machine.values import to_wire
from raftzmq.node.watches.history import revision_of, weight
from raftzmq.transport.watch_wire import Encoded, encode_events

HEAD_BYTES = 512
"""More than an events message has besides its events."""


class Batch(NamedTuple):
    """A message but for the watch's id; see raftzmq.transport.watch_wire.Events. `before` is the
    revision before that of the first event: whoever is to be sent this batch again has all that
    it watches up to there, and `skip` events of the next. `events` is None if no frame has room
    for the single event that they are; `told` is how many."""

    after: int
    skip: int
    through: int
    before: int
    events: Encoded | None
    told: int


def batches(
    changes: Sequence[Change],
    *,
    after: int,
    skip: int,
    through: int,
    previous: bool,
    one_by_one: bool = False,
) -> Iterator[Batch]:
    """Cut changes into messages, each of about limits.WATCH_MESSAGE_BYTES or of one change, and
    encode those.

    They are all there are to be told above the revision `after` (of whose successor `skip` events
    were told before), up to `through`. Without changes there is one batch, without events.
    """
    most = 0 if one_by_one else limits.WATCH_MESSAGE_BYTES
    start = 0
    while True:
        end = _end(changes, start, most)
        rest = end < len(changes)
        until = revision_of(changes[end]) - 1 if rest else through
        part = changes[start:end]
        before = revision_of(part[0]) - 1 if part else through
        text, size = encode_events([_event(change, previous) for change in part])
        if size + HEAD_BYTES <= limits.FRAME_BYTES:
            yield Batch(after, skip, until, before, text, len(part))
        elif len(part) == 1:
            yield Batch(after, skip, until, before, None, 1)
        else:  # the estimate was far too low, as with control characters: one by one then
            yield from batches(
                part, after=after, skip=skip, through=until, previous=previous, one_by_one=True
            )
        if not rest:
            return
        told = sum(1 for change in part if revision_of(change) == until + 1)
        skip = told + (skip if until == after else 0)
        after, start = until, end


def _end(changes: Sequence[Change], start: int, most: int) -> int:
    """The end of the message that begins with `start`: at least one change, if there is any."""
    size, end = 0, start
    while end < len(changes) and (size < most or end == start):
        size += weight(changes[end])
        end += 1
    return end


def _event(change: Change, previous: bool) -> list[Any]:
    key, value, revision, before = change
    return [
        revision,
        key,
        None if value is None else to_wire(value),
        None if before is None or not previous else to_wire(before),
    ]
