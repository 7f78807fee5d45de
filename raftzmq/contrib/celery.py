"""Celery beat that fails over, and tasks of which one runs at a time.

    app.conf.raftzmq_endpoints = "db-0:6001,db-1:6001,db-2:6001"    # else as Client() finds them
    app.conf.beat_scheduler = "raftzmq.contrib.celery:Scheduler"

    @app.task
    @exclusive("report-{day}")
    def report(day: str) -> None: ...

Settings: `raftzmq_endpoints`; `raftzmq_key`, the file of a user; `raftzmq_namespace`, with which
the names of keys and locks begin ("celery/"); `raftzmq_beat_ttl`, seconds after which a beat that
died is replaced (10).
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, TypeVar

from raftzmq import (
    Client,
    Fenced,
    InvalidRequest,
    NotAcquired,
    NotHeld,
    OutcomeUnknown,
    RaftzmqError,
)
from raftzmq.contrib import missing, shared_client

try:
    from celery import Celery, Task, beat, current_app, current_task
    from celery.utils.log import get_logger
except ModuleNotFoundError as error:
    raise missing("Celery", "celery") from error

if TYPE_CHECKING:
    from raftzmq.client.blocking import Lock

T = TypeVar("T")
P = ParamSpec("P")

WAIT_S: Final = 5.0
"""A beat that waits to be the one comes back so often, to see whether it is to stop."""

RETRY_S: Final = 1.0
"""The pause after the cluster could not be asked."""

NAME_BYTES: Final = 200
"""Arguments that take more have a digest in the lock's name."""

log = get_logger(__name__)


def client_of(app: Celery) -> Client:
    """The client of this process for the cluster that an app's settings name."""
    conf = app.conf
    return shared_client(conf.get("raftzmq_endpoints"), conf.get("raftzmq_key"))


def namespace_of(app: Celery) -> str:
    return str(app.conf.get("raftzmq_namespace") or "celery/")


# -- beat -----------------------------------------------------------------------------------------


class Scheduler(beat.Scheduler):  # type: ignore[misc]
    """A scheduler of which several run and one sends: whoever holds the lock `beat`. The times of
    the last runs are in the cluster, so whoever follows goes on where it stopped.

    A run is noted first, in a write that only the holder of the lock can do, and then sent. So no
    run is sent twice, whatever happens to beats, clocks and nodes. A run whose beat dies between
    the note and the sending is not sent; the next one is.
    """

    max_interval = 5

    def __init__(self, app: Celery, *args: Any, **kwargs: Any) -> None:
        self._namespace = namespace_of(app)
        self._ttl_s = app.conf.get("raftzmq_beat_ttl") or 10
        self._loaded = 0
        self._ticking = False
        super().__init__(app, *args, **kwargs)

    @cached_property
    def client(self) -> Client:
        return client_of(self.app)

    @cached_property
    def lock(self) -> Lock:
        return self.client.lock(f"{self._namespace}beat", ttl=self._ttl_s)

    @property
    def info(self) -> str:
        return f"    . raftzmq -> lock {self._namespace}beat"

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, if this is the one that sends. Returns seconds until the next."""
        self._ticking = True
        try:
            self._lead()
            seconds: float = super().tick(*args, **kwargs)
        except NotAcquired:
            return 0
        except RaftzmqError as error:
            log.error("beat: nothing sent, and tried again soon: %s", error)
            self._loaded = 0
            if isinstance(error, Fenced):  # somebody released it by its token
                _leave(self.lock)
            return RETRY_S
        finally:
            self._ticking = False
        return seconds

    def reserve(self, entry: beat.ScheduleEntry) -> beat.ScheduleEntry:
        """Note a run before it is sent. What this raises, nothing is sent for."""
        if not self._ticking:  # else it leads already, or has just lost what it knew
            self._lead()
        following = next(entry)
        try:
            self._note(following)
        except OutcomeUnknown:
            log.error("beat: this run of %s may be left out", entry.name)
            raise
        self.schedule[entry.name] = following
        return following

    def close(self) -> None:
        """Let another beat go on at once. Celery calls it in a signal's handler too, in the middle
        of whatever runs, and then once more when that is left."""
        try:
            if "lock" in self.__dict__ and self.lock.held and not self._ticking:
                self._loaded = 0
                self.lock.release()
        except RaftzmqError as error:
            log.warning("beat: another goes on when the lock's time is over: %s", error)
        finally:
            super().close()

    def _lead(self) -> None:
        """Have the lock, and know the runs of whoever had it before. Raises NotAcquired."""
        if not self.lock.held:
            self.lock.acquire(timeout=WAIT_S)
            log.info("beat: this one sends, with token %s", self.lock.token)
        if self._loaded != self.lock.token:
            self._load()
            self._loaded = self.lock.token

    def _load(self) -> None:
        known = self._notes()
        for name, entry in self.schedule.items():
            if (note := known.get(name)) is None:
                self._note(entry)  # its time runs from here, also for those that follow
            else:
                entry.last_run_at, entry.total_run_count = note
        self._heap = None  # what is due next is reckoned anew

    def _notes(self) -> dict[str, tuple[datetime, int]]:
        """Name of each entry -> when it last ran, and how often it has."""
        prefix, start, more = f"{self._namespace}beat/", f"{self._namespace}beat/", True
        known = {}
        while more:
            found = self.client.range(start, f"{self._namespace}beat0")  # behind the prefix
            for item in found:
                at, count = json.loads(item.value)
                known[item.key[len(prefix) :]] = (self._here(datetime.fromisoformat(at)), count)
                start = item.key + "\0"
            more = found.more
        return known

    def _here(self, at: datetime) -> datetime:
        """In the app's time zone, as the times that Celery makes."""
        return at.astimezone(self.app.timezone) if at.tzinfo else at

    def _note(self, entry: beat.ScheduleEntry) -> None:
        note = json.dumps([entry.last_run_at.isoformat(), entry.total_run_count])
        self.client.put(f"{self._namespace}beat/{entry.name}", note, fence=self.lock)


