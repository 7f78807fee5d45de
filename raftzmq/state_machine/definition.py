"""What a user writes: the class, and which of its methods are called through the cluster."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar, overload

from raftzmq.state_machine.draws import Draws

F = TypeVar("F", bound=Callable[..., Any])

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")

_MARK: Final = "__raftzmq_method__"


@dataclass(slots=True)
class Method:
    """A method that is called through the cluster. `owner` is the name of its state machine."""

    name: str
    function: Callable[..., Any]
    signature: inspect.Signature
    writes: bool
    since: int
    owner: str = ""


class Moment(NamedTuple):
    """When a method runs: the replicated time, the version in force, and what seeds draws."""

    time_ms: int
    version: int
    seed: str


@overload
def replicated(method: F, /) -> F: ...


@overload
def replicated(*, since: int = 1) -> Callable[[F], F]: ...


def replicated(method: Any = None, /, *, since: int = 1) -> Any:
    """A method that may change the state: it is an entry of the log, and every node runs it.

    Its arguments and its result are JSON. `since` is the version of the state machine that has it
    first. Whatever it raises, nothing is changed.

        @replicated
        def add(self, amount: int) -> int: ...

        @replicated(since=2)
        def reset(self) -> None: ...
    """
    return _marked(method, since, writes=True)


@overload
def query(method: F, /) -> F: ...


@overload
def query(*, since: int = 1) -> Callable[[F], F]: ...


def query(method: Any = None, /, *, since: int = 1) -> Any:
    """A method that changes nothing: one node runs it, on a state with all writes that were
    answered before. What it changes all the same is forgotten.

        @query
        def total(self) -> int: ...
    """
    return _marked(method, since, writes=False)


def _marked(method: Any, since: int, *, writes: bool) -> Any:
    def mark(function: F) -> F:
        name = getattr(function, "__name__", "")
        if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(f"{name or function!r} must be a plain function of a class")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{name} must return its result, and not yield")
        if name.startswith("_") or not NAME.fullmatch(name):
            raise TypeError(f"{name} must be a name of ASCII letters that begins with none of _")
        if type(since) is not int or since < 1:
            raise TypeError(f"{name}: since must be a version, 1 or above")
        signature = inspect.signature(function)
        for parameter in signature.parameters.values():
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
                raise TypeError(f"{name}: {parameter} cannot be passed on: arguments have an order")
        setattr(function, _MARK, Method(name, function, signature, writes, since))
        return function

    return mark if method is None else mark(method)


class StateMachine:
    """The base of a state machine of one's own.

    Its attributes are its state: numbers, text, booleans, None, and lists and dictionaries with
    text as keys, of these. `__init__` takes no arguments and makes the state at the beginning. A
    state that is something else is written by `dump` and read by `load`.

        class Bank(StateMachine, name="bank", version=2): ...

    `name` is what clients and rights call it, by default that of the class. `version` rises with
    each release of the class that does something else than the one before.
    """

    __slots__ = ("__dict__", "__weakref__", "_draws", "_moment")

    def __init_subclass__(cls, *, name: str | None = None, version: int = 1, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        cls._name = cls.__name__ if name is None else name
        cls._version = version
        if not NAME.fullmatch(cls._name):
            raise TypeError(f"{cls._name!r} is no name: up to 64 ASCII letters, digits, _ and -")
        if type(version) is not int or version < 1:
            raise TypeError(f"{cls.__name__}: version must be a whole number from 1")
        if StateMachine not in cls.__bases__:
            raise TypeError(f"{cls.__name__} must have StateMachine itself as a base")
        cls._methods = {}
        for attribute in vars(cls).values():
            method = method_of(attribute)
            if method is not None:
                if method.since > version:
                    raise TypeError(f"{method.name} is of version {method.since}: give version=")
                method.owner = cls._name
                cls._methods[method.name] = method

    _name: str
    _version: int
    _methods: dict[str, Method]
    _moment: Moment
    _draws: Draws | None

    @property
    def time_ms(self) -> int:
        """The replicated time: milliseconds, the same on every node, never going back. It is that
        of the leader which took the call."""
        return self._moment.time_ms

    @property
    def random(self) -> Draws:
        """Draws that are the same on every node, and others in each call. They are no secret."""
        if self._draws is None:
            self._draws = Draws(self._moment.seed)
        return self._draws

    @property
    def version_in_force(self) -> int:
        """The version that all nodes have. While it is below the class's own, methods do what they
        did in that version."""
        return self._moment.version

    def migrate(self, version: int) -> None:
        """Make the state one of that version, from one of the version before: once, in the entry
        that puts the version into force. Attributes that are new in a version are set here, and
        not in `__init__`."""

    def dump(self) -> Any:
        """The state as JSON has it. By default it is the attributes."""
        return dict(vars(self))

    def load(self, state: Any) -> None:
        """Take a state that `dump` gave, on an object whose `__init__` was not called."""
        vars(self).update(state)


def method_of(function: object) -> Method | None:
    """What `replicated` or `query` noted of a function; None: it is another."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Method) else None
