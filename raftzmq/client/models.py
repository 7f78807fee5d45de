"""Values as JSON: what is written for an object, and the object that is read back.

A model is a class that says what is in the JSON: of pydantic, of msgspec, or a dataclass. Neither
library is imported unless a class of it, or a dataclass, is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any, Final, Generic, TypeVar

import orjson

from raftzmq.client.operations.arguments import quoted
from raftzmq.client.results import Item, Value
from raftzmq.errors import InvalidRequest, InvalidValue

T = TypeVar("T")

REASON_CHARACTERS: Final = 200
"""How much of a library's reason an error repeats."""


class JsonForm(Generic[T]):
    """How values of one type are written and read."""

    def __init__(self, model: type[T]) -> None:
        """`model`: `object` for whatever JSON holds. Raises InvalidRequest for what is none."""
        self._load = _loader(model)
        self._model = model

    def encode(self, value: T) -> str:
        """The JSON of a value. Raises InvalidRequest for what is not of the model, or no JSON."""
        if not isinstance(value, self._model):
            raise InvalidRequest(
                f"a value of this view is a {self._model.__name__}, not {quoted(value)}"
            )
        try:
            return orjson.dumps(value, default=_fragment).decode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"the value is no JSON: {_reason(error)}") from error

    def decode(self, item: Item | None) -> Item[T] | None:
        """The item with what its JSON says as its value. Raises InvalidValue."""
        return None if item is None else self.decode_item(item)

    def decode_item(self, item: Item) -> Item[T]:
        """As `decode`, of an item that is there."""
        try:
            value: T = self._load(item.value)
        except Exception as error:  # a validator of the model may raise anything
            what = "JSON" if self._model is object else f"a {self._model.__name__}"
            raise InvalidValue(
                f"key {item.key!r} at revision {item.revision} is not {what}: {_reason(error)}",
                item.key,
                item.revision,
            ) from error
        return Item(item.key, value, item.revision, item.lease, item.remaining)


def _loader(model: type[Any]) -> Callable[[Value], Any]:
    if model is object:
        return orjson.loads
    if isinstance(model, type):
        if hasattr(model, "model_validate_json") and hasattr(model, "model_dump_json"):
            validate: Callable[[Value], Any] = model.model_validate_json
            return validate
        if hasattr(model, "__struct_fields__") or is_dataclass(model):
            return _decoder(model)
    raise InvalidRequest(
        f"a model is a class of pydantic or msgspec, or a dataclass, not {quoted(model)}"
    )


def _decoder(model: type[Any]) -> Callable[[Value], Any]:
    try:
        from msgspec.json import Decoder
    except ImportError:
        raise InvalidRequest(
            f"reading the dataclass {model.__name__} takes msgspec: pip install msgspec"
        ) from None
    try:
        return Decoder(model).decode
    except TypeError as error:
        raise InvalidRequest(f"msgspec cannot read a {model.__name__}: {error}") from None


def _fragment(value: Any) -> Any:
    """What orjson does not know by itself, as JSON."""
    if hasattr(value, "model_dump_json"):
        return orjson.Fragment(value.model_dump_json())
    if hasattr(value, "__struct_fields__"):
        from msgspec.json import encode

        return orjson.Fragment(encode(value))
    raise TypeError(f"not of a type that JSON knows: {type(value).__name__}")


def _reason(error: BaseException) -> str:
    """Why, in one line. Of pydantic's many lines the first that says what is wrong, and where."""
    found = getattr(error, "errors", None)
    first = found()[0] if callable(found) else None
    if isinstance(first, Mapping):
        where = ".".join(map(str, first.get("loc", ())))
        text = f"{where}: {first.get('msg')}" if where else str(first.get("msg"))
    else:
        text = str(error.__cause__ or error)
    return " ".join(text.split())[:REASON_CHARACTERS]


PLAIN: Final = JsonForm[Any](object)
"""Of whatever JSON holds."""
