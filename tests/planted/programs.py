"""Bugs of a user's state machine, and of what runs it. Worlds with a bank show them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import orjson

from examples.bank import Bank
from raftzmq.machine import snapshots
from raftzmq.machine.tables.program import ProgramState
from raftzmq.state_machine.definition import Moment
from raftzmq.state_machine.host import Host, Ran
from tests.planted.defect import Defect
from tests.sim.world import World

if TYPE_CHECKING:
    import pytest


def deposit_with(patch: pytest.MonkeyPatch, more: Callable[[Bank], None]) -> None:
    """Every bank's deposits do `more` than they should."""
    method = Bank._methods["deposit"]
    deposit = method.function

    def both(bank: Bank, name: str, amount: int) -> Any:
        has = deposit(bank, name, amount)
        more(bank)
        return has

    patch.setattr(method, "function", both)
    patch.setattr(World, "bank_share", 1)


def look_at_the_clock(patch: pytest.MonkeyPatch) -> None:
    deposit_with(patch, lambda bank: setattr(bank, "used_ns", time.time_ns()))


def count_outside_of_the_state(patch: pytest.MonkeyPatch) -> None:
    deposits = itertools.count()
    deposit_with(patch, lambda bank: setattr(bank, "deposits", next(deposits)))


def keep_what_a_method_did_before_it_declined(patch: pytest.MonkeyPatch) -> None:
    def call(
        host: Host,
        text: str,
        version: int,
        method: str,
        arguments: str,
        time_ms: int,
        revision: int,
    ) -> Ran:
        found, given = host._found(method, arguments)
        machine = host._loaded(text, Moment(time_ms, version, f"{host.name} {revision}"))
        ran = Host._run(host, method, lambda: (found.function(machine, *given), machine))
        return (*ran[:2], orjson.dumps(machine.dump()).decode())

    patch.setattr(Host, "call", call)
    patch.setattr(World, "bank_share", 1)


def begin_anew_from_a_snapshot(patch: pytest.MonkeyPatch) -> None:
    def read(name: str = "", version: int = 0, text: str = "") -> ProgramState:
        return ProgramState(name, version, text and '{"accounts":{}}')

    patch.setattr(snapshots, "ProgramState", read)
    patch.setattr(World, "bank_share", 1)


DEFECTS: Final = (
    Defect(
        39,
        "a user's method looks at the wall clock",
        look_at_the_clock,
        r"have different states at index|calls time\.time_ns, which is not the same on every node",
        seeds=20,
    ),
    Defect(
        40,
        "a user's method counts outside of its state",
        count_outside_of_the_state,
        r"have different states at index|did one thing, and another when it was run again",
        seeds=20,
    ),
    Defect(
        41,
        "what a user's method did before it declined is kept",
        keep_what_a_method_did_before_it_declined,
        r"by its place in the log it should have given",
        seeds=20,
    ),
    Defect(
        42,
        "a snapshot brings back the first state of a user's state machine",
        begin_anew_from_a_snapshot,
        r"have different states at index",
        seeds=20,
    ),
)
