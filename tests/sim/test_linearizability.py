"""The checkers find what is known to be wrong, and nothing in what is right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from random import Random
from typing import Any

import pytest

from raftzmq import limits
from raftzmq.core.entry import COMMAND, Entry
from raftzmq.lines import encode_entry
from tests.sim.history import COUNTER, FAILED, NEVER, ODD, OK, UNKNOWN, History, Op
from tests.sim.linearizability import ANY, Step, _take, check_key, check_keys, check_log
from tests.sim.story import Violation


def done(asked: int, told: int, name: str, *arguments: Any, body: Any = None, **more: Any) -> Op:
    return Op("c", name, list(arguments), asked, told=told, outcome=OK, body=body, **more)


def lost(asked: int, name: str, *arguments: Any, **more: Any) -> Op:
    """Nobody knows what became of it."""
    return Op("c", name, list(arguments), asked, outcome=UNKNOWN, **more)


def history(*ops: Op) -> History:
    return History(list(ops), ["k", "other"])


def is_wrong(*ops: Op) -> bool:
    try:
        check_keys(history(*ops))
    except Violation as violation:
        return "is not linearizable" in str(violation)
    return False


# -- numbers ------------------------------------------------------------------------------------


def added(asked: int, told: int, by: int, total: int) -> Op:
    return done(asked, told, "incr", COUNTER, by, None, body=total)


def test_numbers_that_were_counted_one_after_the_other_are_right() -> None:
    counted = added(1, 2, 1, 1), added(3, 9, 5, 6), added(4, 8, 1, 7)
    assert not is_wrong(*counted, done(10, 11, "get", COUNTER, body=["7", 3]))
    assert not is_wrong(done(1, 20, "get", COUNTER, body=None), *counted)


def test_a_number_that_was_added_twice_or_not_at_all_is_found() -> None:
    assert is_wrong(added(1, 2, 1, 1), added(3, 4, 1, 3))
    assert is_wrong(added(1, 2, 1, 1), added(3, 4, 1, 1))
    assert is_wrong(added(1, 2, 1, 1), done(3, 4, "get", COUNTER, body=["2", 2]))
    assert is_wrong(added(1, 2, 1, 2), added(3, 4, 1, 1)), "in the wrong order"


def test_an_incr_of_unknown_outcome_is_added_once_or_never() -> None:
    tried = lost(1, "incr", COUNTER, 5, None), lost(1, "incr", COUNTER, 1, None)
    for total in (2, 3, 7, 8):
        assert is_wrong(*tried, added(2, 3, 1, total)) is (total not in (2, 7)), total
    once = added(2, 3, 1, 6)
    assert not is_wrong(*tried, once, added(4, 5, 1, 8))
    assert is_wrong(*tried, once, added(4, 5, 1, 13))


# -- by key, from values and moments alone ------------------------------------------------------


def test_a_history_one_after_the_other_is_right() -> None:
    assert not is_wrong(
        done(1, 2, "get", "k", body=None),
        done(3, 4, "put", "k", "a"),
        done(5, 6, "get", "k", body=["a", 1]),
        done(7, 8, "cas", "k", "b", 1, expected="a"),
        done(9, 10, "cas", "k", "c", 1, expected="a", compared=False, body=["b", 2]),
        done(11, 12, "delete", "k", body=1),
        done(13, 14, "delete", "k", body=0),
        done(15, 16, "get", "k", body=None),
    )


def test_a_read_beside_a_write_may_see_either_state() -> None:
    write = done(1, 10, "put", "k", "a")
    assert not is_wrong(write, done(2, 3, "get", "k", body=None))
    assert not is_wrong(write, done(2, 3, "get", "k", body=["a", 1]))


def test_a_stale_read_is_found() -> None:
    assert is_wrong(
        done(1, 2, "put", "k", "a"),
        done(3, 4, "put", "k", "b"),
        done(5, 6, "get", "k", body=["a", 1]),
    )


def test_reads_that_go_back_in_time_are_found() -> None:
    write = done(1, 20, "put", "k", "a")
    assert is_wrong(write, done(2, 3, "get", "k", body=["a", 1]), done(4, 5, "get", "k", body=None))


def test_a_lost_update_is_found() -> None:
    """Two compare-and-puts from the same revision cannot both succeed."""
    assert is_wrong(
        done(1, 2, "put", "k", "a"),
        done(3, 6, "cas", "k", "b", 1, expected="a"),
        done(4, 5, "cas", "k", "c", 1, expected="a"),
    )


def test_a_lost_write_is_found() -> None:
    assert is_wrong(done(1, 2, "put", "k", "a"), done(3, 4, "get", "k", body=None))


def test_a_dirty_read_is_found() -> None:
    """A value is seen that a write said to have failed would have written."""
    failed = Op("c", "put", ["k", "a"], 1, told=2, outcome=FAILED)
    assert is_wrong(failed, done(3, 4, "get", "k", body=["a", 1]))


def test_a_read_from_the_future_is_found() -> None:
    assert is_wrong(done(1, 2, "get", "k", body=["a", 1]), done(3, 4, "put", "k", "a"))


def test_a_retry_applied_twice_is_found() -> None:
    """The first write comes back over the second, after it had been replaced."""
    assert is_wrong(
        done(1, 2, "put", "k", "a"),
        done(3, 4, "put", "k", "b"),
        done(5, 6, "get", "k", body=["b", 2]),
        done(7, 8, "get", "k", body=["a", 3]),
    )


def test_a_comparison_that_should_have_failed_is_found() -> None:
    assert is_wrong(done(1, 2, "put", "k", "a"), done(3, 4, "cas", "k", "b", 9, expected=NEVER))


def test_a_write_of_unknown_outcome_may_take_effect_much_later_or_never() -> None:
    write = lost(1, "put", "k", "a")
    assert not is_wrong(write, done(2, 3, "get", "k", body=None))
    late = done(4, 5, "get", "k", body=["a", 7])
    assert not is_wrong(write, done(2, 3, "get", "k", body=None), late)
    assert is_wrong(write, late, done(6, 7, "get", "k", body=None)), "but it stays done"


def test_a_write_of_unknown_outcome_is_done_once() -> None:
    assert is_wrong(
        lost(1, "put", "k", "a"),
        done(2, 3, "get", "k", body=["a", 1]),
        done(4, 5, "put", "k", "b"),
        done(6, 7, "get", "k", body=["a", 3]),
    )


def test_transactions_and_ranges_count_for_each_of_their_keys() -> None:
    put = done(1, 2, "put", "k", "a")
    moved = done(
        3,
        4,
        "txn",
        [["k", "value", "=", "a"]],
        [["delete", "k"], ["put", "other", "b"]],
        [],
        body=[True, [1, None]],
    )
    seen = done(5, 6, "prefix", "", 9, body=[[["other", "b", 2]], False])
    assert not is_wrong(put, moved, seen)
    assert is_wrong(put, moved, done(5, 6, "prefix", "", 9, body=[[["k", "a", 1]], False]))
    assert is_wrong(put, moved, done(5, 6, "get", "other", body=None))
    refused = done(
        3,
        4,
        "txn",
        [["k", "value", "=", "z"]],
        [["put", "k", "b"], ["get", "k"]],
        [["get", "k"]],
        body=[False, [["a", 1]]],
    )
    assert not is_wrong(put, refused)
    assert is_wrong(done(1, 2, "put", "k", "z"), refused)


def test_a_range_says_what_is_absent_as_far_as_it_goes() -> None:
    put = done(1, 2, "put", "other", "b")
    empty = done(3, 4, "range", "k", "other", 9, body=[[], False])
    assert not is_wrong(put, empty)
    assert is_wrong(put, done(3, 4, "range", "k", "", 9, body=[[], False]))
    both = done(1, 2, "txn", [], [["put", "k", "a"], ["put", "other", "b"]], [], body=[True, []])
    assert not is_wrong(both, done(3, 4, "range", "", "", 1, body=[[["k", "a", 1]], True]))
    assert is_wrong(both, done(3, 4, "range", "", "", 1, body=[[["other", "b", 1]], True]))


def test_a_transaction_by_revision_counts_by_the_branch_that_was_taken() -> None:
    put = done(1, 2, "put", "other", "a")
    branches = [["k", "revision", "<", 7]], [["put", "other", "b"]], [["delete_prefix", "other"]]
    then = done(3, 4, "txn", *branches, body=[True, [None]])
    otherwise = done(3, 4, "txn", *branches, body=[False, [1]])
    unknown = lost(3, "txn", *branches)
    for found, by in (("b", then), (None, otherwise)):
        read = done(5, 6, "get", "other", body=found and [found, 2])
        assert not is_wrong(put, by, read)
        assert not is_wrong(put, unknown, read)
        assert is_wrong(put, otherwise if by is then else then, read)


def test_a_search_that_runs_out_is_not_a_pass() -> None:
    writes = [done(1, 100, "put", "k", f"v{n}") for n in range(12)]
    impossible = done(101, 102, "get", "k", body=["nobody wrote this", 1])
    with pytest.raises(Violation, match="no proof"):
        check_keys(history(*writes, impossible), budget=50)


def test_the_search_agrees_with_trying_every_order() -> None:
    random = Random(3)
    right = 0
    for _ in range(1500):
        steps = _some_steps(random)
        expected = _by_brute_force(steps)
        right += expected
        try:
            check_key("k", steps)
            found = True
        except Violation:
            found = False
        assert found == expected, steps
    assert 300 < right < 1300, "the histories must be of both kinds"


def _some_steps(random: Random) -> list[Step]:
    steps = []
    for n in range(random.randint(2, 5)):
        asked = random.randint(0, 8)
        known = random.random() < 0.7
        told = asked + random.randint(1, 8) if known else float("inf")
        seen = random.choice([None, "v0", "v1", "v2"])
        kind = random.choice(["read", "put", "put", "cas", "delete", "delete"])
        match kind:
            case "read":
                steps.append(Step(asked, asked + random.randint(1, 8), "read", seen))
            case "put":
                steps.append(Step(asked, told, "put", f"v{n}", result=ANY, known=known))
            case "cas":
                result: Any = (True, None) if random.random() < 0.5 else (False, seen)
                step = Step(asked, told, "cas", f"v{n}", "v0", result, known)
                steps.append(step if known else step._replace(result=ANY))
            case "delete":
                result = random.choice([True, False, ANY]) if known else ANY
                steps.append(Step(asked, told, "delete", result=result, known=known))
    return [step._replace(result=ANY) if step.kind == "put" else step for step in steps]


def _by_brute_force(steps: Sequence[Step]) -> bool:
    maybe = [step for step in steps if not step.known]
    sure = [step for step in steps if step.known]
    for chosen in range(1 << len(maybe)):
        some = sure + [step for k, step in enumerate(maybe) if chosen >> k & 1]
        if any(_is_an_order(order) for order in permutations(some)):
            return True
    return False


def _is_an_order(order: Sequence[Step]) -> bool:
    state = None
    for place, step in enumerate(order):
        if any(later.told < step.asked for later in order[place + 1 :]):
            return False
        fits, state = _take(step, state)
        if not fits:
            return False
    return True


# -- by the log ---------------------------------------------------------------------------------


class Log:
    """Entries, and the results that a right machine would give."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.results: dict[int, Any] = {}
        self.add((0, 0, [1, "open"]), ("ok", 1, 1))

    def add(self, body: Any, result: Any) -> int:
        index = len(self.entries) + 1
        self.entries.append(encode_entry(index, 1, index, COMMAND, body))
        self.results[index] = [result]
        return index

    def put(self, serial: int, value: str) -> Op:
        index = len(self.entries) + 1
        self.add((1, 0, [serial, "put", "k", value]), ("ok", index, None))
        op = done(index * 10, index * 10 + 5, "put", "k", value, index=index)
        op.session, op.serial = 1, serial
        return op

    def get(self, asked: int, index: int, body: Any) -> Op:
        return done(asked, asked + 1, "get", "k", body=body, index=index)

    def check(self, *ops: Op) -> None:
        check_log(history(*ops), self.entries, self.results)


