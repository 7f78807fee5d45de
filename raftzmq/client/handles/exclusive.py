"""What one thread or task may do at a time, with an object that several have."""

from __future__ import annotations

from raftzmq.client.shell import Shell
from raftzmq.errors import InvalidRequest


class Exclusive:
    """A `with` that lets one thread or task in, and refuses another meanwhile. Whoever an interrupt
    has taken out before the last step of the `with` gets in again."""

    def __init__(self, shell: Shell, refusal: str) -> None:
        """`refusal` is the text of the error, and says what to do."""
        self._caller = shell.caller
        self._refusal = refusal
        self._inside: dict[str, object] = {}

    def __enter__(self) -> None:
        me = self._caller()
        if self._inside.setdefault("one", me) != me:  # one step: no thread comes in between
            raise InvalidRequest(self._refusal)

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Let others in, if it is the caller who is inside."""
        if self._inside.get("one") == self._caller():
            self._inside.pop("one", None)
