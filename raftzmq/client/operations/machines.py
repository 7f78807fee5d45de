"""Calls of the methods of a state machine of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from raftzmq import limits
from raftzmq.client.operations.arguments import (
    TIMEOUT_S,
    Answer,
    Operation,
    quoted,
    read,
    utf8_bytes,
    write,
)
from raftzmq.errors import InvalidRequest

_PLAIN: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def call_of(
    method: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    timeout: float | None,
) -> Operation[Any]:
    """Call a method that `replicated` or `query` marks, with arguments that it takes. Raises
    InvalidRequest."""
    from raftzmq.state_machine.definition import method_of  # it is there, if the call is right

    found = method_of(method)
    if found is None or not found.owner:
        raise InvalidRequest(
            "call takes a method of a StateMachine that is marked @replicated or @query, such as "
            f"Counter.add, not {quoted(method)}"
        )
    try:
        bound = found.signature.bind(None, *args, **kwargs)
    except TypeError as error:
        raise InvalidRequest(f"{found.owner}.{found.name}: {error}") from None
    bound.apply_defaults()
    try:
        arguments = orjson.dumps(bound.args[1:], option=_PLAIN).decode()
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(
            f"{found.owner}.{found.name}: the arguments are not plain JSON: {error}"
        ) from None
    if utf8_bytes(arguments) > limits.VALUE_BYTES:
        raise InvalidRequest(
            f"{found.owner}.{found.name}: the arguments have over {limits.VALUE_BYTES} bytes"
        )
    parts = [found.owner, found.name, arguments]
    timeout = TIMEOUT_S if timeout is None else timeout
    if found.writes:
        return write("call", parts, _result, timeout)
    return read("ask", parts, _result, timeout)


def _result(answer: Answer) -> Any:
    (text,) = answer.body
    return orjson.loads(text)
