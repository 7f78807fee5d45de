"""What must hold at every step of a world, and what a history must be in the end."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from raftzmq.views.messages import Reply, Request
from raftzmq.views.service import ViewService
from raftzmq.views.view import View
from tests.sim.history import FAILED, OK, History, Op
from tests.sim.linearizability import check_keys
from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.views.sim.parties import SimStore
    from tests.views.sim.world import World

Run = tuple[str, str]
"""A server's name and incarnation."""


class Rules:
    """Watches everything, and knows more than any party can."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.views: dict[tuple[str, int], View] = {}
        """Every view that its primary has seen."""
        self._current: View | None = None
        self._seen: dict[Run, int] = {}  # the newest view that a server has seen
        self._held: set[tuple[Run, int]] = set()  # who has had the whole state as backup of a view
        self._answered: dict[tuple[str, int], Run] = {}  # by whom a view's requests were answered
        self._left: defaultdict[Run, list[tuple[int, int]]] = defaultdict(list)
        self._arrived: dict[tuple[Run, str, int], int] = {}

    # -- every step -------------------------------------------------------------------------------

    def view_server(self, service: ViewService) -> None:
        """Views change by the rules only."""
        view, before = service.view, self._current
        if view is None or view == before:
            return
        self._world.story.tell("views", str(view))
        if before is not None and view.service == before.service:
            self._check_change(before, view)
        elif before is not None:
            self._world.begun_anew()
        self._current = view
        self._world.counts["views"] += 1

    def _check_change(self, before: View, view: View) -> None:
        if view.number < before.number:
            # A restarted view server may come back to the view that everybody acts in.
            if self._seen.get(before.primary[:2], 0) >= before.number:
                raise Violation(f"from {before}, which is in force, back to {view}")
            return
        if self._seen.get(before.primary[:2], 0) < before.number:
            raise Violation(f"{before} was not acknowledged, and {view} follows it")
        if view.primary.is_same(before.primary):
            return
        if not view.primary.is_same(before.backup):
            raise Violation(f"{view.primary} was not the backup of {before}, and leads {view}")
        if (view.primary[:2], before.number) not in self._held:
            raise Violation(f"{view.primary} does not have the state of {before}, and leads {view}")

    def store(self, store: SimStore) -> None:
        """What a server knows only grows."""
        replica = store.replica
        run = (replica.me.name, replica.me.incarnation)
        if replica.view_number < self._seen.get(run, 0):
            raise Violation(f"{run[0]} went back to view {replica.view_number}")
        if replica.view_number > self._seen.get(run, 0):
            self._seen[run] = replica.view_number
            self._left[run].append((self._world.moment(), replica.view_number))
            self._world.story.tell(store.name, f"is {replica.role} in view {replica.view_number}")
        view = replica.view
        if view is not None and replica.role == "primary":
            known = self.views.setdefault((view.service, view.number), view)
            if known != view:
                raise Violation(f"two views with one number have a primary: {known}, and {view}")
        if replica.role == "backup" and replica.has_state:
            self._held.add((run, replica.view_number))

    def arrived(self, store: SimStore, client: str, request: Request) -> None:
        me = store.replica.me
        key = ((me.name, me.incarnation), client, request.id)
        self._arrived.setdefault(key, self._world.moment())

    def answers(self, store: SimStore, client: str, reply: Reply) -> None:
        """One primary answers in a view; and none once its backup has gone on to a later one."""
        if reply.code != "ok" or reply.id is None:
            return
        replica, me = store.replica, store.replica.me
        view = replica.view
        if view is None or not me.is_same(view.primary):
            raise Violation(f"{me} answers, and is not primary of {view}")
        run = (me.name, me.incarnation)
        first = self._answered.setdefault((view.service, view.number), run)
        if first != run:
            raise Violation(f"{first[0]} and {me.name} both answer in {view}")
        if view.backup is not None:
            arrived = self._arrived[run, client, reply.id]
            for left, number in self._left[view.backup[:2]]:
                if number > view.number and left < arrived:
                    raise Violation(
                        f"{me.name} answers as primary of {view} what was asked after its backup "
                        f"had gone on to view {number}"
                    )
        self._world.counts["answers"] += 1


def judge(history: History) -> int:
    """Check the whole history; return how much was checked. Raises Violation."""
    lists = {key for key in history.keys if key.startswith("list")}
    plain = History(
        [op for op in history.ops if op.arguments[0] not in lists],
        [key for key in history.keys if key not in lists],
    )
    checked = check_keys(plain)
    for key in sorted(lists):
        checked += _judge_list(key, [op for op in history.ops if op.arguments[0] == key])
    return checked


def _judge_list(key: str, ops: list[Op]) -> int:
    """A key that is only appended to: every read is a beginning of every longer one, no item is in
    it twice, and it has what was told before it was asked, and nothing that was not asked yet."""
    appends = {op.arguments[1].rstrip(";"): op for op in ops if op.name == "append"}
    reads = [op for op in ops if op.name == "get" and op.outcome == OK]
    found = [(op, (op.body[0] if op.body else "").split(";")[:-1]) for op in reads]
    found.sort(key=lambda pair: len(pair[1]))
    for (one, shorter), (other, longer) in pairwise(found):
        if longer[: len(shorter)] != shorter:
            raise Violation(f"{key}: two reads do not go together:\n  {one}\n  {other}")
        if len(longer) > len(shorter) and (other.told or 0) < one.asked:
            raise Violation(f"{key}: a later read has less:\n  {other}\n  {one}")
    for op, items in found:
        if len(set(items)) != len(items):
            raise Violation(f"{key}: an append was executed twice: {op}")
        _judge_read(key, op, items, appends)
    return len(ops)


def _judge_read(key: str, op: Op, items: list[str], appends: dict[str, Op]) -> None:
    place = {item: at for at, item in enumerate(items)}
    for item, append in appends.items():
        if item in place and append.outcome == FAILED:
            raise Violation(f"{key}: was called failed, and was done:\n  {append}\n  {op}")
        if item in place and append.asked > (op.told or 0):
            raise Violation(f"{key}: was read before it was asked:\n  {append}\n  {op}")
        if item not in place and append.outcome == OK and (append.told or 0) < op.asked:
            raise Violation(f"{key}: an acknowledged append is lost:\n  {append}\n  {op}")
    newest = 0
    for item in items:
        append = appends[item]
        if append.outcome == OK and (append.told or 0) < newest:
            raise Violation(f"{key}: {append} stands behind what was asked after it was told: {op}")
        newest = max(newest, append.asked)
