"""What a lease is to a request: something with a number, or the number."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Leased(ABC):
    """What has a lease: its number is all that the cluster wants to know."""

    @property
    @abstractmethod
    def id(self) -> int: ...


AnyLease = Leased | int
