"""What a node's log says about its changes: role, leader, members, what it waits for, its disk."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from raftzmq.core.role import Role
from raftzmq.node import Node
from raftzmq.server.text_log import TextLog

_LACKS: Final = {
    "": "the log can be saved again: writes are taken",
    "space": "disk full: writes are refused",
    "files": "too many files are open: writes are refused",
}


class Announcements:
    """Logs each change once."""

    def __init__(self, node: Node, log: TextLog) -> None:
        self._node = node
        self._log = log
        self._looked_at: tuple[object, ...] = ()
        self._seen: tuple[object, ...] = (None,) * 6
        self._twice: dict[str, str] = {}
        self._deaf: dict[str, str] = {}
        self._refusing: Mapping[str, str] = {}
        self._silent: dict[str, str] = {}
        self._unheard = ""

    def tell(self) -> None:
        """Once a turn: write a line for each change since the last turn."""
        node = self._node
        raft = node.raft
        looked_at = (
            *(raft.role, raft.term, raft.leader, raft.membership),
            *(node.removed, node.joining.waiting, node.lacks),
            *(node.admission.twice, node.admission.deaf, node.refusing, node.unheard),
        )
        if looked_at == self._looked_at:  # what follows takes longer, and is for every turn
            return
        self._looked_at = looked_at
        leader = raft.leader.name if raft.leader else None
        seen = (node.role, raft.term, leader, raft.membership, node.joining.waiting, node.lacks)
        before = self._seen
        self._seen = seen
        if seen[:3] != before[:3]:
            self._log("is " + node.role, term=raft.term, leader=leader or "unknown")
        if raft.membership is not before[3] and raft.membership != before[3]:
            members = ",".join(f"{m.id}{'' if m.voter else '(learner)'}" for m in raft.membership)
            self._log("membership", members=members or "none")
        if node.joining.waiting != before[4] and node.joining.waiting is not None:
            self._log(node.joining.waiting)
        if node.lacks != (before[5] or ""):
            self._log(_LACKS[node.lacks], logging.WARNING)
        self._tell_unheard()
        before_twice, self._twice = self._twice, node.admission.twice
        for name, address in self._twice.items():
            if name not in before_twice:
                self._log.warn(
                    f"{name} runs twice, with copies of one data directory: stop one, "
                    "delete its copy",
                    second=address,
                )
        before_deaf, self._deaf = self._deaf, node.admission.deaf
        for name, address in self._deaf.items():
            if name not in before_deaf:
                self._log.warn(
                    f"{name} asks to join, and does not hear the answers at the address it gives: "
                    "start it with another --advertise",
                    address=address,
                )

        before_refusing, self._refusing = self._refusing, node.refusing
        for name, why in self._refusing.items():
            if before_refusing.get(name) != why:
                self._log.warn(f"{name} refuses this node: it {why}")

    def _tell_unheard(self) -> None:
        before, self._unheard = self._unheard, self._node.unheard
        if self._unheard and not before:
            self._log.warn(self._unheard)
        elif before and not self._unheard:
            self._log("the leader hears this node again")

    def silent(self, peers: Mapping[str, str]) -> None:
        """Take which peers do not answer, name -> address. A leader says so of each once."""
        silent = dict(peers) if self._node.raft.role is Role.LEADER else {}
        if silent != self._silent:
            before, self._silent = self._silent, silent
            for name in silent.keys() - before.keys():
                self._log.warn(f"{name} does not answer", address=silent[name])
