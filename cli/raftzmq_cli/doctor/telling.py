"""How the doctor's checks are told."""

from __future__ import annotations

from collections.abc import Sequence

from raftzmq_cli.common.invocation import Invocation
from raftzmq_cli.common.messages import line
from raftzmq_cli.doctor.verdicts import Check, exit_code, verdict, worst


def tell(run: Invocation, checks: Sequence[Check]) -> int:
    """Print the verdict and a line for each check; return the exit code."""
    code = exit_code(checks)
    rows = [check.document() for check in checks]
    if run.is_table:
        line(verdict(checks))
        run.show(rows, [], ["check", "result", "finding", "cure"])
        return code
    document = {
        "verdict": worst(checks).word,
        "summary": verdict(checks),
        "exit_code": code,
        "checks": rows,
    }
    run.show(document, [verdict(checks), *map(str, checks)])
    return code
