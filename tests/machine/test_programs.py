"""`call`, `ask` and `program` of the machine, with a program that is as plain as can be."""

from __future__ import annotations

from typing import Any

import pytest

from raftzmq import limits
from raftzmq.errors import DataError, InvalidRequest, MissingProgram, Unsupported
from raftzmq.machine import READS, WRITES, Machine, validate_read, validate_write
from raftzmq.machine.tables.program import Ran

CALL = [1, "call", "tally", "add", "[5]"]

GOOD: list[list[Any]] = [
    CALL,
    [1, "call", "a_b-C9", "x", "[]"],
    [1, "ask", "tally", "value", '["\u00fc", {"a": [null, true, 1.5]}]'],
]

BAD: list[tuple[list[Any], str]] = [
    ([1, "call", "tally", "add"], "call takes name, method, arguments; 2 given"),
    ([1, "call", "", "add", "[]"], "the name must be a name, such as add"),
    ([1, "call", "a/b", "add", "[]"], "the name must be a name"),
    ([1, "call", 5, "add", "[]"], "the name must be a name, .* not the number 5"),
    ([1, "call", "a" * 65, "add", "[]"], "the name must be a name"),
    ([1, "call", "tally", None, "[]"], "the method must be a name"),
    ([1, "call", "tally", "add", [5]], "the arguments must be JSON as a string, not a list"),
    ([1, "call", "tally", "add", {"b64": ""}], "the arguments must be JSON as a string"),
    ([1, "call", "tally", "add", "5"], "the arguments must be a JSON array"),
    ([1, "call", "tally", "add", "[5"], "the arguments must be a JSON array"),
    ([1, "call", "tally", "add", "[NaN]"], "the arguments must be a JSON array"),
    ([1, "call", "tally", "add", "[" * 100_000], "the arguments must be a JSON array"),
    ([1, "call", "tally", "add", f"[{'1' * 5000}]"], "the arguments must be a JSON array"),
    ([1, "call", "tally", "add", f'["{"x" * limits.VALUE_BYTES}"]'], "the limit is 1048576"),
    ([1, "ask", "tally", "value", "{}"], "ask: the arguments must be a JSON array"),
    ([1, "ask", "tally", "value"], "ask takes name, method, arguments; 2 given"),
]


class Tally:
    """A program whose state is the text of a number."""

    name = "tally"

    def __init__(self, version: int = 1) -> None:
        self.version = version

    def first(self, version: int) -> Ran:
        return "ok", ["null"], str(1000 * version)

    def migrate(self, text: str, before: int, version: int) -> Ran:
        return "ok", ["null"], str(int(text) + 1000 * (version - before))

    def call(
        self, text: str, version: int, method: str, arguments: str, time_ms: int, revision: int
    ) -> Ran:
        if method == "refuse":
            return "rejected", {"message": "no"}, None
        after = str(int(text) + int(arguments.strip("[]") or 1))
        return "ok", [f"[{after},{version},{time_ms},{revision}]"], after

    def ask(
        self, text: str, version: int, method: str, arguments: str, time_ms: int, revision: int
    ) -> tuple[str, Any]:
        return "ok", [text]

    def check(self, version: int, method: str, arguments: str, *, writes: bool) -> None:
        if method not in ("add", "refuse") if writes else method != "value":
            raise InvalidRequest(f"no method {method}")


class Cluster:
    """A machine, and what a leader would propose to it."""

    def __init__(self, program: Tally | None, *, begun: bool = True) -> None:
        self.machine = Machine(program=program)
        self.serial = 0
        self.session = self.apply(0, [0, "open"])[2]
        if begun:
            assert self.apply(0, [0, "program", "tally", 1])[0] == "ok"

    def apply(self, session: int, op: list[Any], time_ms: int = 0) -> Any:
        return self.machine.apply(self.machine.applied_index + 1, time_ms, [session, 0, op])

    def call(self, method: str, arguments: str = "[]", time_ms: int = 0) -> Any:
        self.serial += 1
        op = [self.serial, "call", "tally", method, arguments]
        validate_write(op)
        return self.apply(self.session, op, time_ms)

    def ask(self, name: str = "tally", method: str = "value") -> Any:
        return self.machine.read([1, "ask", name, method, "[]"])


@pytest.mark.parametrize("op", GOOD)
def test_a_good_call_passes_and_is_refused_where_there_is_no_program(op: list[Any]) -> None:
    if op[1] == "call":
        validate_write(op)
        machine = Machine()
        session = machine.apply(1, 0, [0, 0, [0, "open"]])[2]
        assert machine.apply(2, 0, [session, 0, op])[0] == "unsupported"
    else:
        validate_read(op)
        assert Machine().read(op)[0] == "unsupported"


