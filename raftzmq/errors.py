"""Every error of raftzmq, in one tree, by whom it concerns.

    RaftzmqError
      InvalidRequest      the caller's fault; nothing was done
      Refused             the cluster's state forbids it now; nothing was done
      Unauthorized        the nodes do not know this client's key, or it does not know theirs
      Unavailable         no leader, or no answer in time, before anything was sent that could act
      OutcomeUnknown      it may or may not have been done, and must not be called failed
      InvalidValue        what a key holds is no JSON, or not of the model that its reader gave
      DataError           a node's own directory or files
      CorruptLine         bytes that do not match their checksum (storage, wire)
      WireError           a message that is not of the protocol
      ListenError         a port that cannot be bound; PortTaken if another process has it

Each client-facing error has a `code`, the word that travels on the wire (PROTOCOL.md).
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "Denied",
    "DiskFull",
    "Fenced",
    "ForkedClient",
    "InvalidRequest",
    "InvalidValue",
    "LeaseExpired",
    "NotAcquired",
    "NotFound",
    "NotHeld",
    "OutcomeUnknown",
    "Overloaded",
    "RaftzmqError",
    "Refused",
    "StoreFull",
    "Unauthorized",
    "Unavailable",
    "Unsupported",
    "WatchLost",
]
"""Those that users of the package meet: `raftzmq` has them too."""


class RaftzmqError(Exception):
    """The root: `except RaftzmqError` catches everything that this library raises on purpose.
    For example:

        try:
            db.put("greeting", "hello")
        except RaftzmqError as error:
            print(error.code, error)
    """

    code = "error"


class InvalidRequest(RaftzmqError):
    """A wrong type, an oversize key or value, an unknown operation.
    For example:

        try:
            db.put("k" * 5000, "a key has at most 4 KiB")
        except InvalidRequest as error:
            print(error)
    """

    code = "invalid"


class Refused(RaftzmqError):
    """The cluster understood and declined; nothing was done.
    For example:

        try:
            db.put("report", "done", fence=("nightly", 1))
        except Refused as error:
            print("nothing was done:", error)
    """

    code = "refused"


class Denied(Refused):
    """The user may not do that; the message names the user, the key or operation, and what the
    user may do. To try again changes nothing, until the user is given the right.

        db.put("config/limits", "4")  # raises Denied for a user who may only read
    """

    code = "denied"


class NotLeader(Refused):
    """This node does not lead. `leader` and `address` (of its client port) when it knows."""

    code = "not_leader"

    def __init__(self, message: str, leader: str | None = None, address: str | None = None) -> None:
        super().__init__(message)
        self.leader = leader
        self.address = address


class Forming(Refused):
    """The initial members are not all voters yet."""

    code = "forming"


class Overloaded(Refused):
    """A queue is at its bound; try again.
    For example:

        db.put("job", "work")  # may raise Overloaded
    """

    code = "overloaded"


class DiskFull(Refused):
    """The leader's disk is full; reads go on.
    For example:

        db.put("job", "work")  # may raise DiskFull
        db.get("job")  # does not
    """

    code = "disk_full"


class OutOfFiles(DiskFull):
    """No descriptor is left for a file of the data directory; it passes as connections end. A node
    keeps this to itself and asks clients to try again."""


class StoreFull(DiskFull):
    """The store is at its quota of memory; reads and deletes go on, whatever adds is refused.
    For example:

        db.put("job", "work")  # may raise StoreFull
        db.delete_prefix("done/")  # does not, and makes room
    """

    code = "store_full"


class SessionExpired(Refused):
    """The cluster has forgotten this client session; nothing was done twice."""

    code = "session_expired"


class LeaseExpired(Refused):
    """The lease has ended, or never existed. What it held is given up, and its keys are deleted.
    For example:

        with suppress(LeaseExpired):
            db.lease_revoke(173)
    """

    code = "lease_expired"


class NotAcquired(Refused):
    """The lock, permits or election went to others in the time given; nothing is held.
    For example:

        try:
            db.lock("nightly", timeout=0).acquire()
        except NotAcquired:
            print("somebody is at it")
    """

    code = "busy"


class NotHeld(Refused):
    """There is no such place: it was released, its lease has ended, or it never existed.
    For example:

        with suppress(NotHeld):
            db.release("lock", "nightly", 173)
    """

    code = "not_held"


class NotFound(Refused):
    """There is no semaphore or counter of that name.
    For example:

        with suppress(NotFound):
            db.forget("semaphore", "mail")
    """

    code = "not_found"


class Fenced(Refused):
    """A token of the write no longer holds; nothing was written.
    For example:

        try:
            db.put("report", "done", fence=("nightly", 1))
        except Fenced:
            print("token 1 does not hold the lock nightly any more")
    """

    code = "fenced"


class Unsupported(Refused):
    """The cluster is of a version that does not know this yet, or its nodes are: upgrade them, and
    `raftzmq client upgrade finish`.

        try:
            db.count("jobs/")
        except Unsupported:
            print(len(db.prefix("jobs/")))  # a node of release 0.2.0
    """

    code = "unsupported"


class WatchLost(Refused):
    """A watch has ended before its time. `reason` is why: the history no longer reaches back so
    far ("compacted"), or the watcher was too slow ("slow"). `start` is the first revision from
    which a new watch can go on; read the keys again for the changes in between.

        watch = db.watch(prefix="config/", start=revision)
        try:
            print(watch.next(timeout=1))
        except WatchLost as lost:
            watch = db.watch(prefix="config/", start=lost.start)
    """

    code = "watch_lost"

    def __init__(self, message: str, reason: str, start: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.start = start


class Unavailable(RaftzmqError):
    """There is no leader, or no node answered in time; the message says what each node answered.
    For example:

        try:
            db.put("job", "work", timeout=2)
        except Unavailable:
            print("nothing was written; try again when a majority of the nodes runs")
    """

    code = "unavailable"


class Unauthorized(RaftzmqError):
    """The handshake failed at every endpoint: a key is missing or unknown, or the other side is not
    the cluster that the key is for. Nothing was done; the message says which, and the cure.

        with Client("db-0:6001", key="app.key") as db:
            db.get("greeting")  # raises Unauthorized if the nodes do not know this key
    """

    code = "unauthorized"


class OutcomeUnknown(RaftzmqError):
    """The deadline passed after the write was sent: it may take effect, now or later.
    For example:

        try:
            db.put("seen/order-7", "me", if_absent=True)
        except OutcomeUnknown:
            item = db.get("seen/order-7")  # it may still come: a put with if_absent may be repeated
    """

    code = "outcome_unknown"


class InvalidValue(RaftzmqError):
    """What a key holds is no JSON, or not of the model that its reader asked for. Nothing was
    changed. `key` is the key, and `revision` that of what it holds.

        db.json.get("greeting")  # raises InvalidValue if that is no JSON
    """

    code = "invalid_value"

    def __init__(self, message: str, key: str, revision: int) -> None:
        super().__init__(message)
        self.key = key
        self.revision = revision


class ForkedClient(RaftzmqError):
    """What was held before a fork (a lock, a lease, a watch) was used in the child.
    For example:

        lock = db.lock("nightly").acquire()
        if os.fork() == 0:
            lock.check()  # raises ForkedClient: the lock is the parent's
    """

    code = "forked"


class DataError(RaftzmqError):
    """A data directory that cannot be used as it is; the message says why and what to do."""

    code = "data"


class DataLocked(DataError):
    """Another process runs on this directory."""


class ForeignData(DataError):
    """The directory belongs to another cluster or another node."""


class StaleData(DataError):
    """An old copy of a directory: entries that its node acknowledged are missing."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} lacks entries that its node has acknowledged: it is an old copy, and a vote "
            "on the strength of it could lose them. "
            "Start the node with --rejoin to set the directory aside and catch up from its peers."
        )


