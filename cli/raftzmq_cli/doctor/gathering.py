"""The doctor's facts about a cluster: all nodes are asked at once, and then, at once too, why those
that are silent are. Bounded in time, whatever hangs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Thread
from typing import Final

from raftzmq_cli.client import statuses
from raftzmq_cli.client.invocation import ClientInvocation
from raftzmq_cli.client.statuses import Document

WHY_S: Final = 4.0
"""How long to find out why nodes are silent. Resolving a name may take much longer."""


def ask_nodes(run: ClientInvocation) -> tuple[list[Document], int, int]:
    """Return what the nodes say of themselves, and the wall clock before and after, in
    milliseconds."""
    asked_ms = _now_ms()
    documents = statuses.collect(run)
    answered_ms = _now_ms()
    silent = [d for d in documents if "error" in d and "code" not in d]
    _explain(run, silent)
    return documents, asked_ms, answered_ms


def _explain(run: ClientInvocation, silent: Sequence[Document]) -> None:
    """Put into words why endpoints do not answer, one thread each."""
    threads = [Thread(target=_explain_one, args=(run, d), daemon=True) for d in silent]
    for thread in threads:
        thread.start()
    deadline_s = time.monotonic() + WHY_S
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))


def _explain_one(run: ClientInvocation, document: Document) -> None:
    document["error"] = run.why_silent_at(document["endpoint"])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
