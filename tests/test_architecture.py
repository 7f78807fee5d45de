"""The rules of the repository that a program can check (CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
LINES_MAX = 420

# What the modules of each part may import from raftzmq besides their own part. A part is the
# longest name here that the module's own name begins with; an import is allowed when it begins
# with one of the names listed. So the arrows point one way: core <- node <- server <- cli.
FOUNDATION = (
    "raftzmq.limits",
    "raftzmq.errors",
    "raftzmq.naming",
    "raftzmq.prefixes",
    "raftzmq.versions",
)
ENTRIES = (*FOUNDATION, "raftzmq.histogram", "raftzmq.core", "raftzmq.lines")
WIRE = (
    "raftzmq.transport.frames",
    "raftzmq.transport.peer_wire",
    "raftzmq.transport.client_wire",
    "raftzmq.transport.operator_wire",
    "raftzmq.transport.scan_wire",
    "raftzmq.transport.snapshot_wire",
    "raftzmq.transport.watch_wire",
)
PARTS: dict[str, tuple[str, ...]] = {
    "raftzmq.limits": (),
    "raftzmq.errors": (),
    "raftzmq.naming": ("raftzmq.errors",),
    "raftzmq.prefixes": (),
    "raftzmq.versions": (),
    "raftzmq.histogram": (),
    "raftzmq.standard_streams": (),
    "raftzmq.file_modes": (),
    "raftzmq.descriptors": ("raftzmq.file_modes",),
    "raftzmq.wakeups": (),
    "raftzmq.core": ("raftzmq.limits", "raftzmq.errors", "raftzmq.versions"),
    "raftzmq.machine": (
        "raftzmq.limits",
        "raftzmq.errors",
        "raftzmq.prefixes",
        "raftzmq.versions",
        "raftzmq.core.entry",
    ),
    "raftzmq.access": FOUNDATION,
    "raftzmq.lines": ("raftzmq.limits", "raftzmq.errors", "raftzmq.core"),
    "raftzmq.storage": (*ENTRIES, "raftzmq.descriptors", "raftzmq.file_modes"),
    "raftzmq.transport": (*ENTRIES, "raftzmq.descriptors", "raftzmq.access.keys"),
    "raftzmq.node": (*ENTRIES, *WIRE, "raftzmq.access", "raftzmq.machine", "raftzmq.storage"),
    "raftzmq.offline": (*ENTRIES, "raftzmq.machine", "raftzmq.storage"),
    "raftzmq.server": (
        *ENTRIES,
        "raftzmq.standard_streams",
        "raftzmq.descriptors",
        "raftzmq.file_modes",
        "raftzmq.access",
        "raftzmq.wakeups",
        "raftzmq.machine",
        "raftzmq.storage",
        "raftzmq.transport",
        "raftzmq.node",
        "raftzmq.state_machine",
    ),
    "raftzmq.page": ("raftzmq.errors", "raftzmq.core"),
    "raftzmq.state_machine": ("raftzmq.limits", "raftzmq.errors"),
    "raftzmq.client": (
        *FOUNDATION,
        "raftzmq.access",
        "raftzmq.transport",
        "raftzmq.state_machine.definition",
        "raftzmq.state_machine.errors",
    ),
    "raftzmq.views": (
        *FOUNDATION,
        "raftzmq.descriptors",
        "raftzmq.wakeups",
        "raftzmq.access",
        "raftzmq.machine",
        "raftzmq.transport",
        "raftzmq.server.access",
        "raftzmq.server.exposure",
        "raftzmq.server.link_inspection",
        "raftzmq.server.name_lookup",
        "raftzmq.server.process",
        "raftzmq.server.text_log",
        "raftzmq.client.sockets",
        "raftzmq.client.results",
    ),
    "raftzmq.contrib": ("raftzmq.client.blocking",),  # the types of what a client makes
    "raftzmq.testing": (
        *FOUNDATION,
        *WIRE,
        "raftzmq.core.config",
        "raftzmq.core.messages",
        "raftzmq.file_modes",
        "raftzmq.storage",
        "raftzmq.node",
        "raftzmq.server",
        "raftzmq.client",
    ),
    "raftzmq": (*FOUNDATION, "raftzmq.client"),
    "raftzmq_cli.common": ("raftzmq",),
    "raftzmq_cli.client": ("raftzmq", "raftzmq_cli.common"),
    "raftzmq_cli.doctor": ("raftzmq", "raftzmq_cli.common", "raftzmq_cli.client"),
    "raftzmq_cli.top": ("raftzmq", "raftzmq_cli.common", "raftzmq_cli.client"),
    "raftzmq_cli.views": ("raftzmq", "raftzmq_cli.common"),
    "raftzmq_cli.keys": ("raftzmq", "raftzmq_cli.common"),
    "raftzmq_cli.snapshot": ("raftzmq", "raftzmq_cli.common"),
    "raftzmq_cli.local": (
        "raftzmq",
        "raftzmq_cli.common",
        "raftzmq_cli.client",
        "raftzmq_cli.views",
    ),
    "raftzmq_cli.cluster": (
        "raftzmq",
        "raftzmq_cli.common",
        "raftzmq_cli.client",
        "raftzmq_cli.views",
        "raftzmq_cli.keys",
    ),
    "raftzmq_cli.compare": (
        "raftzmq",
        "raftzmq_cli.common",
        "raftzmq_cli.local",
        "raftzmq_cli.views",
    ),
    "raftzmq_cli": ("raftzmq",),
}

# Parts that take time and randomness as arguments and touch nothing: no clock, file, socket,
# thread or environment can be reached through these modules of the standard library.
PURE_PARTS = (
    "raftzmq.core",
    "raftzmq.machine",
    "raftzmq.access",
    "raftzmq.node",
    "raftzmq.client",
    "raftzmq.views",
)
SHELLS = (
    "raftzmq.access.key_directory",
    "raftzmq.access.key_files",
    "raftzmq.access.node_keys",
    "raftzmq.client.blocking",
    "raftzmq.client.blocking_claims",
    "raftzmq.client.blocking_leases",
    "raftzmq.client.blocking_shell",
    "raftzmq.client.aio",
    "raftzmq.client.aio_claims",
    "raftzmq.client.aio_leases",
    "raftzmq.client.aio_shell",
    "raftzmq.client.cancellation",
    "raftzmq.client.direct",
    "raftzmq.client.discovery",
    "raftzmq.client.forks",
    "raftzmq.client.greenlets",
    "raftzmq.client.inspections",
    "raftzmq.client.otel",
    "raftzmq.client.owner",
    "raftzmq.client.sockets",
    "raftzmq.views.loop",
    "raftzmq.views.port",
    "raftzmq.views.view_server",
    "raftzmq.views.storage_server",
    "raftzmq.views.client",
)
PURE_STDLIB = set(
    """
    __future__ abc base64 binascii bisect collections collections.abc contextlib copy dataclasses
    enum functools hashlib heapq inspect itertools json math operator re string struct tomllib types
    typing weakref zlib
    """.split()  # noqa: SIM905 -- a list of twenty quoted words is harder to read
)

# What users have or have not, and is no dependency: the client makes objects of JSON with it where
# one of its classes is given, or only checkers of types know it.
NOT_NEEDED = {"msgspec", "typing_extensions"}

# The name under which a distribution is imported, where it is another.
IMPORT_NAMES = {
    "pyzmq": "zmq",
    "prometheus-client": "prometheus_client",
    "kubernetes-validate": "kubernetes_validate",
    "pyyaml": "yaml",
    "pytest-xdist": "xdist",
    "opentelemetry-api": "opentelemetry",
    "opentelemetry-sdk": "opentelemetry",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry",
}


class Import(NamedTuple):
    importer: str  # dotted name of the module
    imported: str  # dotted name; of `from a import b`, a.b where that is a module, else a
    names: tuple[str, ...]
    where: str  # path:line


def module_name(path: Path) -> str:
    """raftzmq/core/raft.py is raftzmq.core.raft; a package's __init__.py is the package."""
    relative = path.relative_to(ROOT / "cli" if path.is_relative_to(ROOT / "cli") else ROOT)
    parts = relative.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = sorted([*ROOT.glob("raftzmq/**/*.py"), *ROOT.glob("cli/**/*.py")])
