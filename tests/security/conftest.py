"""What these tests share: a running cluster of three."""

from __future__ import annotations

from tests.system.conftest import cluster

__all__ = ["cluster"]
