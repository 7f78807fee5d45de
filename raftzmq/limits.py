"""Every limit of the wire and of the files, with its unit, in one place.

The limits are part of the protocol (PROTOCOL.md). A node refuses what exceeds them before it
reaches the log, so there is no entry that another node would have to refuse.
"""

from typing import Final

KEY_BYTES: Final = 4 * 1024
"""The longest key, in bytes of UTF-8."""

VALUE_BYTES: Final = 1024 * 1024
"""The longest value: bytes of UTF-8 for text, bytes before base64 for binary values."""

FRAME_BYTES: Final = 8 * 1024 * 1024
"""The longest message frame, in bytes; checked before anything is parsed."""

FRAME_PARTS: Final = 2
"""The most frames of a message: a header, and a body for entries or a snapshot chunk."""

JSON_DEPTH: Final = 32
"""The deepest nesting of a message. orjson reads 1,024 levels but writes only 254."""

OPERATIONS_PER_MESSAGE: Final = 4096
"""The most operations in one client message."""

RANGE_LIMIT: Final = 10_000
"""The most items that one range read returns; the answer says whether there are more."""

RANGE_BYTES: Final = 4 * 1024 * 1024
"""The most bytes of keys and values that one range read returns."""

TRANSACTION_OPERATIONS: Final = 128
"""The most compares, and the most operations in either branch, of one transaction."""

TRANSACTION_BYTES: Final = 6 * 1024 * 1024
"""The most bytes that one transaction's keys and values take as JSON, and the most that its result
may take: both must fit a frame."""

ENTRY_BYTES: Final = 1024 * 1024
"""Operations of clients share a log entry if their messages together have at most this many bytes.
A larger operation gets an entry of its own."""

ENTRY_OPERATIONS: Final = OPERATIONS_PER_MESSAGE
"""The most operations that share a log entry: nothing else is done while one is applied."""

SESSION_MAX: Final = 2**64 - 1
"""The highest number of a session. All of its 64 bits are there to be unguessable."""

SESSIONS: Final = 10_000
"""The most client sessions that the state machine remembers."""

SESSION_TTL_MS: Final = 60 * 60 * 1000
"""A session unused for this long, in replicated time, is forgotten."""

SESSION_EVICTABLE_MS: Final = 60 * 1000
"""When the table is full, only a session unused for this long is replaced by a new one."""

SESSION_OUTSTANDING: Final = 16_384
"""The most serials between a session's acknowledged serial and its newest one."""

SESSION_RESULT_BYTES: Final = 16 * 1024 * 1024
"""A session with more bytes of unacknowledged results executes nothing new until it
acknowledges."""

LEASE_TTL_MIN_MS: Final = 500
LEASE_TTL_MAX_MS: Final = 24 * 60 * 60 * 1000
"""Bounds of a lease's time to live. If it were shorter, one slow fsync would end it; if longer,
what a dead client held would stay held. A key's is not shorter either."""

KEY_TTL_MAX_MS: Final = 10 * 366 * 24 * 60 * 60 * 1000
"""The longest time to live of a key by itself: ten years."""

PROGRAM_BYTES: Final = 4 * 1024 * 1024
"""The most bytes that the state of a state machine of users' own takes as JSON. Each call of its
methods reads and writes all of it."""

LEASES: Final = 100_000
"""The most leases at a time."""

QUEUES: Final = 100_000
"""The most locks, semaphores, counters and elections at a time, together."""

PLACES: Final = 100_000
"""The most places, held or waiting, in all queues together."""

PERMITS: Final = 1_000_000
"""The most permits of a semaphore or counter, and so of one place in its line."""

PLACE_VALUE_BYTES: Final = 1024
"""The longest value that a place carries (an election candidate's address), in bytes as JSON."""

DESCRIBED_PLACES: Final = 1000
"""The most holders, and the most waiters, that one description of a queue lists: it must fit a
frame."""

FENCES: Final = 16
"""The most tokens that guard one fenced write."""

REMOVALS_PER_ENTRY: Final = 2048
"""The most keys, and places of ended leases, that one log entry removes, so that no node stands
still for long. The bound stands in the entry: a change of it does not change what old logs mean."""

SWEPT_PER_REMOVAL: Final = 8
"""The keys that are looked at for each that may be removed, in search of those of ended leases."""

