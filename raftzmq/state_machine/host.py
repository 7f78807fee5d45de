"""What runs the methods of a user's class, as machine/tables/program.py wants it.

Each call begins with an object that is made of the state's JSON, and ends with the JSON of the
state afterwards. So there is nothing but the state that one call could leave to the next, and what
a method did before it raised is gone with its object. A node that comes from a snapshot does the
same as one that ran all calls.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson

from raftzmq import limits
from raftzmq.errors import InvalidRequest, MissingProgram, Unsupported
from raftzmq.state_machine.definition import Method, Moment, StateMachine
from raftzmq.state_machine.errors import Rejected

PLAIN: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
"""What has a type of its own is not taken for what it looks like: it would come back as that."""

DEPTH: Final = 500
"""So many calls within one another a method may make. Without a bound of its own it would depend on
where this node stands whether one is too many."""

WORDS: Final = 1000
"""The most characters of a refusal's words."""

Ran = tuple[str, Any, str | None]


class Host:
    """Runs one class."""

    def __init__(self, cls: type[StateMachine], tell: Callable[[str], None] | None = None) -> None:
        """`tell` is given the traceback of each method that failed: a node writes it into its
        log."""
        self._cls = cls
        self._methods = cls._methods
        self._tell = tell

    @property
    def name(self) -> str:
        """What the state machine is called."""
        return self._cls._name

    @property
    def version(self) -> int:
        """The version of the class."""
        return self._cls._version

    # -- beginning, and later versions ------------------------------------------------------------

    def first(self, version: int) -> Ran:
        """The state at the beginning, in that version."""

        def begin() -> Any:
            machine = self._object(Moment(0, 1, f"{self.name} 0"))
            type(machine).__init__(machine)
            return self._migrated(machine, 1, version)

        return self._run("__init__", begin)

    def migrate(self, text: str, before: int, version: int) -> Ran:
        """The state in a later version."""

        def begin() -> Any:
            machine = self._loaded(text, Moment(0, before, f"{self.name} 0"))
            return self._migrated(machine, before, version)

        return self._run("migrate", begin)

    def _migrated(self, machine: StateMachine, before: int, version: int) -> Any:
        for step in range(before + 1, version + 1):
            machine._moment = machine._moment._replace(version=step)
            machine.migrate(step)
        return None, machine

    # -- calls ------------------------------------------------------------------------------------

    def check(self, version: int, method: str, arguments: str, *, writes: bool) -> None:
        """Raises InvalidRequest for what cannot be called, and Unsupported for a method that a
        later version has."""
        found = self._methods.get(method)
        if found is None or found.writes != writes:
            kind = "replicated method" if writes else "query"
            others = [name for name, other in self._methods.items() if other.writes == writes]
            raise InvalidRequest(
                f"{self.name} has no {kind} {method}; there are {', '.join(others)[:500]}"
            )
        try:
            found.signature.bind(None, *json.loads(arguments))
        except TypeError as error:
            raise InvalidRequest(f"{self.name}.{method}: {error}") from None
        if found.since > version:
            raise Unsupported(
                f"{self.name}.{method} needs version {found.since} of the state machine, and "
                f"{version} is in force: give every node that version; nothing was changed"
            )

    def call(
        self, text: str, version: int, method: str, arguments: str, time_ms: int, revision: int
    ) -> Ran:
        """Run a method that may change the state."""
        found, given = self._found(method, arguments)
        moment = Moment(time_ms, version, f"{self.name} {revision}")

        def run() -> Any:
            machine = self._loaded(text, moment)
            return found.function(machine, *given), machine

        return self._run(method, run)

    def ask(
        self, text: str, version: int, method: str, arguments: str, time_ms: int, revision: int
    ) -> tuple[str, Any]:
        """Run a method that changes nothing: whatever it does to its object is forgotten."""
        code, body, _ = self.call(text, version, method, arguments, time_ms, revision)
        return code, body

    def _found(self, method: str, arguments: str) -> tuple[Method, list[Any]]:
        """The method, and its arguments. Raises MissingProgram if it is not of this class: the
        leader has checked it, by another one."""
        found, given = self._methods.get(method), json.loads(arguments)
        try:
            if found is None:
                raise TypeError("there is none")
            found.signature.bind(None, *given)
        except TypeError as error:
            raise MissingProgram(
                f"{self.name}.{method} with {len(given)} arguments is in the log, and the class of "
                f"this node cannot take it ({error}): start it with the class that the others have"
            ) from None
        return found, given

    def _object(self, moment: Moment) -> StateMachine:
        machine = self._cls.__new__(self._cls)
        machine._moment, machine._draws = moment, None
        return machine

    def _loaded(self, text: str, moment: Moment) -> StateMachine:
        machine = self._object(moment)
        machine.load(orjson.loads(text))
        return machine

    def _run(self, method: str, run: Callable[[], tuple[Any, StateMachine]]) -> Ran:
        """Run it; what it raises is a result. For lack of memory, which is this node's own, the
        node ends."""
        try:
            with _depth_of_its_own():
                result, machine = run()
            text = _encoded(result, limits.VALUE_BYTES, "its result")
            return "ok", [text], _encoded(_state_of(machine), limits.PROGRAM_BYTES, "the state")
        except Rejected as error:
            words = str(error) or f"{self.name}.{method} declined"
            return "rejected", {"message": _words(words)}, None
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            return "method_failed", {"message": self._failure(method, error)}, None

    def _failure(self, method: str, error: BaseException) -> str:
        """What the caller is told of a method that failed. Its own words may be others in the next
        version of Python: they are for the log."""
        kind = type(error).__name__
        why = str(error) if isinstance(error, _NotPlain) else f"it raised {kind}"
        if self._tell is not None:
            self._tell(f"{self.name}.{method}: {''.join(traceback.format_exception(error))}")
        return f"{self.name}.{method} failed: {why}; nothing was changed"


@contextmanager
def _depth_of_its_own() -> Iterator[None]:
    """Raises RecursionError DEPTH calls below here, wherever here is."""
    before = sys.getrecursionlimit()
    depth, frame = 0, sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + DEPTH)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class _NotPlain(Exception):
    """What is to be kept is not JSON, or too much."""


def _state_of(machine: StateMachine) -> Any:
    state = machine.dump()
    if type(state) is dict:
        for name in state:
            if type(name) is str and name.startswith("_"):
                raise _NotPlain(f"the attribute {name} would not be kept: name it without _")
    return state


def _encoded(value: Any, most: int, what: str) -> str:
    try:
        data = orjson.dumps(value, option=PLAIN)
    except orjson.JSONEncodeError:
        raise _NotPlain(f"{what} is not plain JSON") from None
    if len(data) > most:
        raise _NotPlain(f"{what} takes {len(data)} bytes, the limit is {most}")
    return data.decode()


def _words(text: str) -> str:
    """A refusal's words, as a message can have them."""
    return text[:WORDS].encode("utf-8", "replace").decode()