MODULES = {module_name(path) for path in SOURCES}


def imports_of(path: Path) -> Iterator[Import]:
    """Every import of a file, wherever it stands in it."""
    importer, file = module_name(path), path.relative_to(ROOT)
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, alias.name, (), where)
        elif isinstance(node, ast.ImportFrom):
            package = [*importer.split("."), *(["__init__"] if path.stem == "__init__" else [])]
            above = package[: -node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                full = f"{module}.{alias.name}"
                imported = full if full in MODULES else module
                yield Import(importer, imported, (alias.name,), where)


@cache
def all_imports() -> list[Import]:
    """Those of all sources; read where they are wanted, for each worker imports this module."""
    return [found for path in SOURCES for found in imports_of(path)]


def within(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def part_of(module: str) -> str:
    """The part that a module belongs to; the package raftzmq itself is only its __init__.py."""
    parts = [part for part in PARTS if within(module, part)]
    part = max(parts, key=len)
    assert part != "raftzmq" or module == "raftzmq", (
        f"{module} belongs to no part: say in tests/test_architecture.py what it may import"
    )
    return part


def may_import(importer: str, imported: str) -> bool:
    part = part_of(importer)
    for apart in ("raftzmq.contrib", "raftzmq.testing"):  # they are for users
        if within(imported, apart):
            return part == apart
    if part == "raftzmq.contrib" and imported == "raftzmq":
        return True  # the names that every user of the package has
    own = () if part == "raftzmq" else (part,)
    return any(within(imported, name) for name in (*own, *PARTS[part]))


def top_level(module: str) -> str:
    return module.partition(".")[0]


def report(found: list[Import], rule: str) -> None:
    lines = [f"  {i.where}: {i.importer} imports {i.imported}" for i in found]
    assert not found, "\n".join([rule, *lines])


def test_imports_point_one_way() -> None:
    ours = [i for i in all_imports() if top_level(i.imported) in {"raftzmq", "raftzmq_cli"}]
    assert ours, "no import was found: this test looks in the wrong place"
    report(
        [i for i in ours if not may_import(i.importer, i.imported) and i.names != ("__version__",)],
        "Imports point one way, core <- node <- server <- cli (PARTS in this test lists what each "
        "part may use):",
    )


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("raftzmq.limits", "raftzmq.core"),
        ("raftzmq.core.raft", "raftzmq.lines"),
        ("raftzmq.core.raft", "raftzmq.machine"),
        ("raftzmq.machine.machine", "raftzmq.core.raft"),
        ("raftzmq.node.node", "raftzmq.server.loop"),
        ("raftzmq.node.node", "raftzmq.transport.sockets"),
        ("raftzmq.storage.log", "raftzmq.client"),
        ("raftzmq.transport.sockets", "raftzmq.server.loop"),
        ("raftzmq.client.session.session", "raftzmq.storage"),
        ("raftzmq.client.session.session", "raftzmq.node.node"),
        ("raftzmq.server.loop", "raftzmq.client"),
        ("raftzmq.server.loop", "raftzmq_cli.main"),
        ("raftzmq.contrib.django", "raftzmq.client.session.session"),
        ("raftzmq.contrib.django", "raftzmq.limits"),
        ("raftzmq.client.blocking", "raftzmq.contrib.django"),
        ("raftzmq_cli.main", "raftzmq.contrib.django"),
        ("raftzmq.page.recording", "raftzmq.node.node"),
        ("raftzmq_cli.common.commands", "raftzmq_cli.client.group"),
        ("raftzmq_cli.client.locks", "raftzmq_cli.main"),
        ("raftzmq_cli.views.status", "raftzmq_cli.local.views"),
    ],
)
def test_the_rule_of_imports_forbids(importer: str, imported: str) -> None:
    assert not may_import(importer, imported)


