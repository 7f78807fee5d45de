"""Stand-ins for docker, kind and kubectl, which answer as a test says and record their calls."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Reads its rules anew for each call. The first rule whose words all occur in the call, in this
# order, is followed; of its answers each is given once, and the last one for ever.
_SCRIPT = """\
#!{python}
import json, sys
from pathlib import Path
me = Path(__file__)
words = sys.argv[1:]
text = sys.stdin.read() if "-" in words else ""
with (me.parent / "calls").open("a") as calls:
    calls.write(json.dumps([me.name, words, text]) + "\\n")
file = me.with_suffix(".rules")
rules = json.loads(file.read_text())
for rule in rules:
    rest = iter(words)
    if all(word in rest for word in rule["words"]):
        answer = rule["answers"][0]
        if len(rule["answers"]) > 1:
            del rule["answers"][0]
            file.write_text(json.dumps(rules))
        sys.stdout.write(answer["out"])
        sys.stdout.flush()
        sys.stderr.write(answer["err"])
        sys.exit(answer["code"])
sys.exit(f"{{me.name}} has no answer to {{words}}")
"""


class Programs:
    """A directory for the PATH, with nothing in it but what a test puts there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._rules: dict[str, list[dict[str, Any]]] = {}

    def on(self, call: str, *outs: Any, err: str = "", code: int = 0) -> None:
        """Answer a call with these words, such as `docker version`; documents become JSON.

        With several answers, each is for one call, and the last for all that follow. Later rules
        come first.
        """
        name, *words = call.split()
        texts = [out if isinstance(out, str) else json.dumps(out) for out in outs or ("",)]
        answers = [{"out": text, "err": err, "code": code} for text in texts]
        rules = self._rules.setdefault(name, [])
        rules.insert(0, {"words": words, "answers": answers})
        program = self.directory / name
        program.with_suffix(".rules").write_text(json.dumps(rules))
        program.write_text(_SCRIPT.format(python=sys.executable))
        program.chmod(0o755)

    def fail_once(self, call: str, err: str) -> None:
        """Fail the next such call; after that, answer as was said before."""
        name, *words = call.split()
        usual = next(r for r in self._rules[name] if r["words"] == words)
        usual["answers"].insert(0, {"out": "", "err": err, "code": 1})
        self.directory.joinpath(name).with_suffix(".rules").write_text(
            json.dumps(self._rules[name])
        )

    def calls(self, name: str, *words: str) -> list[tuple[list[str], str]]:
        """Arguments and standard input of the calls that had all these words."""
        file = self.directory / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        calls = [json.loads(line) for line in lines]
        return [
            (given, text)
            for program, given, text in calls
            if program == name and all(word in given for word in words)
        ]


def pod(name: str, *, ready: bool = True, **more: Any) -> dict[str, Any]:
    """A pod as Kubernetes describes it: running, unless `more` says otherwise."""
    container = {
        "name": "raftzmq",
        "restartCount": more.get("restarts", 0),
        "state": more.get("state", {"running": {}}),
    }
    return {
        "metadata": {"name": name, **more.get("metadata", {})},
        "spec": {"nodeName": more.get("worker", "worker1")},
        "status": {
            "phase": more.get("phase", "Running"),
            "conditions": more.get("conditions", [{"type": "Ready", "status": str(ready)}]),
            "containerStatuses": [container],
        },
    }


def statefulset(replicas: int, initial: int = 3, volumes: bool = True) -> dict[str, Any]:
    """The StatefulSet `raft` as Kubernetes describes it, with all changes rolled out."""
    variable = {"name": "RAFTZMQ_REPLICAS", "value": str(initial)}
    return {
        "metadata": {"name": "raft", "generation": 1},
        "spec": {
            "replicas": replicas,
            "volumeClaimTemplates": [{}] if volumes else [],
            "template": {"spec": {"containers": [{"name": "raftzmq", "env": [variable]}]}},
        },
        "status": {"observedGeneration": 1, "currentRevision": "a", "updateRevision": "a"},
    }


def documents(voters: Sequence[str], learners: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What `client status -w json` says of a healthy cluster that the first voter leads."""
    members = [
        {"name": name, "address": f"{name}.raft-service:6000", "voter": name in voters}
        for name in [*voters, *learners]
    ]
    return [
        {
            "node": name,
            "role": "leader" if name == voters[0] else "follower",
            "term": 2,
            "leader": voters[0],
            "commit_index": 9,
            "applied_index": 9,
            "last_index": 9,
            "members": members,
            "version": "0.3.0.dev0",
            "healthy": True,
            "endpoint": f"{name}.raft-service:6001",
        }
        for name in [*voters, *learners]
    ]
