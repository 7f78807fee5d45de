"""Is there an order? Two checks of a history, independent of each other.

`check_keys` looks at each key alone, at values and moments and nothing else: Wing and Gong's
search, with memoised states (Lowe), over orders that respect who returned before whom asked. An
operation of unknown outcome may take effect at any time after it was asked, or never. A search
that runs out of its budget is not a pass.

`check_log` has the log's own order: it replays the log on a plain model and compares every result,
and every read with the state at its index, and that no index is older than what was told before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, Final, NamedTuple

from raftzmq.client.session.verdicts import DONE, REFUSALS
from raftzmq.core.entry import Entry
from tests.machine.entries import commands_of, follow
from tests.machine.model import Model
from tests.sim.history import (
    COUNTER,
    FAILED,
    NEVER,
    ODD,
    OK,
    REFUSED,
    UNKNOWN,
    History,
    Op,
    is_serial,
)
from tests.sim.story import Violation

BUDGET: Final = 300_000
"""Steps of the search for one key."""

OPS_MOST: Final = 4000

Value = Any
"""A value as it can be compared and hashed; None: the key is absent."""


class Step(NamedTuple):
    """What an operation does to one key, and what it says that it found there."""

    asked: float
    told: float
    kind: str
    value: Value = None
    expected: Value = None
    result: Any = None
    known: bool = True
    op: Op | None = None


def token(value: Any) -> Value:
    """A value in its wire form, hashable."""
    return ("b64", value["b64"]) if isinstance(value, dict) else value


ANY: Final = ("any",)
"""A result that was not told."""


def _take(step: Step, state: Value) -> tuple[bool, Value]:
    """Whether the step fits the state of its key, and the state after it."""
    kind, value, result = step.kind, step.value, step.result
    match kind:
        case "read":
            return state == value, state
        case "put":
            return True, value
        case "cas":
            succeeds = state == step.expected
            if result is ANY:
                return True, value if succeeds else state
            done, found = result
            if done:
                return succeeds, value
            return not succeeds and state == found, state
        case "incr":
            total = int(state or 0) + value
            return result is ANY or result == total, str(total)
        case "delete":
            return result is ANY or result == (state is not None), None
        case "holds":  # compares of a transaction held (or not), and then perhaps a write
            operator, wanted = step.expected
            held = (state == wanted) is (operator == "=")
            if result is ANY:
                return True, value if held else state
            if result != held:
                return False, state
            return True, value if held else state
    raise AssertionError(kind)


def check_keys(history: History, budget: int = BUDGET) -> int:
    """Check the keys that a history names, all if it names none; return how many steps were
    checked. Raises Violation."""
    by_key: defaultdict[str, list[Step]] = defaultdict(list)
    for op in history.ops:
        if op.outcome in (FAILED, REFUSED) or op.stale:
            continue
        for key, step in _steps(op, history.keys):
            # Those that it does not name may end by themselves, which only the log tells.
            if not history.keys or key in history.keys or key == COUNTER:
                by_key[key].append(step)
    for key, steps in sorted(by_key.items()):
        check_key(key, steps, budget)
    return sum(map(len, by_key.values()))


def _steps(op: Op, keys: Sequence[str]) -> Iterable[tuple[str, Step]]:
    """What one operation means for each key that it touches."""
    known = op.outcome == OK
    told = op.told if known and op.told is not None else inf
    arguments = op.arguments

    def step(kind: str, value: Value = None, expected: Value = None, result: Any = ANY) -> Step:
        return Step(op.asked, told, kind, value, expected, result if known else ANY, known, op)

    match op.name:
        case "get" | "item" if known:
            yield arguments[0], step("read", token(op.body[0]) if op.body else None)
        case "prefix" | "range" if known:
            items = {key: token(value) for key, value, _ in op.body[0]}
            for key in _read_whole(op, keys):
                yield key, step("read", items.get(key))
        case "put":
            yield arguments[0], step("put", token(arguments[1]))
        case "put_if" if arguments[2] is None:
            yield arguments[0], step("put", token(arguments[1]))
        case "cas" | "put_if":
            found = None if op.compared or op.body is None else token(op.body[0])
            result = (op.compared, found)
            expected = op.expected if op.expected is NEVER else token(op.expected)
            yield arguments[0], step("cas", token(arguments[1]), expected, result)
        case "incr":
            yield arguments[0], step("incr", arguments[1], result=op.body)
        case "delete":
            yield arguments[0], step("delete", result=op.body == 1)
        case "delete_prefix":
            for key in keys:
                yield key, step("delete")
        case "txn":
            yield from _txn_steps(op, step)


def _read_whole(op: Op, keys: Sequence[str]) -> list[str]:
    """The keys of which a read of several says what they hold, or that they are absent."""
    start, end = (op.arguments[0], "") if op.name == "prefix" else op.arguments[:2]
    items, more = op.body
    last = items[-1][0] if more else max(keys)
    return [key for key in keys if start <= key <= last and (key < end or not end)]


def _txn_steps(op: Op, step: Any) -> Iterable[tuple[str, Step]]:
    """The forms of transactions that tests.sim.clients makes: at most one compare."""
    compares, then, otherwise = op.arguments
    known = op.outcome == OK
    succeeded = bool(op.body[0]) if known else True
    if not compares or compares[0][1] == "revision":  # of revisions this search knows nothing
        possible = [then if succeeded else otherwise] if known else [then, otherwise]
        for branch in possible:
            for key, value in _writes(branch).items():
                yield key, step("put", value)
        return
    ((compared, _, operator, operand),) = compares
    if known and not succeeded:
        got = op.body[1]
        yield compared, step("holds", None, (operator, token(operand)), False)
        if got:  # the other branch read the key
            yield compared, step("read", token(got[0][0]) if got[0] else None)
        return
    for key, value in _writes(then).items():
        if key == compared:
            yield key, step("holds", value, (operator, token(operand)), True)
        else:
            yield key, step("put", value)


def _writes(branch: Sequence[Any]) -> dict[str, Value]:
    """What a branch leaves under each key that it writes; a prefix in it is one key's name."""
    found: dict[str, Value] = {}
    for name, key, *arguments in branch:
        if name in ("put", "put_if", "delete", "delete_prefix"):
            found[key] = token(arguments[0]) if arguments else None
    return found