# -- tasks ----------------------------------------------------------------------------------------

_held: ContextVar[Lock] = ContextVar("raftzmq lock")


def held_lock() -> Lock:
    """That of the exclusive task that runs here, for the fence of its writes. Raises NotHeld."""
    try:
        return _held.get()
    except LookupError:
        raise NotHeld("no exclusive task runs here") from None


def exclusive(
    name: str | None = None,
    *,
    otherwise: Literal["skip", "retry"] = "skip",
    wait: float = 0,
    ttl: float = 10,
    countdown: float | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T | None]]:
    """Of a task, one call at a time runs with the same arguments.

        @app.task
        @exclusive("report-{day}")
        def report(day: str) -> None: ...

    `name` is that of the lock, with the names of parameters in braces; None: the function's, and
    all its arguments. Whoever does not get the lock within `wait` seconds returns None ("skip"), or
    is tried again by Celery ("retry") after `countdown` seconds. If the worker dies, the lock is
    free `ttl` seconds later. A task that loses its lock while it runs fails with LeaseExpired.
    Raises InvalidRequest for a placeholder that is no parameter.
    """
    if otherwise not in ("skip", "retry"):
        raise InvalidRequest(f"otherwise is skip or retry, not {otherwise!r}")

    def decorate(function: Callable[P, T]) -> Callable[P, T | None]:
        signature = inspect.signature(function)
        whole = f"{function.__module__}.{function.__qualname__}"
        if name is not None:
            _check(name, signature)

        def lock_of(arguments: dict[str, Any]) -> str:
            plain = {k: v for k, v in arguments.items() if not isinstance(v, Task)}
            return _short(f"{whole}{plain}" if name is None else name.format(**arguments))

        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> T | None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            app = current_app._get_current_object()
            lock_name = namespace_of(app) + lock_of(bound.arguments)
            lock = client_of(app).lock(lock_name, ttl=ttl)
            try:
                lock.acquire(timeout=wait)
            except NotAcquired as busy:
                if otherwise == "retry" and current_task:
                    raise current_task.retry(exc=busy, countdown=countdown) from busy
                if otherwise == "retry":
                    raise
                log.info("%s is skipped: another has %s", whole, lock_name)
                return None
            token = _held.set(lock)
            try:
                result = function(*args, **kwargs)
                lock.check()
                return result
            finally:
                _held.reset(token)
                _leave(lock)

        run.__signature__ = signature  # type: ignore[attr-defined]  # Celery checks calls by it
        return run

    return decorate


def _leave(lock: Lock) -> None:
    """Release it; the next call gets it then."""
    try:
        lock.release()
    except RaftzmqError as error:
        log.warning("%s was lost: %s", lock.name, error)


def _check(name: str, signature: inspect.Signature) -> None:
    try:
        name.format(**dict.fromkeys(signature.parameters, ""))
    except (LookupError, ValueError, AttributeError) as error:
        raise InvalidRequest(f"the name {name!r} does not fit {signature}: {error}") from None


def _short(name: str) -> str:
    if len(name.encode("utf-8", "replace")) <= NAME_BYTES:
        return name
    return f"{name[:40]}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}"