EXPIRE_AT_ONCE: Final = 4096
"""An `expire` without a bound, as older versions wrote it, ends no further lease after it has given
up this many places and keys."""

AWAIT_MS: Final = 2000
"""The longest time that a node delays an `await` or `observe` before it answers "not yet"."""

PARKED_READS: Final = 20_000
"""The most reads (await, observe) that a node delays at a time."""

WATCHES: Final = 10_000
"""The most watches of a node, of all clients together."""

WATCHES_PER_CLIENT: Final = 2_000
"""The most watches of one connection."""

WATCH_HISTORY_EVENTS: Final = 100_000
WATCH_HISTORY_BYTES: Final = 64 * 1024 * 1024
"""How much a node remembers for watches that start in the past: changes of keys, and about how many
bytes their keys and values take."""

WATCH_MESSAGE_BYTES: Final = 256 * 1024
"""The approximate size of the longest message of events, unless a single event is longer."""

WATCH_UNREAD_BYTES: Final = 4 * 1024 * 1024
"""A watcher with this much unread gets no further events until it reads."""

WATCH_PROGRESS_MS: Final = 1000
"""How often a watch without events is told that there are none."""

WATCH_CONFIRMED_MS: Final = 30_000
"""A watch that its client has not confirmed for this long is forgotten."""

SNAPSHOTS: Final = 4
"""The most snapshots for clients that a node holds at a time: each keeps what is written over."""

SNAPSHOT_PIECE_BYTES: Final = 512 * 1024
"""How much of a snapshot one answer carries."""

SNAPSHOT_WAIT_MS: Final = 2000
"""How long a node that is asked for a snapshot may need to apply what is to be in it."""

SNAPSHOT_UNUSED_MS: Final = 30_000
"""A snapshot of which nobody has pulled anything for this long is forgotten."""

SCANS: Final = 16
"""The most scans that a node holds at a time: as long as there are any, each write costs a little
more for each. Those that one message answers are not held."""

SCANS_WAITING: Final = 1000
"""The most scans that wait at a node until it has applied what they must see."""

SCAN_WAIT_MS: Final = 2000
"""How long a node that is asked for a scan may need to apply what is to be in it."""

SCAN_PAGE_KEYS: Final = 2048
SCAN_PAGE_SIZE: Final = 256 * 1024
"""The most keys of one answer to a scan, and the most characters and bytes of keys and values, but
for a single key."""

SCAN_UNUSED_MS: Final = 60_000
"""A scan that nobody has read on for this long is forgotten."""

SCAN_KEPT_BYTES: Final = 64 * 1024 * 1024
"""About how much of what was written over a node keeps for all its scans; beyond, the scan that
needs most of it is forgotten."""

PROPOSALS_IN_FLIGHT: Final = 16_384
"""The most uncommitted entries that a leader holds before it answers "overloaded"."""

PROPOSAL_BYTES_IN_FLIGHT: Final = 64 * 1024 * 1024
"""The most bytes of uncommitted entries before a leader answers "overloaded"."""

TERM_MAX: Final = 2**53 - 1
INDEX_MAX: Final = 2**53 - 1
"""Bounds of terms and indices: exact in every JSON reader; beyond them a message is malformed."""

NUMBER_MAX: Final = 2**53 - 1
"""How far from 0 `incr` may bring the number in a key: exact in every JSON reader too."""

REVISION_GAP: Final = 1_000_000_000
"""By how much revisions jump when a cluster is made from another's state: further than any that the
other gave out after that state, so that no revision, token or number means two things."""

TERM_JUMP: Final = 1_000_000
"""The most terms that a message may be ahead of what a node knows. Each election takes one term, so
only a forged message asks for more, and none can use up all terms that there are."""

SLOW_SAVE_MS: Final = 1000
SLOW_SAVES: Final = 3
SLOW_SAVES_WITHIN_MS: Final = 60_000
"""A leader hands over when a save has taken it so long so often within so much time, and each time
a majority of the others was faster. Disks that many share are slow for all alike."""

TRACE_CHARACTERS: Final = 64
"""A traceparent of W3C has 55."""

LAG_ENTRIES: Final = 10_000
"""A node that lacks at most this many of the committed entries has caught up. The rest takes a
fraction of a second, and under load there is always some."""

EMPTY_NODE_BYTES: Final = 96 * 1024 * 1024
"""About what a busy node takes that stores nothing. With 256 MiB in all, two thirds of the whole
were too much for its store."""