def check_key(key: str, steps: list[Step], budget: int = BUDGET) -> None:
    """Search for an order of the steps of one key. Raises Violation if there is none, or if none
    was found within the budget."""
    assert len(steps) <= OPS_MOST, f"{len(steps)} operations on {key}: too many to search"
    steps = sorted(steps, key=lambda step: (step.asked, step.told))
    search = _Search(key, steps, budget)
    search.run()


class _Search:
    """Depth first, over orders that respect who returned before whom asked.

    Four things keep it small, and lose no order. A known step that fits and that would change
    nothing wherever it stood is taken at once. A step of unknown outcome that would change nothing
    is left for later. Of several such steps that do the same, only the first is tried. A value is
    not replaced while some known step has yet to find it, for it is written only once: a counter
    only grows.
    """

    def __init__(self, key: str, steps: list[Step], budget: int) -> None:
        self._key = key
        self._steps = steps
        self._budget = budget
        self._goal = sum(1 << i for i, step in enumerate(steps) if step.known)
        self._seen: set[tuple[int, Value]] = set()
        self._path: list[tuple[int, Value, list[int]]] = []
        self._furthest = 0
        self._told = {value for step in steps for value in _looked_for(step)}
        """Values that somebody saw, or looked for; nobody can tell the others apart."""
        self._needed: dict[Value, int] = {}
        """value -> the known steps that found the key in that state."""
        for place, step in enumerate(steps):
            value = _found(step)
            if value is not None:
                self._needed[value] = self._needed.get(value, 0) | 1 << place

    def run(self) -> None:
        if self._reach(0, None):
            return
        while self._path:
            done, state, candidates = self._path[-1]
            if not candidates:
                self._path.pop()
                continue
            place = candidates.pop()
            step = self._steps[place]
            fits, after = _take(step, state)
            now = done | 1 << place
            if not fits or not (step.known or after != state):
                continue
            if after != state and self._needed.get(state, 0) & ~now:
                continue  # a value is written once: nobody would find it again
            if self._reach(now, after):
                return
        self._fail()

    def _reach(self, done: int, state: Value) -> bool:
        """Go on from there, if that is new. Returns whether it is the goal."""
        while True:
            if done & self._goal == self._goal:
                return True
            candidates = _candidates(self._steps, done, _first_missing(done))
            for place in reversed(candidates):
                step = self._steps[place]
                if _changes_nothing(step) and _take(step, state)[0]:
                    done |= 1 << place
                    break
            else:
                break
        if (done, state) in self._seen:
            return False
        self._seen.add((done, state))
        self._budget -= 1
        if self._budget < 0:
            raise Violation(
                f"{self._key}: no order found within the budget, which is no proof of one"
            )
        if (done & self._goal).bit_count() > (self._furthest & self._goal).bit_count():
            self._furthest = done
        self._path.append((done, state, self._distinct(candidates)))
        return False

    def _distinct(self, candidates: list[int]) -> list[int]:
        """Without those steps of unknown outcome that only repeat what an earlier one does."""
        found: dict[Any, int] = {}
        for place in candidates:
            step = self._steps[place]
            if step.known:
                found[place] = place
            else:
                told = step.value in self._told or step.kind == "incr"
                value = step.value if told else None
                same = (step.kind, step.value is None, value, step.expected)
                found[same] = place  # the last of them was asked first
        return list(found.values())

    def _fail(self) -> None:
        steps, furthest = self._steps, self._furthest
        missing = [steps[i] for i in _candidates(steps, furthest, _first_missing(furthest))]
        raise Violation(
            f"{self._key}: the history is not linearizable; "
            f"{(furthest & self._goal).bit_count()} of {self._goal.bit_count()} operations fit, "
            "and none of these comes next:\n"
            + "\n".join(f"  {step.op or step}" for step in reversed(missing) if step.known)
        )


