"""No import cycles: between modules, or between the folders of a package.

Every import counts, also one for types alone and one within a function: whoever reads a module has
to know what it knows. A module that needs something of one above it gets it as an argument, or what
both need lies beneath both.
"""

from __future__ import annotations

import pytest

from tests.test_architecture import MODULES, Import, all_imports, within

PACKAGES = sorted(m for m in MODULES if any(n.startswith(m + ".") for n in MODULES))

Graph = dict[str, set[str]]
"""From the name of a module or a folder to the names of those that it imports."""


def member(package: str, module: str) -> str | None:
    """The module or folder of a package that a module lies in; None for a module elsewhere. What
    stands in the package's __init__.py lies in the package itself."""
    if not within(module, package):
        return None
    below = module[len(package) + 1 :].partition(".")[0]
    return f"{package}.{below}" if below else package


def graph_of(package: str, imports: list[Import]) -> Graph:
    """Which members of a package import which."""
    graph: Graph = {}
    for found in imports:
        importer = member(package, found.importer)
        imported = member(package, found.imported)
        if importer and imported and importer != imported and found.names != ("__version__",):
            graph.setdefault(importer, set()).add(imported)
    return graph


def reached_from(start: str, graph: Graph) -> set[str]:
    """All that can be reached over one import or more."""
    reached: set[str] = set()
    ahead = [start]
    while ahead:
        for name in graph.get(ahead.pop(), set()) - reached:
            reached.add(name)
            ahead.append(name)
    return reached


def cycles(graph: Graph) -> list[frozenset[str]]:
    """The groups whose members all reach one another."""
    reached = {name: reached_from(name, graph) for name in graph}
    groups = {
        frozenset(other for other in reached[name] if name in reached.get(other, set()))
        for name in graph
        if name in reached[name]
    }
    return sorted(groups, key=sorted)


def told(cycle: frozenset[str]) -> str:
    """The imports that a cycle is made of."""
    lines = [
        f"  {found.where}: {found.importer} imports {found.imported}"
        for found in all_imports()
        if any(within(found.importer, a) for a in cycle)
        and any(within(found.imported, b) for b in cycle if not within(found.importer, b))
    ]
    return "\n".join([f"{', '.join(sorted(cycle))}:", *dict.fromkeys(lines)])


def test_imports_make_no_cycle() -> None:
    assert PACKAGES, "no package was found: this test looks in the wrong place"
    found = [cycle for package in PACKAGES for cycle in cycles(graph_of(package, all_imports()))]
    assert not found, "\n".join(["These import one another:", *map(told, found)])


def edges(*pairs: tuple[str, str]) -> list[Import]:
    return [Import(importer, imported, (), "made up:1") for importer, imported in pairs]


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ([("p.a", "p.b"), ("p.b", "p.c")], []),
        ([("p.a", "p.b"), ("p.b", "p.a")], [{"p.a", "p.b"}]),
        ([("p.a", "p.b"), ("p.b", "p.c"), ("p.c", "p.a"), ("p.d", "p.a")], [{"p.a", "p.b", "p.c"}]),
        # The modules make no cycle; their folders do.
        ([("p.a.one", "p.b.one"), ("p.b.two", "p.a.two")], [{"p.a", "p.b"}]),
        # A module takes from its package what the package takes from it.
        ([("p", "p.a"), ("p.a", "p")], [{"p", "p.a"}]),
        ([("p.a", "p.b"), ("p.b", "q.a"), ("q.a", "p.a")], []),
    ],
    ids=["chain", "two", "three", "folders", "package", "elsewhere"],
)
def test_cycles_are_found(imports: list[tuple[str, str]], found: list[set[str]]) -> None:
    assert cycles(graph_of("p", edges(*imports))) == found
