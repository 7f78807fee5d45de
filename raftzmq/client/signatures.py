"""Methods that are made of functions: they look as if they were written out in their class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import update_wrapper
from inspect import Parameter
from typing import Any


def present(method: Callable[..., Any], asks: Callable[..., Any], owner: str) -> None:
    """Give a method of the class `owner` the name, the docstring and the signature of the function
    that says what it asks."""
    update_wrapper(method, asks)
    name = asks.__name__.rstrip("_")
    method.__name__, method.__qualname__ = name, f"{owner}.{name}"
    returns = asks.__annotations__["return"].partition("[")[2].removesuffix("]")
    method.__annotations__ = {**asks.__annotations__, "return": returns}
    seen = inspect.signature(asks)
    parameters = [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *seen.parameters.values()]
    made: Any = method  # mypy knows no such attribute of functions
    made.__signature__ = seen.replace(parameters=parameters, return_annotation=returns)
