"""Peers are found by name; a name that has no address yet is ordinary, and is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.ports import free_ports
from tests.system.processes import NodeProcess, wait_for

pytestmark = pytest.mark.system


def test_a_peer_whose_name_does_not_resolve_is_told_and_breaks_nothing(tmp_path: Path) -> None:
    port = free_ports()
    node = NodeProcess("raft-0", tmp_path, port)
    node.arguments = ["--peers", f"raft-0=127.0.0.1:{port},raft-1=raft-1.nowhere.invalid:6000"]
    node.arguments += ["--listen", f"tcp://127.0.0.1:{port}"]
    try:
        node.start()

        def told() -> bool:
            status = node.status()
            return status is not None and status["unresolved"] == {
                "raft-1": "raft-1.nowhere.invalid"
            }

        wait_for("raft-0 tells which name does not resolve", told)
        assert node.is_running
    finally:
        node.kill()
