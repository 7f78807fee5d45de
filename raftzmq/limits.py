"""Every limit of the wire and of the files, with its unit, in one place.

The limits are part of the protocol (PROTOCOL.md): a node refuses what exceeds them before it
reaches the log, so that no entry can exist that another node would have to refuse.
"""

from typing import Final

KEY_BYTES: Final = 4 * 1024
"""Longest key, in bytes of UTF-8."""

VALUE_BYTES: Final = 1024 * 1024
"""Longest value: bytes of UTF-8 for text, bytes before base64 for binary values."""

FRAME_BYTES: Final = 8 * 1024 * 1024
"""Longest message frame, in bytes; checked before anything is parsed."""

FRAME_PARTS: Final = 2
"""Most frames a message has: a header, and a body where there are entries or a snapshot chunk."""

JSON_DEPTH: Final = 32
"""Deepest nesting of a message. orjson reads 1,024 levels but writes only 254."""

OPERATIONS_PER_MESSAGE: Final = 4096
"""Most operations in one client message."""

RANGE_LIMIT: Final = 10_000
"""Most items that one range read returns; the answer says whether there are more."""

RANGE_BYTES: Final = 4 * 1024 * 1024
"""Most bytes of keys and values that one range read returns."""

TRANSACTION_OPERATIONS: Final = 128
"""Most compares, and most operations in either branch, of one transaction."""

TRANSACTION_BYTES: Final = 6 * 1024 * 1024
"""Most bytes that one transaction's keys and values take as JSON, and most that its result may:
either has to fit a frame."""

ENTRY_BYTES: Final = 1024 * 1024
"""Operations of clients share a log entry as long as their messages take no more than this; one
that takes more has an entry of its own."""

SESSIONS: Final = 10_000
"""Most client sessions that the state machine remembers."""

SESSION_TTL_MS: Final = 60 * 60 * 1000
"""A session unused for this long, in replicated time, is forgotten."""

SESSION_EVICTABLE_MS: Final = 60 * 1000
"""When the table is full, only a session unused for this long gives way to a new one."""

SESSION_OUTSTANDING: Final = 16_384
"""Most serials between a session's acknowledged serial and its newest one."""

SESSION_RESULT_BYTES: Final = 16 * 1024 * 1024
"""A session whose unacknowledged results take more executes nothing new until it acknowledges."""

LEASE_TTL_MIN_MS: Final = 500
LEASE_TTL_MAX_MS: Final = 24 * 60 * 60 * 1000
"""Bounds of a lease's time to live, and of a key's: shorter, and one slow fsync ends it; longer,
and what a dead client held stays held."""

LEASES: Final = 100_000
"""Most leases at a time."""

QUEUES: Final = 100_000
"""Most locks, semaphores, counters and elections at a time, all together."""

PLACES: Final = 100_000
"""Most places, held or waiting, in all queues together."""

PERMITS: Final = 1_000_000
"""Most permits of a semaphore or counter, and so of one place in its line."""

PLACE_VALUE_BYTES: Final = 1024
"""Longest value that a place carries (an election candidate's address), in bytes as JSON."""

DESCRIBED_PLACES: Final = 1000
"""Most holders, and most waiters, that one description of a queue lists: it must fit a frame."""

FENCES: Final = 16
"""Most tokens that guard one fenced write."""

EXPIRE_AT_ONCE: Final = 4096
"""The entry that ends leases ends no further one once it has given up so many places and keys:
what many clients held at once must not stop the loop for long. The next entry goes on."""

AWAIT_MS: Final = 2000
"""Longest time that a node holds an `await` or `observe` back before it answers "not yet"."""

PARKED_READS: Final = 20_000
"""Most reads (await, observe) that a node holds back at a time."""

WATCHES: Final = 10_000
"""Most watches of a node, all clients together."""

WATCHES_PER_CLIENT: Final = 2_000
"""Most watches of one connection."""

WATCH_HISTORY_EVENTS: Final = 100_000
WATCH_HISTORY_BYTES: Final = 64 * 1024 * 1024
"""How much a node remembers for watches that begin in the past: changes of keys, and about what
their keys and values take."""

WATCH_MESSAGE_BYTES: Final = 256 * 1024
"""About the most that one message of events has, unless a single event is longer."""

WATCH_UNREAD_BYTES: Final = 4 * 1024 * 1024
"""A watcher for whom so much waits unread gets no further events until it reads."""

WATCH_PROGRESS_MS: Final = 1000
"""A watch without events is told of that so often."""

WATCH_CONFIRMED_MS: Final = 30_000
"""A watch that its client has not confirmed for so long is forgotten."""

PROPOSALS_IN_FLIGHT: Final = 16_384
"""Most entries that a leader holds uncommitted before it answers "overloaded"."""

PROPOSAL_BYTES_IN_FLIGHT: Final = 64 * 1024 * 1024
"""Most bytes of uncommitted entries before a leader answers "overloaded"."""

TERM_MAX: Final = 2**53 - 1
INDEX_MAX: Final = 2**53 - 1
"""Bounds of terms and indices: exact in every JSON reader; beyond them a message is malformed."""
