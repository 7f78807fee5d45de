"""Machines with systemd, each a container with the name by which docs/machines.md calls it."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.containers.engine import BUILD_S, ROOT, answer, docker, eventually, unique

PAGE: Final = ROOT / "docs" / "machines.md"
BASE: Final = "python:3.11-slim"
"""The oldest Python, on a Debian whose systemd still runs on machines with version 1 of cgroups."""

PATIENCE_S: Final = 180.0

CAPABILITIES: Final = (
    *(
        "chown",
        "dac_override",
        "dac_read_search",
        "fowner",
        "fsetid",
    ),
    *(
        "kill",
        "setgid",
        "setuid",
        "setpcap",
        "linux_immutable",
    ),
    *(
        "net_bind_service",
        "net_broadcast",
        "net_admin",
        "net_raw",
        "ipc_lock",
    ),
    *(
        "ipc_owner",
        "sys_module",
        "sys_rawio",
        "sys_chroot",
        "sys_ptrace",
    ),
    *(
        "sys_pacct",
        "sys_admin",
        "sys_boot",
        "sys_nice",
        "sys_resource",
    ),
    *(
        "sys_time",
        "sys_tty_config",
        "mknod",
        "lease",
        "audit_write",
    ),
    *(
        "audit_control",
        "setfcap",
        "mac_override",
        "mac_admin",
        "syslog",
    ),
    *(
        "wake_alarm",
        "block_suspend",
        "audit_read",
    ),
)
"""In the order of their numbers, which begin at 0; as far as old Docker Engines know them."""


def had() -> list[str]:
    """The capabilities that can be had here."""
    status = Path("/proc/self/status").read_text()
    (bits,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:"))
    return [name for number, name in enumerate(CAPABILITIES) if int(bits, 16) >> number & 1]


# As --privileged, which fails where a capability cannot be had: that is so in some sandboxes.
ALLOWED: Final = (
    *("--cap-drop=all", *(f"--cap-add={name}" for name in had())),
    *(f"--security-opt={name}=unconfined" for name in ("seccomp", "apparmor", "systempaths")),
    *("--cgroupns=private", "--device-cgroup-rule=a *:* rwm"),
)


def block(after: str) -> str:
    """The commands of the page that follow this text: the next lines that are indented."""
    text = PAGE.read_text()
    lines = iter(text[text.index(after) :].splitlines())
    found: list[str] = []
    for line in lines:
        if line.startswith("    "):
            found.append(line.strip())
        elif found:
            break
    return "\n".join(found)


def recipe() -> str:
    """What a machine is made of. The page's commands to install are part of it: they are run
    once and not on each; those for a running systemd are not."""
    install = [line for line in block("## Install").splitlines() if "daemon-reload" not in line]
    return f"""
FROM {BASE}
RUN apt-get update -qq \\
    && apt-get install -y -qq --no-install-recommends systemd systemd-sysv curl >/dev/null
WORKDIR /clone
COPY . .
RUN {" && ".join(install)}
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/init"]
"""


def build(tag: str) -> None:
    """Build the image of a machine, with this checkout in /clone."""
    built = subprocess.run(
        ["docker", "build", "--network", "host", "--file", "-", "--tag", tag, str(ROOT)],
        input=recipe(),
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert built.returncode == 0, built.stderr + built.stdout


@dataclass(frozen=True, slots=True)
class Machine:
    """One that runs."""

    container: str

    def __call__(self, script: str) -> str:
        """What a shell on it prints in the clone. Each command must succeed."""
        ended = docker("exec", self.container, "bash", "-ec", script, timeout_s=PATIENCE_S)
        assert ended.code == 0, f"{script}\n{ended.out}{ended.err}{self.journal()}"
        return ended.out.strip()

    def journal(self) -> str:
        return docker("exec", self.container, "journalctl", "--no-pager", "--unit", "raftzmq@*").out

    def property(self, name: str, unit: str) -> str:
        return self(f"systemctl show --value --property {name} {unit}")


@dataclass(slots=True)
class Machines:
    """Machines on one network, which are gone when the test ends."""

    image: str
    network: str = field(default_factory=lambda: unique("network"))
    stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Machines:
        answer("network", "create", self.network)
        self.stack.callback(docker, "network", "rm", self.network)
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def start(self, name: str) -> Machine:
        """Start a machine, and wait until its systemd has."""
        container = unique(name)
        self.stack.callback(docker, "rm", "--force", "--volumes", container)
        answer(
            *("run", "--detach", *ALLOWED, "--name", container, "--hostname", name),
            *("--network", self.network, "--network-alias", name),
            *("--tmpfs", "/run", "--tmpfs", "/run/lock", self.image),
        )
        system = ("exec", container, "systemctl", "is-system-running")
        eventually(lambda: docker(*system).out.strip() in ("running", "degraded"), "systemd")
        return Machine(container)
