"""Names that are made of the arguments of a call: `@db.lock("report-{id}")`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter
from string import Formatter
from typing import Any

from raftzmq.client.operations.arguments import quoted
from raftzmq.errors import InvalidRequest

_MANY = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)

NameOf = Callable[[tuple[Any, ...], Mapping[str, Any]], str]
"""From the arguments of a call, the name that they give."""


def name_of_call(template: str, function: Callable[..., Any]) -> NameOf:
    """How a call of the function fills the placeholders of a name. Each is the name of a parameter
    in braces; `{{` and `}}` are braces. Raises InvalidRequest for any other."""
    try:
        parts = [*Formatter().parse(template)]
    except ValueError as error:
        raise InvalidRequest(
            f"{quoted(template)} is not a name with placeholders ({error}): write {{{{ and }}}} "
            "for braces"
        ) from None
    wanted = [field for _, field, _, _ in parts if field is not None]
    if not wanted:
        literal = "".join(text for text, _, _, _ in parts)
        return lambda _args, _kwargs: literal
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise InvalidRequest(
            f"a placeholder in {quoted(template)} is a parameter's name alone: leave out what "
            "follows it"
        )
    signature = _signature(template, function)
    named = {name for name, one in signature.parameters.items() if one.kind not in _MANY}
    for field in wanted:
        if field not in named:
            raise InvalidRequest(
                f"{{{field}}} in {quoted(template)} is not a parameter of "
                f"{getattr(function, '__name__', 'the function')}: it has "
                f"{', '.join(sorted(named)) or 'none'}"
            )

    def fill(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        return "".join(text + ("" if f is None else f"{given[f]}") for text, f, _, _ in parts)

    return fill


def check_function(function: object, what: str, *, waits: bool) -> None:
    """Raise InvalidRequest unless it is a function whose body runs within the call: for the asyncio
    client (`waits`) a coroutine function, for the blocking one a plain one."""
    if not callable(function):
        raise InvalidRequest(f"{what} decorates a function, not {quoted(function)}")
    kinds = (function, inspect.getattr_static(type(function), "__call__", None))
    if any(inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one) for one in kinds):
        raise InvalidRequest(
            f"{what} cannot decorate a generator, whose body runs after the call: use `with` in it"
        )
    coroutine = any(inspect.iscoroutinefunction(one) for one in kinds)
    if coroutine and not waits:
        raise InvalidRequest(f"{what} of Client decorates plain functions: use AsyncClient here")
    if waits and not coroutine:
        raise InvalidRequest(f"{what} of AsyncClient decorates coroutine functions: use Client")


def _signature(template: str, function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"the placeholders in {quoted(template)} cannot be filled: {error}"
        ) from None