@pytest.mark.parametrize(("op", "problem"), BAD)
def test_a_bad_call_is_refused_in_one_line(op: list[Any], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem) as refused:
        (validate_write if op[1] == "call" else validate_read)(op)
    assert len(str(refused.value)) < 260
    assert str(refused.value).isprintable()


def test_these_are_the_operations_of_programs() -> None:
    assert {op[1] for op in GOOD} == {"call", "ask"} == {op[1] for op, _ in BAD}
    assert "call" in WRITES
    assert "program" not in WRITES
    assert "ask" in READS


def test_a_call_gets_the_state_the_time_and_its_own_revision() -> None:
    db = Cluster(Tally())
    assert db.call("add", "[5]", time_ms=77) == ("ok", 3, ["[1005,1,77,3]"])
    assert db.call("add", time_ms=50) == ("ok", 4, ["[1006,1,77,4]"])
    assert db.ask() == ("ok", 4, ["1006"])


def test_a_serial_is_called_once() -> None:
    db = Cluster(Tally())
    first = db.call("add")
    db.serial -= 1
    assert db.call("add") == first
    assert db.ask()[2] == ["1001"]


def test_what_is_refused_changes_nothing() -> None:
    db = Cluster(Tally())
    before = db.machine.state.program.text
    assert db.call("refuse") == ("rejected", 3, {"message": "no"})
    assert db.machine.state.program.text == before
    assert db.ask("other")[0] == "invalid"
    assert db.ask(method="add")[0] == "invalid"


def test_the_state_is_in_snapshots_in_the_hash_and_in_the_memory() -> None:
    db, other = Cluster(Tally()), Cluster(Tally())
    before = db.machine.memory
    db.call("add", "[5]")
    other.call("add", "[6]")
    assert db.machine.state_hash() != other.machine.state_hash()
    db.machine.state.program.replace("7" * 1000)
    assert db.machine.memory > before + 990
    records = list(db.machine.snapshot())
    assert ["program", "tally", 1, "7" * 1000] in records
    copied = Machine.restore(records, program=Tally())
    assert copied.state_hash() == db.machine.state_hash()
    assert copied.memory == db.machine.memory
    assert copied.read([1, "ask", "tally", "value", "[]"])[2] == ["7" * 1000]


def test_a_state_can_be_read_and_kept_without_the_program_and_not_gone_on_from() -> None:
    db = Cluster(Tally())
    copied = Machine.restore(db.machine.snapshot())
    assert copied.state_hash() == db.machine.state_hash()
    with pytest.raises(MissingProgram, match="tally version 1, and this process has none: give it"):
        copied.check_program()
    assert isinstance(MissingProgram(), DataError)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (None, "this process has none"),
        (Tally(), "tally version 2, and this process has tally version 1"),
    ],
)
def test_a_node_that_lacks_the_program_stops_at_its_entry(program: Any, words: str) -> None:
    db = Cluster(program, begun=False)
    with pytest.raises(MissingProgram, match=words):
        db.apply(0, [0, "program", "tally", 2])
    assert db.machine.applied_index == 1


def test_a_later_version_makes_the_state_one_of_its_own() -> None:
    db = Cluster(Tally(version=3), begun=False)
    assert db.call("add")[0] == "unsupported"
    assert db.apply(0, [0, "program", "tally", 1])[0] == "ok"
    assert db.call("add") == ("ok", 4, ["[1001,1,0,4]"])
    assert db.apply(0, [0, "program", "tally", 3])[0] == "ok"
    assert db.call("add") == ("ok", 6, ["[3002,3,0,6]"])
    for late in (1, 3):
        assert db.apply(0, [0, "program", "tally", late])[0] == "refused"


def test_a_cluster_that_has_a_program_cannot_go_back_to_version_1() -> None:
    db = Cluster(Tally())
    db.machine.state.version = 2
    assert db.machine.holdings_above(1) == ["the state machine tally"]
    assert Cluster(Tally(), begun=False).machine.holdings_above(1) == []


def test_what_may_be_called_is_checked_before_the_log() -> None:
    db = Cluster(Tally())
    db.machine.check_callable(CALL)
    with pytest.raises(InvalidRequest, match="of this cluster is tally, not other"):
        db.machine.check_callable([1, "call", "other", "add", "[]"])
    with pytest.raises(InvalidRequest, match="no method value"):
        db.machine.check_callable([1, "call", "tally", "value", "[]"])
    with pytest.raises(Unsupported, match="the cluster has no state machine yet"):
        Machine().check_callable(CALL)
