"""Platforms on which nobody but a person keeps the number of replicas: processes and containers."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Final

from tests.acceptance.expectation import until
from tests.acceptance.platforms import Platform, last_line, replica_names
from tests.acceptance.view import unsettled

CHANGE_S: Final = "20"
"""Seconds that one try to change the membership may take."""


class ByHand(Platform):
    """Does what a person has to do without Kubernetes."""

    @abstractmethod
    def running(self) -> list[str]:
        """The replicas that run, in the order of their ordinals."""

    @abstractmethod
    def start(self, node: str) -> None:
        """Start a replica, with the disk that it had, if it had one."""

    @abstractmethod
    def stop(self, node: str) -> None:
        """Stop a replica as SIGTERM does, and wait for its end."""

    @abstractmethod
    def remove_disk(self, node: str) -> None:
        """Remove the disk of a replica that is no member any more."""

    def replace(self, node: str) -> None:
        self.start(node)

    def scale(self, replicas: int) -> None:
        wanted = replica_names(replicas)
        for name in [name for name in wanted if name not in self.running()]:
            self.start(name)
            self._change("add", name)
        for name in [name for name in reversed(self.running()) if name not in wanted]:
            self._change("remove", name)
            self.stop(name)
            self.remove_disk(name)

    def surplus(self, replicas: int) -> str | None:
        surplus = [name for name in self.running() if name not in replica_names(replicas)]
        return f"{', '.join(surplus)} still run" if surplus else None

    def roll(self) -> None:
        """One after the other, each when all of them are ready."""
        names = self.running()
        for name in names:
            self.stop(name)
            self.upgrade(name)
            until(f"{name} ready before the next is stopped", partial(self._unsettled, name))
            self.say(f"{name} is replaced")

    @abstractmethod
    def upgrade(self, node: str) -> None:
        """Start the next version of a replica that was stopped."""

    def _unsettled(self, started: str) -> str | None:
        names = self.running()
        return unsettled(self.statuses(), names, names) or self.unready(started)

    def _change(self, action: str, name: str) -> None:
        """`client member ACTION`, until it is done: a node that has just started must first make
        itself known, and a leader may change on the way."""

        def look() -> str | None:
            done = self.client("--timeout", CHANGE_S, "member", action, name)
            if done.code == 0:
                self.say(f"client member {action} {name}: {last_line(done.out)}")
                return None
            members = self.client("member", "list", "-w", "json").out
            if (f'"{name}"' in members) is (action == "add") and action == "remove":
                return None
            return done.said

        until(f"client member {action} {name}", look)
