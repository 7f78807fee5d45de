"""Key files: who else may see them, and that nothing is lost or overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raftzmq.access import key_files
from raftzmq.access.key_directory import KeyDirectory
from raftzmq.access.key_files import (
    ClientKey,
    ClientKeyFile,
    KeyFileError,
    new_pair,
    read_client_key,
    replace,
    stamp,
    write_new,
)
from raftzmq.access.keys import Kind, Line
from raftzmq.access.node_keys import read_node_keys
from raftzmq.access.users import User
from raftzmq.errors import InvalidRequest


@pytest.fixture
def keys(tmp_path: Path) -> KeyDirectory:
    directory = KeyDirectory(tmp_path / "keys")
    before = os.umask(0)  # the widest that a shell can have
    try:
        directory.create()
    finally:
        os.umask(before)
    return directory


def names(path: Path) -> list[str]:
    return [entry.name for entry in path.iterdir()]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_secrets_are_their_owners_alone_whatever_the_umask(keys: KeyDirectory) -> None:
    assert mode(keys.path) == 0o700
    secret = ("admin.key", "node.key", "server.key")
    assert [mode(keys.path / name) for name in secret] == [0o600] * 3
    assert sorted(path.name for path in keys.path.iterdir()) == [*secret, "users.toml"]


def test_what_was_created_can_be_read(keys: KeyDirectory) -> None:
    found = read_node_keys(keys.path)
    admin = read_client_key(keys.file_of("admin"))
    assert admin.name == "admin"
    assert admin.servers == (found.server.own.public,)
    user = found.users.by_key(str(admin.own.public))
    assert user == User("admin", (str(admin.own.public),), admin=True)
    assert found.node.accepted == (found.node.own.public,)


@pytest.mark.parametrize("bits", [0o644, 0o604, 0o660, 0o620, 0o601, 0o777])
def test_a_secret_that_others_can_read_is_refused(keys: KeyDirectory, bits: int) -> None:
    for path, read in (
        (keys.path / "node.key", lambda: read_node_keys(keys.path)),
        (keys.file_of("admin"), lambda: read_client_key(keys.file_of("admin"))),
    ):
        path.chmod(bits)
        with pytest.raises(KeyFileError, match=rf"others can read .*, its mode is {bits:04o}"):
            read()
        path.chmod(0o600)


def test_users_that_others_can_change_are_refused(keys: KeyDirectory) -> None:
    (keys.path / "users.toml").chmod(0o646)
    with pytest.raises(KeyFileError, match="others can change"):
        read_node_keys(keys.path)
    (keys.path / "users.toml").chmod(0o444)
    assert read_node_keys(keys.path)


def test_secrets_are_read_as_kubernetes_mounts_them(keys: KeyDirectory) -> None:
    """Links to links to files that a group may read, in a directory that all may enter."""
    mount = keys.path.parent / "mount"
    (mount / "..2026").mkdir(parents=True)
    for name in ("node.key", "server.key", "users.toml"):
        data = mount / "..2026" / name
        data.write_bytes((keys.path / name).read_bytes())
        data.chmod(0o440)
        (mount / name).symlink_to(Path("..data") / name)
    (mount / "..data").symlink_to("..2026")
    mount.chmod(0o777)
    assert read_node_keys(mount).node.own.public == read_node_keys(keys.path).node.own.public


def test_a_file_that_is_swapped_behind_a_link_is_noticed(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "users.toml").write_text("same size")
    (tmp_path / "data").symlink_to("1")
    watched = [tmp_path / "data" / "users.toml"]
    before = stamp(watched)
    assert stamp(watched) == before
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").rename(tmp_path / "data")
    assert stamp(watched) != before


def test_nothing_that_exists_is_overwritten(keys: KeyDirectory) -> None:
    before = {path.name: path.read_bytes() for path in keys.path.iterdir()}
    with pytest.raises(KeyFileError, match=r"exists and is not overwritten"):
        keys.create()
    with pytest.raises(KeyFileError, match=r"exists and is not overwritten"):
        write_new(keys.path / "node.key", "other")
    write_new(keys.file_of("billing"), "mine")
    with pytest.raises(KeyFileError, match=r"billing\.key exists and is not overwritten"):
        keys.add(User("billing"), None)
    keys.file_of("billing").unlink()
    assert {path.name: path.read_bytes() for path in keys.path.iterdir()} == before


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "x.key").symlink_to(victim)
    with pytest.raises(KeyFileError, match="exists"):
        write_new(tmp_path / "x.key", "secret")
    assert victim.read_text() == "kept"


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_text("old")
    path.chmod(0o640)
    replace(path, "new")
    assert (path.read_text(), mode(path), names(tmp_path)) == ("new", 0o640, ["users.toml"])


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users.toml"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match=r"cannot write .*: No space left"):
        replace(path, "new")
    assert (path.read_text(), names(tmp_path)) == ("old", ["users.toml"])


def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(KeyFileError, match="others can write to"):
        KeyDirectory(tmp_path).create()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no secret key of a user"),
        (new_pair(Kind.NODE).secret.reveal(), "has a key of a node"),
        (new_pair(Kind.USER).secret.reveal(), "has no public key of a cluster"),
        (str(new_pair(Kind.USER).public), "has no secret key of a user"),
        (new_pair(Kind.SERVER).secret.reveal(), "has no secret key of a user"),
    ],
    ids=["nothing", "a node's", "no cluster's", "a public one", "a cluster's secret one"],
)
def test_a_file_that_is_no_users_key_says_what_is_missing(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "x.key"
    write_new(path, text)
    with pytest.raises(KeyFileError, match=told):
        read_client_key(path)


def test_a_key_file_that_is_replaced_is_read_again_and_a_broken_one_is_not(
    keys: KeyDirectory,
) -> None:
    path = keys.file_of("admin")
    file = ClientKeyFile(path)
    first = file.key
    replace(path, "broken")
    assert file.refresh() == first
    other = new_pair(Kind.USER)
    replace(path, key_files.key_file_text([Line(other.secret)], first.servers, "admin"))
    assert file.refresh().own.public == other.public


def test_who_asks_while_another_thread_reads_gets_the_new_key_too(
    keys: KeyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keys.file_of("admin")
    file = ClientKeyFile(path)
    read = key_files.read_client_key
    seen: list[int] = []

    def read_slowly(path: Path) -> ClientKey:
        monkeypatch.setattr(key_files, "read_client_key", read)
        seen.append(len(file.refresh().servers))  # as another thread, meanwhile
        return read(path)

    keys.rotate("server")
    monkeypatch.setattr(key_files, "read_client_key", read_slowly)
    seen.append(len(file.refresh().servers))
    assert seen == [2, 2]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"cannot read .*node\.key: No such file") as told:
        read_node_keys(tmp_path)
    assert "\n" not in str(told.value)