def test_the_pure_parts_reach_no_clock_file_socket_or_randomness() -> None:
    pure = [
        i
        for i in all_imports()
        if any(within(i.importer, part) for part in PURE_PARTS) and i.importer not in SHELLS
    ]

    def is_pure(found: Import) -> bool:
        if found.imported == "random":  # the class, to name what is handed in
            return found.names == ("Random",)
        # Pure too; but core and machine see values, not bytes.
        if top_level(found.imported) in {"orjson", *NOT_NEEDED}:
            return any(within(found.importer, m) for m in ("raftzmq.client", "raftzmq.views.wire"))
        return found.imported in PURE_STDLIB or top_level(found.imported) == "raftzmq"

    report(
        [i for i in pure if not is_pure(i)],
        "Time, randomness and bytes are handed to the pure parts; they fetch none themselves "
        "(PURE_STDLIB in this test lists the modules they may use):",
    )


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert not silent, f"These modules need a docstring: {', '.join(silent)}"


def test_every_file_has_one_subject_and_stays_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert not long, f"Divide these by subject, they are over {LINES_MAX} lines: {long}"


def declared(*, dev: bool) -> set[str]:
    """The import names of the dependencies in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted: list[str] = [*project["dependencies"]]
    for extra, requirements in extras.items():
        if dev or extra not in ("docs", "dev"):
            wanted += requirements
    names = [re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0] for requirement in wanted]
    return {IMPORT_NAMES.get(name, name) for name in names}


def third_party(found: list[Import]) -> set[str]:
    ours = {"raftzmq", "raftzmq_cli", "tests", "examples"}
    return {top_level(i.imported) for i in found} - set(sys.stdlib_module_names) - ours


def test_dependencies_are_declared_and_used() -> None:
    imported = third_party(all_imports()) - NOT_NEEDED - {"pytest"}  # it loads its plugin itself
    unused, undeclared = declared(dev=False) - imported, imported - declared(dev=False)
    assert not undeclared, f"pyproject.toml does not declare {sorted(undeclared)}"
    assert not unused, f"pyproject.toml declares what nothing imports: {sorted(unused)}"


def test_the_tests_use_only_what_the_dev_extra_installs() -> None:
    found = [i for path in sorted(ROOT.glob("tests/**/*.py")) for i in imports_of(path)]
    undeclared = third_party(found) - declared(dev=True)
    assert not undeclared, f"the dev extra of pyproject.toml does not declare {sorted(undeclared)}"
