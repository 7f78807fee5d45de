"""Worlds that have a bank: the state machine of users' own of examples/bank.py.

Its calls are part of the history, and judged like all else: by a plain model, by the replay of the
log, and by the states of all nodes. The replay looks for what nodes could do differently, too.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

import orjson

from examples.bank import Bank
from raftzmq.client.operations.arguments import Operation
from raftzmq.client.operations.machines import call_of
from raftzmq.machine import Program
from raftzmq.state_machine.checks import CheckedHost
from raftzmq.state_machine.host import Host

if TYPE_CHECKING:
    from tests.sim.world import World

ASKED: Final = 0.3
"""Share of a client's operations that are the bank's then."""

NAMES: Final = ("ann", "bob", "eve")


def program_of(world: World) -> Program | None:
    """What every machine of the world is started with."""
    return Host(Bank) if _has_bank(world) else None


def checked_program_of(world: World) -> Program | None:
    """The same for the replay of the log."""
    return CheckedHost(Bank) if _has_bank(world) else None


def customer(world: World, name: str) -> Random | None:
    """What a client draws its calls from; None if there is no bank."""
    return Random(f"{world.seed} {name} bank") if _has_bank(world) else None


def drawn(random: Random, *, reads: bool) -> Operation[Any] | None:
    """A call, now and then; with `reads` one that changes nothing."""
    if random.random() > ASKED:
        return None
    payer, payee = random.choice(NAMES), random.choice(NAMES)
    amount = random.choice([-1, 1, 5, 20, 100])
    if reads or random.random() < 0.3:
        method: Any = random.choice([Bank.total, Bank.balance])
        return call_of(method, [payer][: method is Bank.balance], {}, None)
    if random.random() < 0.4:
        return call_of(Bank.deposit, [payer, amount], {}, None)
    return call_of(Bank.pay, [payer, payee, amount], {}, None)


def form_of(work: Operation[Any]) -> tuple[str, list[Any]]:
    """The name and the arguments of an operation, as on the wire."""
    name, *arguments = orjson.loads(b"[" + work.tail)
    return name, arguments


def _has_bank(world: World) -> bool:
    """Drawn by itself, so that all else in a world is as it would be without."""
    chance = Random(f"bank in {world.seed}").random()
    alone = world.options.alone
    return chance < world.bank_share and not world.builds.began_mixed and not alone
