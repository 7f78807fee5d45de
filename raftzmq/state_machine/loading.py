"""Finding the class that `--machine PACKAGE.MODULE:CLASS` names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from raftzmq.errors import InvalidRequest
from raftzmq.state_machine.checks import CheckedHost
from raftzmq.state_machine.definition import StateMachine
from raftzmq.state_machine.host import Host


def load(place: str) -> type[StateMachine]:
    """Import the class, also from the working directory. Raises InvalidRequest, in one line that
    says what is wrong."""
    module, colon, name = place.partition(":")
    if not (module and colon and name):
        raise InvalidRequest(f"--machine is PACKAGE.MODULE:CLASS, not {place[:80]!r}")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception as error:  # whatever the user's own code raises
        why = f"{type(error).__name__}: {str(error)[:200]}"
        raise InvalidRequest(f"--machine {place}: {module} cannot be imported: {why}") from error
    if not (isinstance(found, type) and issubclass(found, StateMachine)):
        raise InvalidRequest(
            f"--machine {place}: {module} has no class {name} that derives from StateMachine"
        )
    return found


def host_of(place: str, *, check: bool = False, tell: Callable[[str], None] | None = None) -> Host:
    """What runs the class at that place. With `check` it looks for what differs between nodes.
    Raises InvalidRequest, also if the class cannot begin."""
    host = (CheckedHost if check else Host)(load(place), tell)
    code, body, _ = host.first(host.version)
    if code != "ok":
        raise InvalidRequest(f"--machine {place}: {body['message']}")
    return host
