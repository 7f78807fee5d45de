"""Why a peer that listens takes no link of this node: a thread tries the handshake and looks.

CURVE tells a socket nothing, and libzmq gives a link up for ever once its key was refused. So what
is found here opens it anew: with another of the accepted keys, while keys are rotated, or once the
peer takes this node's key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Thread
from typing import Final

from raftzmq.access.keys import KeyPair, PublicKey
from raftzmq.transport.handshakes import Finding, Verdict, inspect
from raftzmq.transport.links import PeerLinks

LOOK_MS: Final = 250
"""Time between two looks at which links are up, and at those that are not."""

PATIENCE_MS: Final = 2000
"""How long a link that should come up is left alone."""

WORDS: Final[Mapping[Verdict, str]] = {
    Verdict.WANTS_KEY: "wants a key: start this node with --keys DIR",
    Verdict.UNKNOWN_KEY: "does not know this node's key: give both the same node.key",
    Verdict.FOREIGN: "is not of the cluster that this node's node.key is for, or no node",
    Verdict.PLAIN: "runs without keys: start it with --keys DIR",
}
"""What a peer that refuses this node does, and the cure."""

Inspect = Callable[[str, KeyPair | None, Sequence[PublicKey]], Finding]


@dataclass(frozen=True, slots=True)
class _Task:
    """Which links are down, name -> HOST:PORT, and with what to try them."""

    down: Mapping[str, str]
    own: KeyPair | None = None
    accepted: tuple[PublicKey, ...] = ()


class LinkInspection:
    """Inspects the links that are down. The loop replaces the task as a whole, and the thread the
    findings."""

    def __init__(self, links: PeerLinks, inspect: Inspect = inspect) -> None:
        self._links = links
        self._inspect = inspect
        self._end = Event()
        self._task = _Task({})
        self._findings: Mapping[str, Finding] = {}
        self._taken: Mapping[str, Finding] = {}
        self._refusing: Mapping[str, str] = {}
        self._opened_ms: dict[str, int] = {}
        self._next_ms = 0
        self._thread = Thread(target=self._run, name="links", daemon=True)
        self._thread.start()

    def look(self, peers: Collection[str], now_ms: int) -> Mapping[str, str]:
        """Which peers refuse this node, and why in words. Opens links anew that can come up now.
        Raises RuntimeError if the thread has died."""
        if not self._thread.is_alive():
            raise RuntimeError("the thread that inspects the links to peers has died")
        if self._findings is not self._taken:
            self._taken = self._findings
            self._take(self._taken, now_ms)
        if now_ms >= self._next_ms:
            self._next_ms = now_ms + LOOK_MS
            down = {
                name: address
                for name in peers
                if (address := self._links.address(name)) is not None
                and not self._links.is_up(name)
            }
            if self._refusing.keys() - down.keys():
                self._refusing = {n: why for n, why in self._refusing.items() if n in down}
            self._task = _Task(down, self._links.own, self._links.accepted)
        return self._refusing

    def _take(self, findings: Mapping[str, Finding], now_ms: int) -> None:
        refusing = {}
        for name, finding in findings.items():
            if finding.verdict is Verdict.PLAIN and self._links.also_plainly:
                if self._links.expected(name) is not None:
                    self._links.speak_plainly(name)
            elif finding.verdict.is_refusal:
                refusing[name] = WORDS[finding.verdict]
            elif finding.verdict is Verdict.FINE and not self._links.is_up(name):
                self._open(name, finding.server, now_ms)
        if refusing != self._refusing:
            self._refusing = refusing

    def _open(self, name: str, server: PublicKey | None, now_ms: int) -> None:
        """Open a link anew. Not again and again: it may only be slow."""
        changed = name in self._refusing or server != self._links.expected(name)
        if changed or now_ms - self._opened_ms.get(name, -PATIENCE_MS) >= PATIENCE_MS:
            self._opened_ms[name] = now_ms
            self._links.expect(name, server)

    def close(self) -> None:
        """Let the thread end, without waiting for an inspection in progress."""
        self._end.set()

    def _run(self) -> None:
        while not self._end.wait(LOOK_MS / 1000):
            task = self._task
            self._findings = {
                name: self._inspect(address, task.own, task.accepted)
                for name, address in task.down.items()
            }
