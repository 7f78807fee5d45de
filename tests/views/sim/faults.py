"""What goes wrong in a world: crashes, pauses, cut cables; and the end of all that."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from tests.sim.story import Violation

if TYPE_CHECKING:
    from tests.views.sim.parties import Party, SimStore
    from tests.views.sim.world import World

WEIGHTS: Final = {
    "crash a server": 5,
    "crash the primary": 3,
    "pause a server": 3,
    "pause the primary": 2,
    "pause the view server": 1,
    "restart the view server": 2,
    "restart the view server beside an old primary": 2,
    "cut two": 4,
    "cut one way": 3,
    "isolate": 3,
    "keep the primary from the view server": 4,
    "halves": 2,
    "heal": 10,
}


class Faults:
    """One fault after the other, at random times. See world.py for what careful means."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._over = False
        kinds = [kind for kind in WEIGHTS if kind == "heal" or random.random() < 0.6]
        self._kinds = {kind: WEIGHTS[kind] for kind in kinds}

    def begin(self) -> None:
        self._later()

    def _later(self) -> None:
        mean_ms = self._world.options.fault_mean_ms
        self._world.at(int(self._random.expovariate(1 / mean_ms)) + 1, self._next)

    def _next(self) -> None:
        if self._over or not self._kinds:
            return
        kind = self._random.choices(list(self._kinds), list(self._kinds.values()))[0]
        if self._do(kind):
            self._world.faults_done[kind] += 1
        self._later()

    # -- each kind --------------------------------------------------------------------------------

    def _do(self, kind: str) -> bool:
        world, random = self._world, self._random
        primary = self._primary()
        match kind:
            case "crash a server":
                return self._crash(random.choice(world.stores))
            case "crash the primary":
                return primary is not None and self._crash(primary)
            case "pause a server":
                return self._pause(random.choice(world.stores))
            case "pause the primary":
                return primary is not None and self._pause(primary)
            case "pause the view server":
                return self._pause(world.view_server)
            case "restart the view server":
                return self._restart_view_server()
            case "restart the view server beside an old primary":
                return primary is not None and self._mislead(primary)
            case "heal":
                world.network.heal()
                world.story.tell("network", "is whole")
                return True
        return self._cut(kind, primary)

    def _cut(self, kind: str, primary: SimStore | None) -> bool:
        world, random, network = self._world, self._random, self._world.network
        if world.options.careful and not self.is_covered():
            return False  # one thing goes wrong at a time
        names = [*world.parties]
        random.shuffle(names)
        one, other = names[:2]
        match kind:
            case "cut two":
                network.cut_between([one], [other])
            case "cut one way":
                network.cut.add((one, other))
            case "isolate":
                network.cut_between([one], names)
            case "keep the primary from the view server":
                one = primary.name if primary else one
                network.cut_between([one], [world.view_server.name])
            case "halves":
                at = random.randrange(1, len(names))
                network.cut_between(names[:at], names[at:])
        world.story.tell("network", f"{kind}: {one}, {other}")
        return True

    def _crash(self, store: SimStore) -> bool:
        world = self._world
        if not store.up or (world.options.careful and not self.is_covered()):
            return False
        world.story.tell(store.name, "crashes")
        store.crash()
        world.at(self._random.choice([50, 500, 3000, 8000]), store.start_if_down)
        return True

    def _pause(self, party: Party) -> bool:
        if not party.up or party.is_paused:
            return False
        if self._world.options.careful and not self.is_covered():
            return False
        for_ms = self._random.choice([100, 700, 1500, 4000])
        self._world.story.tell(party.name, f"stands still for {for_ms} ms")
        party.pause(for_ms)
        return True

    def _restart_view_server(self) -> bool:
        world = self._world
        view_server = world.view_server
        if not view_server.up:
            return False
        if world.options.careful:
            if not self.is_covered():
                return False
            world.network.heal()
        world.story.tell("views", "crashes")
        view_server.crash()
        away_ms = self._random.choice([50, 1000, 4000])
        world.at(away_ms, view_server.start_if_down)
        return True

    def _mislead(self, primary: SimStore) -> bool:
        """An ambush: a primary is replaced behind its back, and then the view server restarts, and
        hears nobody but that one."""
        world, network = self._world, self._world.network
        view_server = world.view_server
        if world.options.careful or not self.is_covered():
            return False
        network.heal()
        network.cut_between([primary.name], [view_server.name])
        world.story.tell("network", f"an ambush: cuts {primary.name} from the view server")

        def restart() -> None:
            if self._over or not view_server.up:
                return
            others = [store.name for store in world.stores if store is not primary]
            network.heal()
            network.cut_between([view_server.name], others)
            world.story.tell("views", f"crashes, and will hear nobody but {primary.name}")
            view_server.crash()
            world.at(50, view_server.start_if_down)

        world.at(world.options.timing.dead_ms + self._random.choice([50, 300, 800]), restart)
        return True

    # -- what is so -------------------------------------------------------------------------------

    def _primary(self) -> SimStore | None:
        acting = [store for store in self._world.stores if store.up and store.replica.acts]
        return self._random.choice(acting) if acting else None

    def is_covered(self) -> bool:
        """Whether any one server may die now: in truth, not as the view server believes. And none
        of those that count is cut off from another."""
        view_server = self._world.view_server
        view = view_server.service.view if view_server.up else None
        if view is None or view.backup is None or not view_server.service.is_healthy:
            return False
        members = {
            store.replica.me: store.replica
            for store in self._world.stores
            if store.up and not store.is_paused
        }
        primary, backup = members.get(view.primary), members.get(view.backup)
        trio = {view_server.name, view.primary.name, view.backup.name}
        return (
            primary is not None
            and backup is not None
            and not any(trio.issuperset(link) for link in self._world.network.cut)
            and primary.view == backup.view == view
            and primary.is_synced
            and backup.has_state
        )

    # -- the end ----------------------------------------------------------------------------------

    def end(self) -> None:
        """Everything is repaired; what stands still goes on by itself."""
        self._over = True
        world = self._world
        world.network.heal()
        world.network.calm(world.options.network, perfect=True)
        for party in world.parties.values():
            if not party.up:
                party.start()

    def check_stands(self) -> None:
        """The service stands though everything is repaired. Raises Violation if it need not."""
        world = self._world
        service = world.view_server.service
        if world.options.careful:
            raise Violation(f"never more than one server was lost, and it stands: {service.reason}")
        alive = {store.replica.me for store in world.stores}
        views = [store.replica.view for store in world.stores if store.replica.view]
        view = service.view or max(views, key=lambda seen: seen.number, default=None)
        if view is None:
            raise Violation("there is no view, and nobody has seen one")
        if len(world.stores) == 1 or (view.primary in alive and view.backup in alive):
            raise Violation(f"it stands in {view}, and nobody of it was lost: {service.reason}")
        if service.view is not None and view.primary in alive and service.is_acknowledged:
            spare = any(view.role_of(me) == "idle" for me in alive)
            if spare or view.backup in alive:
                raise Violation(f"the primary of {view} lives, and it stands: {service.reason}")