def test_a_right_log_is_right() -> None:
    log = Log()
    one, two = log.put(1, "a"), log.put(2, "b")
    log.check(one, log.get(26, 2, ["a", 2]), two, log.get(36, 3, ["b", 3]))


def test_the_log_shows_a_stale_read() -> None:
    log = Log()
    one, two = log.put(1, "a"), log.put(2, "b")
    with pytest.raises(Violation, match="older than what had been told"):
        log.check(one, two, log.get(40, 2, ["a", 2]))


def test_the_log_shows_a_dirty_read() -> None:
    log = Log()
    with pytest.raises(Violation, match="the state at 2 holds"):
        log.check(log.put(1, "a"), log.get(30, 2, ["never committed", 2]))


def test_the_log_shows_a_lost_update() -> None:
    log = Log()
    log.put(1, "a")
    log.add((1, 0, [2, "cas", "k", "b", 2]), ("ok", 3, None))
    log.add((1, 0, [3, "cas", "k", "c", 2]), ("ok", 4, None))
    with pytest.raises(Violation, match="entry 4 gave"):
        log.check()


def test_the_log_shows_a_retry_applied_twice() -> None:
    log = Log()
    first = log.put(1, "a")
    log.add((1, 0, [1, "put", "k", "a"]), ("ok", 3, None))
    with pytest.raises(Violation, match="entry 3 gave"):
        log.check(first)


