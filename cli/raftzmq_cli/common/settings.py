"""The options that all commands of `raftzmq client` share, and where their defaults come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from raftzmq.client import discovery
from raftzmq.errors import InvalidRequest
from raftzmq.naming import endpoint_list

TIMEOUT_S: Final = 5.0
TIMEOUT_MAX_S: Final = 86_400


class Output(StrEnum):
    """How a command prints its answer."""

    SIMPLE = "simple"
    JSON = "json"
    TABLE = "table"


ENDPOINTS_HELP = "Client ports of the nodes. [RAFTZMQ_ENDPOINTS]"
TIMEOUT_HELP = "Seconds to wait for an answer (default: 5). [RAFTZMQ_TIMEOUT]"
KEY_HELP = "Your key file NAME.key, for nodes that run with keys. [RAFTZMQ_KEY]"
OUTPUT_HELP = "Output format: simple, json or table. [RAFTZMQ_OUTPUT]"

# On the group, where the environment is read. A variable must not win over an option that was
# given before the command, so the same options after the command do not read it.
GroupEndpoints = Annotated[
    str | None,
    typer.Option(
        "--endpoints",
        metavar="HOST:PORT,...",
        envvar="RAFTZMQ_ENDPOINTS",
        show_envvar=False,
        help=ENDPOINTS_HELP,
    ),
]
GroupTimeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        envvar="RAFTZMQ_TIMEOUT",
        show_envvar=False,
        help=TIMEOUT_HELP,
    ),
]
GroupOutput = Annotated[
    Output | None,
    typer.Option("--output", "-w", envvar="RAFTZMQ_OUTPUT", show_envvar=False, help=OUTPUT_HELP),
]
GroupKey = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", envvar="RAFTZMQ_KEY", show_envvar=False, help=KEY_HELP),
]
CommandEndpoints = Annotated[
    str | None,
    typer.Option(
        "--endpoints",
        metavar="HOST:PORT,...",
        allow_from_autoenv=False,
        show_envvar=False,
        help=ENDPOINTS_HELP,
    ),
]
CommandTimeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        allow_from_autoenv=False,
        show_envvar=False,
        help=TIMEOUT_HELP,
    ),
]
CommandOutput = Annotated[
    Output | None,
    typer.Option("--output", "-w", allow_from_autoenv=False, show_envvar=False, help=OUTPUT_HELP),
]

CommandKey = Annotated[
    Path | None,
    typer.Option(
        "--key", metavar="FILE", allow_from_autoenv=False, show_envvar=False, help=KEY_HELP
    ),
]


@dataclass(frozen=True, slots=True)
class Settings:
    """The shared options as they were given; None where they were not."""

    given_endpoints: str | None = None
    given_timeout_s: float | None = None
    given_output: Output | None = None
    key: Path | None = None

    def overridden(
        self,
        endpoints: str | None,
        timeout_s: float | None,
        output: Output | None,
        key: Path | None = None,
    ) -> Settings:
        """The same settings with those given here in place of the earlier ones."""
        return replace(
            self,
            given_endpoints=self.given_endpoints if endpoints is None else endpoints,
            given_timeout_s=self.given_timeout_s if timeout_s is None else timeout_s,
            given_output=self.given_output if output is None else output,
            key=self.key if key is None else key,
        )

    @property
    def endpoints(self) -> tuple[str, ...]:
        """HOST:PORT of client ports, at least one. Raises InvalidRequest."""
        if self.given_endpoints is None:
            return discovery.find(None).endpoints
        return parse_endpoints(self.given_endpoints)

    def timeout_s(self, default_s: float = TIMEOUT_S) -> float:
        """Seconds that one operation may take. Raises InvalidRequest."""
        if self.given_timeout_s is None:
            return default_s
        if not 0 < self.given_timeout_s <= TIMEOUT_MAX_S:
            raise InvalidRequest(
                f"--timeout must be a number of seconds above 0 and up to {TIMEOUT_MAX_S:,}, "
                f"not {self.given_timeout_s:g}"
            )
        return self.given_timeout_s

    def waiting_s(self) -> float | None:
        """Seconds to wait for what others hold; 0: it must be free; None: as long as it takes."""
        return self.given_timeout_s

    def answer_s(self) -> float:
        """As `timeout_s`, where a timeout of 0 is one of `waiting_s` and not of an answer."""
        return self.timeout_s() if self.given_timeout_s else TIMEOUT_S

    @property
    def output(self) -> Output:
        return self.given_output or Output.SIMPLE


def parse_endpoints(text: str) -> tuple[str, ...]:
    """Return the endpoints of `HOST:PORT,HOST:PORT`. Raises InvalidRequest."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise InvalidRequest("--endpoints is empty: give HOST:PORT, such as 127.0.0.1:6001")
    return endpoint_list(parts)