def _changes_nothing(step: Step) -> bool:
    """Whether the step is known to have left the key as it was."""
    match step.kind:
        case "read":
            return True
        case "cas":
            return step.result is not ANY and not step.result[0]
        case "delete" | "holds":
            return step.result is False
    return False


def _looked_for(step: Step) -> Iterable[Value]:
    """The values that a step says it found, or compares with."""
    match step.kind:
        case "read":
            yield step.value
        case "cas":
            yield step.expected
            if step.result is not ANY:
                yield step.result[1]
        case "holds":
            yield step.expected[1]


def _found(step: Step) -> Value:
    """The value that the key must have had; None if that is not known, or it was absent."""
    if not step.known:
        return None
    match step.kind:
        case "read":
            return step.value
        case "cas" if step.result is not ANY:
            done, found = step.result
            return step.expected if done else found
        case "holds" if step.result is True and step.expected[0] == "=":
            return step.expected[1]
        case "incr" if step.result is not ANY and step.result != step.value:
            return str(step.result - step.value)
    return None


def _first_missing(done: int) -> int:
    return ((done + 1) & ~done).bit_length() - 1


def _candidates(steps: list[Step], done: int, start: int) -> list[int]:
    """The steps that may come next: asked before any other that is left had been told. The last
    in the list is tried first: the one that was told first, those of unknown outcome at last."""
    found: list[int] = []
    earliest = inf
    for place in range(start, len(steps)):
        step = steps[place]
        if step.asked > earliest:
            break
        if not done >> place & 1:
            found.append(place)
            earliest = min(earliest, step.told)
    found.sort(key=lambda place: (-steps[place].told, -steps[place].asked))
    return found


