"""`raftzmq views client check`: does the older design do what it is for?"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from raftzmq.errors import RaftzmqError
from raftzmq_cli.common import exits, printers
from raftzmq_cli.common.commands import Commands
from raftzmq_cli.common.escaping import shown
from raftzmq_cli.common.settings import Output
from raftzmq_cli.views.invocation import SHARED, ViewsInvocation

if TYPE_CHECKING:
    from raftzmq.views.client import Written

COLUMNS = ("step", "ok", "index", "view", "primary", "detail")

commands = Commands(shared=SHARED)


class Checker:
    """Runs the steps below one prefix of keys; each is told as it is done."""

    def __init__(self, run: ViewsInvocation) -> None:
        self.client = run.client
        self.timeout_s = run.timeout_s
        self.aloud = run.is_simple
        self.prefix = f"raftzmq-check/{secrets.token_hex(8)}/"
        self.steps: list[dict[str, Any]] = []

    def run(self) -> None:
        put = self.client.put
        append = self.client.append
        self._read("first", None)
        self._written("write first", put(self._key("first"), "one", timeout=self.timeout_s))
        self._read("first", "one")
        self._written("append to first", append(self._key("first"), "!", timeout=self.timeout_s))
        self._read("first", "one!")
        self._written("overwrite first", put(self._key("first"), "two", timeout=self.timeout_s))
        self._read("first", "two")
        data = bytes(range(256))
        self._written("write binary", put(self._key("binary"), data, timeout=self.timeout_s))
        self._read("binary", data)
        self._delete("binary", 1)
        self._delete("binary", 0)
        self._delete("first", 1)
        self._read("first", None)

    def _key(self, name: str) -> str:
        return self.prefix + name

    def _read(self, name: str, expected: str | bytes | None) -> None:
        item = self.client.get(self._key(name), timeout=self.timeout_s)
        value = None if item is None else item.value
        detail = "" if value == expected else f"read {shown(value)}, expected {shown(expected)}"
        self._done(f"read {name}" + (" (absent)" if expected is None else ""), detail)

    def _written(self, step: str, written: Written) -> None:
        self._done(step, "", written.index, written.view, written.primary)

    def _delete(self, name: str, expected: int) -> None:
        result = self.client.delete(self._key(name), timeout=self.timeout_s)
        detail = "" if result.count == expected else f"deleted {result.count}, not {expected}"
        self._done(f"delete {name}", detail, result.index, result.term, result.leader)

    def _done(
        self,
        step: str,
        detail: str,
        index: int | None = None,
        view: int | None = None,
        primary: str | None = None,
    ) -> None:
        done = dict(zip(COLUMNS, (step, not detail, index, view, primary, detail), strict=True))
        self.steps.append(done)
        if self.aloud:
            where = "" if index is None else f"  index {index}  view {view}  primary {primary}"
            more = f"  {detail}" if detail else ""
            printers.write_line(f"{'FAIL' if detail else 'ok  '}  {step}{where}{more}")


@commands.command("check", "raftzmq views client check")
def check(run: ViewsInvocation) -> int:
    """Write, read, append and delete keys, and verify each step.

    Prints index, view and primary of every write. The last line says whether all steps passed.
    """
    checker = Checker(run)
    try:
        checker.run()
    except RaftzmqError:
        if checker.aloud:
            printers.write_line(f"NOT PASSED: stopped after {len(checker.steps)} steps")
        raise
    bad = sum(not step["ok"] for step in checker.steps)
    count = len(checker.steps)
    if run.is_json:
        printers.write_json({"passed": not bad, "steps": checker.steps})
    else:
        if run.settings.output is Output.TABLE:
            printers.write_table(checker.steps, COLUMNS)
        last = f"NOT PASSED: {bad} of {count} steps" if bad else f"all {count} steps passed"
        printers.write_line(last)
    return exits.NO if bad else exits.DONE
