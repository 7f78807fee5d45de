"""Seeds that failed once, and why. They are played with every run of the tests.

A seed means a world only together with the simulator that draws it: after a change to the draws
these are seeds like any others, as the first four are now: new faults and readers have come since.
What they found is therefore tested without the simulator, in
tests/node/test_found_by_simulation.py.
"""

from __future__ import annotations

from typing import Final

SEEDS: Final[dict[int, str]] = {
    27: "a full disk at the moment of joining ended the process, and every one after it",
    31: "a full disk at the moment of forming did the same",
    63: "a member cut off while another was admitted could not answer that one as its leader",
    95: "the same; and here nobody else could win the election",
    1116: "the simulator's own: a client at rest kept a lock, and those in line all sessions",
    1190: "a follower with a full disk took pieces of a snapshot for room; its watchers stayed",
    4000028: "the simulator's own: freezes that overlapped set a node's clock back",
}
