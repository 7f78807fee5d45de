"""Which tests of both clients the fakes of raftzmq.testing do not run, and why."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Final

FILES: Final = ("test_clients", "test_groups", "test_locks", "test_watches")
"""Where the tests are that fakes run."""

NOT_OF_FAKES: Final[dict[str, str]] = {
    "test_every_operation_gives_its_result": "a node with Raft begins at term 2",
    "test_a_loss_within_with_is_told_as_one": "real time passes, with the nodes cut off",
    "test_what_the_body_raises_is_not_hidden_by_a_loss": "real time passes, with the nodes cut off",
    "test_no_permit_is_lost_when_waiters_give_up_as_it_comes": "threads wait, 0.2 s for each other",
}
"""Besides those that have a node misbehave, or look at what it got: a fake's node does as it
should, and is asked by nobody else."""


def can_be_of_fakes(test: Callable[..., Any]) -> bool:
    """Whether fakes run it: of the cluster it uses no more than the endpoints."""
    if test.__module__.rpartition(".")[2] not in FILES:
        return False
    others = re.findall(r"\bcluster\.(?!endpoints\b)", inspect.getsource(test))
    return not others and test.__name__ not in NOT_OF_FAKES
