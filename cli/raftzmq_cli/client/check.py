"""`raftzmq client check`: does the cluster do what it is for?"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raftzmq.errors import RaftzmqError
from raftzmq_cli.client.invocation import SHARED, ClientInvocation
from raftzmq_cli.common import exits, printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import shown
from raftzmq_cli.common.settings import Output
from raftzmq_cli.common.values import written_document

if TYPE_CHECKING:
    from raftzmq import Client

commands = Commands(shared=SHARED)


@dataclass(slots=True)
class Step:
    """One write or read, and whether it was as it has to be. Reads have no revision and such."""

    step: str
    ok: bool
    detail: str
    revision: int | None = None
    index: int | None = None
    term: int | None = None
    leader: str | None = None

    @property
    def document(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "ok": self.ok,
            "revision": self.revision,
            "index": self.index,
            "term": self.term,
            "leader": self.leader,
            "detail": self.detail,
        }

    @property
    def line(self) -> str:
        where = ""
        if self.index is not None:
            where = (
                f"  revision {self.revision}  index {self.index}  term {self.term}"
                f"  leader {self.leader}"
            )
        detail = f"  {self.detail}" if self.detail else ""
        return f"{'ok  ' if self.ok else 'FAIL'}  {self.step}{where}{detail}"


class Checker:
    """Runs the steps below one prefix of keys, and tells of each as it is done."""

    def __init__(self, client: Client, timeout_s: float, tell: Callable[[Step], None]) -> None:
        self.client = client
        self.timeout_s = timeout_s
        self.tell = tell
        self.prefix = f"raftzmq-check/{secrets.token_hex(8)}/"
        self.steps: list[Step] = []

    def run(self) -> None:
        self._read("first", None)
        self._write("write", "first", "one")
        self._read("first", "one")
        self._write("write", "second", "zwei \N{SNOWMAN}")
        self._read("second", "zwei \N{SNOWMAN}")
        self._write("write", "binary", bytes(range(256)))
        self._read("binary", bytes(range(256)))
        revision = self._write("overwrite", "first", "another one")
        self._read("first", "another one")
        self._compare("first", "compared", revision, True)
        self._read("first", "compared")
        self._compare("first", "never", revision, False)
        self._read("first", "compared")
        found = self.client.prefix(self.prefix, 10, timeout=self.timeout_s)
        names = [item.key.removeprefix(self.prefix) for item in found]
        self._done(Step("list by prefix", names == ["binary", "first", "second"], ",".join(names)))
        self._clean_up()
        self._read("first", None)

    def _write(self, verb: str, name: str, value: str | bytes) -> int:
        result = self.client.put(self.prefix + name, value, timeout=self.timeout_s)
        self._done(Step(f"{verb} {name}", True, "", **written_document(result)))
        return result.revision

    def _compare(self, name: str, value: str, revision: int, expected: bool) -> None:
        result = self.client.cas(self.prefix + name, value, revision, timeout=self.timeout_s)
        verb = "overwrite" if expected else "refuse to overwrite"
        self._done(
            Step(
                f"{verb} {name} by revision",
                result.succeeded is expected,
                "" if result.succeeded is expected else "the comparison had the wrong result",
                **written_document(result),
            )
        )

    def _read(self, name: str, expected: str | bytes | None) -> None:
        item = self.client.get(self.prefix + name, timeout=self.timeout_s)
        value = None if item is None else item.value
        right = value == expected
        detail = "" if right else f"read {shown(value)}, expected {shown(expected)}"
        self._done(Step(f"read {name}" + (" (absent)" if expected is None else ""), right, detail))

    def _clean_up(self) -> None:
        result = self.client.delete_prefix(self.prefix, timeout=self.timeout_s)
        right = result.count == 3
        detail = "" if right else f"deleted {result.count} keys, expected 3"
        self._done(Step("delete all", right, detail, **written_document(result)))

    def _done(self, step: Step) -> None:
        self.steps.append(step)
        self.tell(step)


@commands.command("check", "raftzmq client check\nraftzmq client check -w json")
def check(run: ClientInvocation) -> int:
    """Write, read, overwrite and delete keys, and verify each step.

    Prints revision, log index, term and leader of every write. The last line says whether all
    steps passed.
    """

    def tell(step: Step) -> None:
        if run.is_simple:
            printers.write_line(step.line)

    checker = Checker(run.client, run.timeout_s, tell)
    try:
        checker.run()
    except RaftzmqError:
        if run.is_simple:
            printers.write_line(f"NOT PASSED: stopped after {len(checker.steps)} steps")
        raise
    bad = sum(not step.ok for step in checker.steps)
    count = len(checker.steps)
    if run.is_json:
        steps = [step.document for step in checker.steps]
        printers.write_json({"passed": not bad, "steps": steps})
    else:
        if run.settings.output is Output.TABLE:
            columns = ["step", "ok", "revision", "index", "term", "leader", "detail"]
            printers.write_table([step.document for step in checker.steps], columns)
        last = f"NOT PASSED: {bad} of {count} steps" if bad else f"all {count} steps passed"
        printers.write_line(last)
    return exits.NO if bad else exits.DONE
