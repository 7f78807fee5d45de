"""What is in the image, what is not, and what a first mistake with it leads to."""

from __future__ import annotations

import json

import pytest

from raftzmq import __version__
from tests.containers.engine import HARDENED, Engine, answer, base_image

pytestmark = [pytest.mark.system, pytest.mark.proof]

ADDED_MAX = 45_000_000
"""Bytes on top of the base image. Measured: 37.5 million."""


def test_it_runs_raftzmq(containers: Engine) -> None:
    ended = containers.run("--version")
    assert (ended.code, ended.out, ended.err) == (0, f"raftzmq {__version__}\n", "")


def test_it_is_not_root_and_says_so_by_number(image: str, containers: Engine) -> None:
    assert answer("inspect", "--format", "{{.Config.User}}", image) == "65532:65532"
    assert containers.shell("id -u; id -g; id -un").split() == ["65532", "65532", "raftzmq"]


def test_it_says_what_it_is(image: str) -> None:
    config = json.loads(answer("inspect", "--format", "{{json .Config}}", image))
    assert config["Labels"]["org.opencontainers.image.title"] == "raftzmq"
    assert config["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    assert config["Labels"]["org.opencontainers.image.revision"] == "abc"
    assert sorted(config["ExposedPorts"]) == ["6000/tcp", "6001/tcp", "6002/tcp"]
    assert config["Entrypoint"] == ["raftzmq"]
    assert config["StopSignal"] == "SIGTERM"
    assert not config.get("Volumes")


def test_it_adds_little_to_its_base(image: str) -> None:
    size, base = (
        int(answer("inspect", "--format", "{{.Size}}", name)) for name in (image, base_image())
    )
    assert 0 < size - base < ADDED_MAX


def test_nothing_that_builds_is_left_in_it(containers: Engine) -> None:
    assert containers.shell("ls /opt/raftzmq/bin").split() == [
        *("python", "python3", "python3.14", "raftzmq"),
    ]
    tools = ("pip", "setuptools", "wheel", "hatchling")
    names = " ".join(f"{tool} {tool}-*" for tool in tools)
    found = containers.shell(
        "cd /opt/raftzmq/lib/python3*/site-packages; "
        f"ls -d {names} /src /wheel /opt/build 2>&- || true; find /opt -name '*.pyi'"
    )
    assert found == ""


def test_its_python_is_the_one_of_the_base(containers: Engine) -> None:
    python = containers.shell("readlink -e /opt/raftzmq/bin/python")
    assert python.startswith("/usr/"), "the environment's python leads nowhere"


def test_everything_that_runs_is_compiled_already(containers: Engine) -> None:
    missing = containers.shell(
        "python -B -c '"
        "import pathlib, importlib.util as u;"
        'sources = list(pathlib.Path("/opt/raftzmq/lib").rglob("*.py"));'
        "assert len(sources) > 500, len(sources);"
        "print(*(s for s in sources if not pathlib.Path(u.cache_from_source(s)).exists()"
        ' and "/pygments/" not in str(s)))'
        "'"
    )
    assert missing == ""


def test_the_kubernetes_extra_is_in_it(containers: Engine) -> None:
    assert containers.shell("python -c 'import lightkube; print(1)'") == "1"


def test_a_name_that_no_pod_has_is_one_line_and_wrong_usage(containers: Engine) -> None:
    ended = containers.run("node", "raft")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "'raft' is not a pod name" in ended.err


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (("--read-only",), "Read-only file system"),
        (("--tmpfs", "/data:uid=0,gid=0,mode=0755"), "Permission denied"),
    ],
)
def test_a_data_directory_that_cannot_be_written_is_one_line_that_says_who_needs_it(
    containers: Engine, options: tuple[str, ...], cause: str
) -> None:
    ended = containers.run("node", "raft-0", "--insecure", options=options)
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert f"/data cannot be used as a data directory: {cause}" in ended.err
    assert "user id 65532" in ended.err
    assert "--data-dir" in ended.err


def test_a_new_volume_belongs_to_the_node(containers: Engine) -> None:
    volume = containers.volume()
    mounted = (*HARDENED[:-2], "--mount", f"type=volume,src={volume},dst=/data")
    ended = containers.run("-c", "touch /data/x", options=(*mounted, "--entrypoint", "sh"))
    assert (ended.code, ended.err) == (0, "")


def test_the_shell_does_without_a_home(containers: Engine) -> None:
    ended = containers.run("client", "shell", options=HARDENED)
    assert (ended.code, ended.err) == (0, "")
