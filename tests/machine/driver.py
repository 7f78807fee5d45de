"""A machine with a log position, a clock and one client, so that tests say only what they mean."""

from __future__ import annotations

from typing import Any

import orjson

from raftzmq.machine import Machine, Result, validate_read, validate_write


class Driver:
    """Feeds a machine entry by entry, as a node does; operations are validated first."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.index = 0
        self.time_ms = 0
        self.serial = 0
        self.session = self.open()

    def apply(self, session: int, ack: int, op: list[Any]) -> Result:
        """Apply a command as the next entry."""
        self.index += 1
        return self.machine.apply(self.index, self.time_ms, [session, ack, op])

    def open(self) -> int:
        """Open a session and return its number."""
        result = self.apply(0, 0, [0, "open"])
        assert result == ("ok", self.index, self.index)
        return self.index

    def try_open(self) -> Result:
        """Open a session, or be refused."""
        return self.apply(0, 0, [0, "open"])

    def send(
        self, serial: int, name: str, *arguments: Any, ack: int = 0, session: int = 0
    ) -> Result:
        """Send a write of a session (the driver's own unless told) with that serial."""
        op = [serial, name, *arguments]
        validate_write(op)
        return self.apply(session or self.session, ack, op)

    def write(self, name: str, *arguments: Any) -> Result:
        """Send a write with the next serial, everything before it acknowledged."""
        self.serial += 1
        return self.send(self.serial, name, *arguments, ack=self.serial)

    def expire(self) -> int:
        """Apply the internal command `expire`; return how many sessions it forgot."""
        code, _, body = self.apply(0, 0, [0, "expire"])
        assert code == "ok"
        return int(body)

    def read(self, name: str, *arguments: Any) -> Any:
        """Return the body of a read."""
        op = [1, name, *arguments]
        validate_read(op)
        code, revision, body = self.machine.read(op)
        assert (code, revision) == ("ok", self.machine.revision)
        return body

    def keys(self) -> list[str]:
        """Return all keys in order."""
        items, more = self.read("range", "", "", 10_000)
        assert not more
        return [key for key, _, _ in items]

    def reborn(self) -> Machine:
        """Return the machine after a trip through a snapshot file."""
        return restored(self.machine)


def restored(machine: Machine) -> Machine:
    """Return what a machine is after a trip through a snapshot file."""
    return Machine.restore([orjson.loads(orjson.dumps(record)) for record in machine.snapshot()])
