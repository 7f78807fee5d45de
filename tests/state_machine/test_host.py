"""What runs a user's class: what its methods see, what they leave, and what is found in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from examples.bank import Bank
from examples.chat import Chat
from examples.counter import Counter
from raftzmq.errors import InvalidRequest, MissingProgram, Unsupported
from raftzmq.state_machine import StateMachine, query, replicated
from raftzmq.state_machine.checks import CheckedHost, NotDeterministic
from raftzmq.state_machine.definition import method_of
from raftzmq.state_machine.draws import Draws
from raftzmq.state_machine.host import Host
from raftzmq.state_machine.loading import host_of, load
from raftzmq.state_machine.replays import replay
from tests.state_machine.bad import Careless, Outside, Remembers, Sets


class Run:
    """A state, and calls of it as a machine makes them."""

    def __init__(self, cls: type[StateMachine], version: int = 1, *, check: bool = True) -> None:
        self.told: list[str] = []
        self.host = (CheckedHost if check else Host)(cls, self.told.append)
        self.version = version
        code, _, text = self.host.first(version)
        assert code == "ok"
        assert text is not None
        self.text = text
        self.revision = 1

    def outcome(self, method: str, *arguments: Any, time_ms: int = 0) -> tuple[str, Any]:
        self.revision += 1
        given = json.dumps(arguments)
        code, body, after = self.host.call(
            self.text, self.version, method, given, time_ms, self.revision
        )
        assert (after is not None) == (code == "ok")
        self.text = self.text if after is None else after
        return code, body

    def __call__(self, method: str, *arguments: Any, time_ms: int = 0) -> Any:
        code, body = self.outcome(method, *arguments, time_ms=time_ms)
        assert code == "ok", body
        return json.loads(body[0])

    def message(self, method: str, *arguments: Any) -> str:
        code, body = self.outcome(method, *arguments)
        assert code in ("rejected", "method_failed")
        return f"{code}: {body['message']}"


def test_a_counter() -> None:
    run = Run(Counter)
    assert run.text == '{"count":0}'
    assert [run("add"), run("add", 5), run("value")] == [1, 6, 6]
    assert run.text == '{"count":6}'


def test_a_bank_in_which_no_money_is_made_or_lost() -> None:
    run = Run(Bank)
    run("deposit", "ann", 10)
    run("deposit", "bob", 1)
    assert run("pay", "ann", "bob", 4) == 6
    before = run.text
    assert run.message("pay", "ann", "bob", 7) == "rejected: ann lacks 1"
    assert run.message("pay", "ann", "eve", 1) == "rejected: there is no account eve"
    assert run.message("pay", "ann", "bob", -1).endswith("a whole number above 0")
    assert run.text == before
    assert [run("balance", "bob"), run("total")] == [5, 11]


def test_a_chat_in_which_messages_have_the_time_of_the_leader() -> None:
    run = Run(Chat)
    assert run("say", "hall", "ann", "hello", time_ms=1000) == 1
    assert run("say", "hall", "bob", "hello ann", time_ms=2000) == 2
    assert run("since", "hall", 1) == [
        {"number": 2, "author": "bob", "text": "hello ann", "time_ms": 2000}
    ]
    for k in range(200):
        run("say", "hall", "ann", f"message {k}")
    assert len(run("since", "hall")) == 100
    assert run.message("say", "hall", "ann", " ") == "rejected: a message needs some text"


KINDS = [
    ("key", "it raised KeyError"),
    ("zero", "it raised ZeroDivisionError"),
    ("exit", "it raised SystemExit"),
    ("recursion", "it raised RecursionError"),
    ("set", "the state is not plain JSON"),
    ("date", "the state is not plain JSON"),
    ("number", "the state is not plain JSON"),
    ("keys", "the state is not plain JSON"),
    ("text", "the state is not plain JSON"),
    ("size", "the state takes 52.* bytes, the limit is 4194304"),
    ("result", "its result takes 2097154 bytes, the limit is 1048576"),
    ("result kind", "its result is not plain JSON"),
    ("private", "the attribute _cache would not be kept"),
]


@pytest.mark.parametrize(("kind", "words"), KINDS)
def test_a_method_that_changes_the_state_and_then_fails_has_changed_nothing(
    kind: str, words: str
) -> None:
    run = Run(Careless)
    run("add", 1)
    before = run.text
    told = run.message("fail", kind)
    assert re.fullmatch(
        rf"method_failed: Careless\.fail failed: {words}.*; nothing was changed", told
    )
    assert run.text == before
    assert run("add", 2) == [1, 2]
    assert "Traceback" in run.told[0], "the node's log has the cause"


def test_a_method_that_declines_after_a_change_has_changed_nothing() -> None:
    run = Run(Careless)
    run("add", 1)
    assert run.message("decline") == "rejected: not today"
    assert run("add", 2) == [1, 2]
    assert run.told == [], "that is no failure"


def test_nothing_but_the_state_goes_from_one_call_to_the_next() -> None:
    class Aliases(StateMachine):
        def __init__(self) -> None:
            self.one: list[int] = []
            self.two = self.one
            self.pair: Any = (1, 2)

        @replicated
        def add(self) -> list[Any]:
            self.one.append(1)
            return [self.one, self.two, type(self.pair).__name__]

    run = Run(Aliases)
    assert run("add") == [[1], [], "list"], "a node that comes from a snapshot sees the same"


@pytest.mark.parametrize("method", sorted(Outside._methods))
def test_a_method_that_reaches_outside_is_found(method: str) -> None:
    run = Run(Outside)
    with pytest.raises(NotDeterministic, match=rf"Outside\.{method} calls .*not the same on every"):
        run(method)


def test_what_is_kept_outside_the_state_is_found_by_running_twice() -> None:
    run = Run(Remembers)
    with pytest.raises(NotDeterministic, match=r"Remembers\.add did one thing, and another when"):
        run("add")


def test_a_replay_finds_a_method_that_looks_at_the_clock() -> None:
    with pytest.raises(NotDeterministic, match=r"Outside\.wall_clock calls time\.time, which is"):
        replay("tests.state_machine.bad:Outside", [("wall_clock", [])])


def test_the_order_of_a_set_is_found_in_other_processes() -> None:
    names = [f"name {k}" for k in range(20)]
    place = "tests.state_machine.bad:Sets"
    with pytest.raises(NotDeterministic, match=r"gather\(.*in a process with other hashes"):
        replay(place, [("gather", [names])])
    assert replay(place, [("gather_in_order", [names])]) == [
        [json.dumps(sorted(names)).replace(", ", ",")]
    ]
    assert Run(Sets)("gather_in_order", names) == sorted(names)


def test_draws_are_the_same_everywhere_and_others_in_each_call() -> None:
    class Dice(StateMachine):
        def __init__(self) -> None:
            self.order = [*range(10)]

        @replicated
        def throw(self) -> list[Any]:
            self.random.shuffle(self.order)
            return [self.random.below(6), self.random.choice("abc"), *self.order]

    first, second, other = Run(Dice), Run(Dice), Run(Dice)
    other.revision += 1
    assert first("throw") == second("throw") == [5, "a", 7, 9, 3, 6, 1, 4, 8, 2, 0, 5]
    assert first("throw") != other("throw")
    draws = Draws("fairness")
    counts = [0] * 6
    for _ in range(6000):
        counts[draws.below(6)] += 1
    assert all(900 < count < 1100 for count in counts)
    assert draws.below(1) == 0
    with pytest.raises(ValueError, match="1 or above"):
        draws.below(0)


class Grown(StateMachine, name="tally", version=3):
    def __init__(self) -> None:
        self.count = 0

    def migrate(self, version: int) -> None:
        if version == 2:
            self.names: list[str] = []
        if version == 3:
            self.count *= 10

    @replicated
    def add(self) -> int:
        self.count += 2 if self.version_in_force >= 3 else 1
        return self.count

    @replicated(since=2)
    def name(self, name: str) -> None:
        self.names.append(name)


def test_a_later_version_sets_what_it_adds_when_it_comes_into_force() -> None:
    run = Run(Grown)
    assert run("add") == 1
    assert run.text == '{"count":1}'
    assert run.host.migrate(run.text, 1, 3)[2] == '{"count":10,"names":[]}'
    assert run.host.first(3)[2] == '{"count":0,"names":[]}'
    run.host.check(2, "name", '["x"]', writes=True)
    with pytest.raises(Unsupported, match=r"tally\.name needs version 2 .* 1 is in force"):
        run.host.check(1, "name", '["x"]', writes=True)


def test_what_cannot_be_called_is_refused_before_the_log() -> None:
    host = Host(Counter)
    for method, arguments, writes, words in (
        ("take", "[]", True, "Counter has no replicated method take; there are add"),
        ("value", "[]", True, "no replicated method value"),
        ("add", "[]", False, "Counter has no query add; there are value"),
        ("add", "[1,2]", True, "Counter.add: too many positional arguments"),
        ("__init__", "[]", True, "no replicated method __init__"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            host.check(1, method, arguments, writes=writes)
    host.check(1, "add", "[]", writes=True)
    for method, arguments in (("take", "[]"), ("add", "[1,2]")):
        with pytest.raises(MissingProgram, match="start it with the class that the others have"):
            host.call('{"count":0}', 1, method, arguments, 0, 1)


def test_what_is_no_method_of_a_state_machine_is_a_type_error() -> None:
    def named(name: str) -> Any:
        def function(self: Any) -> None: ...

        function.__name__ = name
        return function

    async def waits(self: Any) -> None: ...

    def yields(self: Any) -> Any:
        yield 1

    def keywords(self: Any, *, word: int) -> None: ...

    wrongs: list[Any] = [waits, yields, keywords, named("_hidden"), named("ünï"), 5]
    for wrong in wrongs:
        with pytest.raises(TypeError):
            replicated(wrong)
    no_versions: list[Any] = [0, True, "1"]
    for since in no_versions:
        with pytest.raises(TypeError):
            query(since=since)(named("fine"))
    marked = replicated(since=2)(named("later"))
    assert method_of(marked) is not None
    for bases, options, words in (
        ((StateMachine,), {}, "later is of version 2: give version="),
        ((StateMachine,), {"version": 0}, "version must be a whole number from 1"),
        ((StateMachine,), {"version": 2, "name": "a b"}, "is no name"),
        ((Counter,), {"version": 2}, "must have StateMachine itself as a base"),
    ):
        with pytest.raises(TypeError, match=words):
            type("Wrong", bases, {"later": marked}, **options)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("examples.counter", "is PACKAGE.MODULE:CLASS, not"),
        (":Counter", "is PACKAGE.MODULE:CLASS, not"),
        ("no.such.module:Counter", "cannot be imported: ModuleNotFoundError"),
        ("examples.counter:Nobody", "has no class Nobody that derives from"),
        ("json:dumps", "has no class dumps"),
        ("tests.state_machine.test_host:Unborn", "Unborn.__init__ failed: it raised"),
    ],
)
def test_a_class_that_cannot_be_used_is_told_in_one_line(place: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        host_of(place)
    assert "\n" not in str(refused.value)


class Unborn(StateMachine):
    def __init__(self) -> None:
        raise ValueError("never")


def test_a_class_is_found_in_the_working_directory(tmp_path: Any) -> None:
    (tmp_path / "mine.py").write_text(
        "from raftzmq.state_machine import StateMachine\nclass Mine(StateMachine): ...\n"
    )
    script = (
        "import sys; sys.path.pop(0); from raftzmq.state_machine.loading import load; "
        "load('mine:Mine')"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONSAFEPATH": ""},
    )
    assert load("examples.counter:Counter") is Counter


class Deep(StateMachine):
    def __init__(self) -> None:
        self.deepest = 0

    @replicated
    def dive(self) -> int:
        """How deep it can go, which it finds out by going."""

        def down(depth: int) -> int:
            try:
                return down(depth + 1)
            except RecursionError:
                return depth

        self.deepest = down(0)
        return self.deepest

    @replicated
    def fall(self) -> None:
        self.fall()


@pytest.mark.parametrize("below", [0, 1, 50, 400])
def test_how_deep_calls_may_be_does_not_depend_on_where_the_node_stands(below: int) -> None:
    def call(stack: int) -> Any:
        return call(stack - 1) if stack else Run(Deep, check=False)("dive")

    before = sys.getrecursionlimit()
    assert call(below) == call(0)
    assert sys.getrecursionlimit() == before


def test_calls_that_never_end_are_a_result_and_change_nothing() -> None:
    run = Run(Deep, check=False)
    assert run.message("fall").startswith("method_failed: Deep.fall failed: it raised RecursionErr")
    assert json.loads(run.text) == {"deepest": 0}
    assert run("dive") > 400