class CorruptFile(DataError):
    """Damage that is not a torn last write. Nothing has been cut or changed."""

    def __init__(self, path: Path, line: int, byte: int, problem: str) -> None:
        super().__init__(
            f"{path}, line {line}, byte {byte}: {problem}. Nothing was changed. "
            "This node will not vote or serve from damaged data: "
            "start it with --rejoin to set the directory aside and catch up from its peers."
        )
        self.path = path
        self.line = line
        self.byte = byte
        self.problem = problem


class DamagedBackup(DataError):
    """A backup that is not as it was written, or not whole. Nothing was done with it. `path` is the
    file, or how the place in a bucket is called."""

    def __init__(self, path: Path | str, line: int, byte: int, problem: str) -> None:
        super().__init__(
            f"{path}, line {line}, byte {byte}: {problem}. This is no whole backup: take another"
        )
        self.path = path
        self.line = line
        self.byte = byte
        self.problem = problem


class UnknownEntry(DataError):
    """A log entry that this version does not understand; the node stops rather than guess."""


class MissingProgram(UnknownEntry):
    """An entry, or the state, needs a state machine of the users' own that is not here."""


class CorruptLine(RaftzmqError):
    """A checksummed line that is damaged. `offset` counts bytes from the start of the data."""

    code = "corrupt"

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(f"byte {offset}: {problem}")
        self.offset = offset
        self.problem = problem


class ClockStopped(RaftzmqError):
    """The clock by which a node measures time stands still, or has gone back."""

    code = "clock"


class WireError(RaftzmqError):
    """A malformed message. `reason` is a short word, counted in metrics.

    `ids` are those of the client's request, if they could be read, for the answer.
    `code` is the code to answer with: "malformed", or the reason if that is itself a code.
    """

    code = "malformed"

    def __init__(self, reason: str, message: str, ids: list[int] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.ids = ids
        if reason in {"unsupported_version", "invalid"}:
            self.code = reason


class ListenError(RaftzmqError):
    """A port that this node cannot bind; the message says why and what to do."""

    code = "listen"


class PortTaken(ListenError):
    """Another process already listens on the port."""