def test_the_log_shows_a_write_called_failed_that_was_done() -> None:
    log = Log()
    write = log.put(1, "a")
    write.outcome = FAILED
    with pytest.raises(Violation, match="was called failed, and was done"):
        log.check(write)


def test_the_log_shows_a_write_that_is_ill_formed_and_was_accepted() -> None:
    log = Log()
    write = log.put(1, "a")
    write.name = ODD
    with pytest.raises(Violation, match="is ill-formed, and was accepted"):
        log.check(write)


def test_a_transaction_that_would_answer_too_much_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "TRANSACTION_BYTES", 50)
    log = Log()
    one = log.put(1, "a")
    txn = [2, "txn", [], [["put", "k", "b"], ["get", "k"], ["get", "k"]], []]
    log.add((1, 0, txn), ("invalid", 3, {"message": "too much"}))
    log.check(one, log.get(40, 3, ["a", 2]))
    log.results[3] = [("ok", 3, [True, [None, ["b", 3], ["b", 3]]])]
    with pytest.raises(Violation, match="entry 3 gave"):
        log.check(one)


def test_the_log_shows_an_answer_that_is_not_that_of_the_entry() -> None:
    log = Log()
    write = log.put(1, "a")
    write.index = 1
    with pytest.raises(Violation, match="the log gives"):
        log.check(write)