def check_log(history: History, entries: Sequence[Entry], results: dict[int, Any]) -> int:
    """Replay the log from its beginning on a model; compare every result that was computed or
    told. Returns how many were compared. Raises Violation."""
    model = Model()
    executed: dict[tuple[int, int], tuple[Any, ...]] = {}
    reads: defaultdict[int, list[Op]] = defaultdict(list)
    for op in history.ended():
        if not op.is_write:
            reads[op.index].append(op)
    compared = _check_reads(model, reads.pop(0, []))
    for entry in entries:
        model.time_ms = max(model.time_ms, entry.time_ms)
        commands, expected = commands_of(entry), follow(model, entry)
        given = results[entry.index] if commands else []
        for command, result, found in zip(commands, expected, given, strict=True):
            check_result(entry, command, result, found)
            session, _, op = command
            if (result[0] in DONE or result[0] in REFUSALS) and is_serial(op[0]):
                executed.setdefault((session, op[0]), result)
            compared += 1
        compared += _check_reads(model, reads.pop(model.index, []))
    if reads:
        raise Violation(f"reads were answered from entries that nobody applied: {min(reads)}")
    return compared + _check_writes(history, executed) + _check_moments(history)


def check_result(entry: Entry, command: Any, result: Any, found: Any) -> None:
    """What a command of an entry gave is what the model gives."""
    if found[: len(result)] != result:
        raise Violation(
            f"entry {entry.index} gave {found}; by its place in the log it should have "
            f"given {result}: {command}"
        )


def _check_reads(model: Model, ops: Iterable[Op]) -> int:
    count = 0
    for op in ops:
        found = model.read(op.name, *op.arguments)
        if found != op.body and not _fits(op.name, found, op.body):
            raise Violation(f"the state at {op.index} holds {found}: {op}")
        count += 1
    return count


def _fits(name: str, found: Any, told: Any) -> bool:
    """Whether it is the same, but for time, which goes on also between two revisions."""
    if name == "item" and found and told:
        *same, left_ms, version = told
        return [*found[:3], found[4]] == [*same, version] and 0 <= (left_ms or 0) <= (found[3] or 0)
    if name == "lease" and found and told:
        return _is_same_lease(found, told)
    if name != "leases" or found[1] != told[1] or len(found[0]) != len(told[0]):
        return False
    return all(map(_is_same_lease, found[0], told[0]))


def _is_same_lease(found: list[Any], told: list[Any]) -> bool:
    (*head, left_ms, keys, places), (*told_head, told_ms, told_keys, told_places) = found, told
    same = (head, keys, places) == (told_head, told_keys, told_places)
    return same and 0 <= told_ms <= left_ms


def _check_writes(history: History, executed: dict[tuple[int, int], tuple[Any, ...]]) -> int:
    """What was told of each write is what its first execution gave; what was said not to be done
    was not."""
    count = 0
    for op in history.ops:
        if not op.is_write or op.outcome == UNKNOWN:
            continue
        if op.name == ODD and op.outcome == OK:
            raise Violation(f"is ill-formed, and was accepted: {op}")
        found = executed.get((op.session, op.serial))
        if op.outcome == REFUSED:
            if found is None or found[0] != op.code:
                raise Violation(f"the log gives {found}: {op}")
        elif op.outcome == FAILED:
            if found is not None and found[0] in DONE:
                raise Violation(f"was called failed, and was done, {found}: {op}")
        elif found is None or found != (
            "ok" if op.compared else "compare_failed",
            op.index,
            op.body,
        ):
            raise Violation(f"the log gives {found}: {op}")
        count += 1
    return count


def _check_moments(history: History) -> int:
    """Nothing is older than what had been told when it was asked (real time, by log indices)."""
    ops = [op for op in history.ended() if not op.stale]
    told = sorted(ops, key=lambda op: op.told or 0)
    place, newest = 0, 0
    last: Op | None = None
    for op in sorted(ops, key=lambda op: op.asked):
        while place < len(told) and (told[place].told or 0) < op.asked:
            if told[place].index > newest:
                newest, last = told[place].index, told[place]
            place += 1
        if op.index < newest or (op.is_write and op.index == newest):
            raise Violation(f"older than what had been told:\n  {op}\n  {last}")
    return len(ops)
