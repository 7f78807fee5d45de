"""The pool: a counter from which claims take permits, and into which they put them back.

Nobody else uses it. So it has as many permits as it was made with, but for those that somebody has
taken and not put back, and those of which nobody can know: requests that take or put back and whose
answer nobody waits for any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from raftzmq.client.session.acquisition import LEASE, OVER, TAKEN, TAKING, Acquisition
from raftzmq.machine.tables.places import COUNTER
from tests.sim.story import Violation

POOL: Final = "pool"
CAPACITY: Final = 3


class Account:
    """What a client has of the pool."""

    def __init__(self) -> None:
        self.taken = 0
        self.doubtful = 0
        """Permits that may be taken, or may be in the pool."""


class Withdrawal(Acquisition):
    """Permits that are taken from the pool, with its account."""

    def __init__(self, account: Account, permits: int, **options: Any) -> None:
        self._account = account
        self._phase = LEASE
        super().__init__(COUNTER, POOL, permits=permits, capacity=CAPACITY, **options)

    @property
    def phase(self) -> str:
        return self._phase

    @phase.setter
    def phase(self, phase: str) -> None:
        was, self._phase = self._phase, phase
        account = self._account
        if phase == TAKING:
            account.doubtful += self.permits
        elif phase == TAKEN:
            account.doubtful -= self.permits
            account.taken += self.permits
        elif was == TAKING and phase == LEASE:  # the answer was that there is no such place
            account.doubtful -= self.permits
        elif was == TAKEN and phase == OVER:  # given up: they are put back, without an answer
            account.taken -= self.permits
            account.doubtful += self.permits


def check_pool(permits: int, accounts: Iterable[Account]) -> None:
    """Raise Violation if the pool has not the permits that it should have, free or granted."""
    accounts = list(accounts)
    most = CAPACITY - sum(account.taken for account in accounts)
    least = most - sum(account.doubtful for account in accounts)
    if not least <= permits <= most:
        raise Violation(
            f"permits of the pool are {'lost' if permits < least else 'too many'}: it has "
            f"{permits}, and by what clients know {least} to {most}"
        )
