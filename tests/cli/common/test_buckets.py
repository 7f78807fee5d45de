"""Names of places in buckets, what the environment says of them, and errors in a person's words."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq_cli.common import backups
from raftzmq_cli.common.buckets import Bucket, is_url, parse_url
from raftzmq_cli.common.s3_errors import explained
from raftzmq_cli.main import run

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def set_only(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment have these of Amazon's variables, and no others."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("url", "bucket", "key"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://my.bucket-1/a/b.backup", "my.bucket-1", "a/b.backup"),
        ("s3://bucket/a b/é%41?x#y", "bucket", "a b/é%41?x#y"),
        ("s3://bucket/a/", "bucket", "a/"),
    ],
)
def test_a_url_is_a_bucket_and_a_key(url: str, bucket: str, key: str) -> None:
    assert is_url(url)
    assert parse_url(url) == (bucket, key)


@pytest.mark.parametrize(
    "url",
    [
        *("s3:", "s3:bucket/a", "s3:/bucket/a", "S3://bucket/a", "s3://", "s3:///a"),
        *("s3://host:9000/a", "s3://user:secret@bucket/a", "s3://b/a", "s3://-bucket/a"),
        *("s3://bucket//a", "s3://bucket/a//b", "s3://bucket/./a", "s3://bucket/a/../b"),
        *("s3://bucket/a\nb", "s3://bucket/a\0", "s3://buc ket/a"),
    ],
)
def test_what_is_no_url_is_wrong_usage_and_no_file(
    url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAFTZMQ_ENDPOINTS", "127.0.0.1:1")
    for words in (["snapshot", "status", url], ["client", "snapshot", "save", "--into", url]):
        assert run(words) == 2
        said = capfd.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert "s3://BUCKET" in said.err or "another name" in said.err


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "s3://bucket/a/"])
def test_a_backup_has_a_name(url: str) -> None:
    with pytest.raises(InvalidRequest, match="names no backup: write s3://BUCKET/NAME"):
        backups.place_of(url)


def test_words_without_a_bucket_are_paths(tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    location, name = backups.place_of(str(tmp_path / "s3" / "backup"))
    location.check()
    assert location.full_name(name) == str(tmp_path / "s3" / "backup")
    assert not is_url("s3/backup")


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "key"}, "no credentials for s3://: set AWS_SECRET_ACCESS_KEY"),
        (
            {**KEYS, "AWS_SECRET_ACCESS_KEY": "secret\n"},
            "AWS_SECRET_ACCESS_KEY has a blank",
        ),
        ({**KEYS, "AWS_REGION": "eu west"}, "AWS_REGION has a blank"),
        ({**KEYS, "AWS_ENDPOINT_URL": "storage:9000"}, "AWS_ENDPOINT_URL is no URL such as https"),
        ({**KEYS, "AWS_ENDPOINT_URL": "ftp://storage"}, "AWS_ENDPOINT_URL is no URL"),
        ({**KEYS, "AWS_ENDPOINT_URL": "http://storage:port"}, "AWS_ENDPOINT_URL is no URL"),
        ({**KEYS, "AWS_ENDPOINT_URL_S3": "http://[::1"}, "AWS_ENDPOINT_URL_S3 is no URL"),
    ],
)
def test_what_is_wrong_in_the_environment_is_told(
    environ: dict[str, str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_only(environ, monkeypatch)
    with pytest.raises(InvalidRequest, match=wanted):
        Bucket("bucket", "")


@pytest.mark.parametrize(
    "environ",
    [
        KEYS,
        {"AWS_SKIP_SIGNATURE": "true"},
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"},
        {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9000/", "AWS_REGION": "eu-west-1"},
    ],
)
def test_what_is_right_there_is_taken(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_only(environ, monkeypatch)
    assert Bucket("bucket", "a/b/").full_name("c") == "s3://bucket/a/b/c"
    assert Bucket("bucket", "").full_name("c") == "s3://bucket/c"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("status code: 403 Forbidden: <Error><Code>AccessDenied</Code>", "denied: give this key"),
        ("HEAD in 1ms - Server returned non-2xx status code: 403 Forbidden: ", "denied: give this"),
        ("status code: 404 Not Found: <Code>NoSuchBucket</Code>", "there is no such bucket"),
        ("status code: 404 Not Found: <Code>NoSuchKey</Code>", "there is no such object"),
        ("<Code>ExpiredToken</Code>", "the credentials have expired: get others"),
        ("<Code>AuthorizationHeaderMalformed</Code>", "in another region: say in AWS_REGION"),
        ("status code: 301 Moved", "in another region: say in AWS_REGION"),
        (
            "<Code>EntityTooLarge</Code><Message>Too large.</Message>",
            "http://s refused: EntityTooLarge: Too large.; its log may say more",
        ),
        ("status code: 503: <Code>SlowDown</Code>", "refused: SlowDown; try again later"),
        ("status code: 502 Bad Gateway", "http://s refused: 502; try again later"),
        ("HTTP error Debug source: HttpError { kind: Connect, dns }", "cannot be reached"),
        ("HTTP error Debug source: kind: Connect, InvalidCertificate(Expired)", "AWS_CA_BUNDLE"),
        ("HTTP error Debug source: HttpError { kind: Timeout }", "did not answer in time"),
        ("HTTP error Debug source: HttpError { kind: Decode }", "was lost: try again"),
        ("Generic error: it\nis so\n\nDebug source:\n{", "Generic error: it is so"),
    ],
)
def test_an_error_says_what_happened_and_what_to_do(text: str, wanted: str) -> None:
    said = explained(text, "http://s")
    assert wanted in said
    assert "\n" not in said


def test_without_the_extra_it_says_what_to_install(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_only(KEYS, monkeypatch)
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    assert run(["snapshot", "status", "s3://bucket/a"]) == 2
    said = capfd.readouterr()
    assert said.err == "raftzmq: s3:// needs the extra: pip install 'raftzmq[s3]'\n"


def test_the_library_is_not_imported_for_files(tmp_path: Path) -> None:
    program = (
        "import sys; from raftzmq_cli.main import run; "
        f"run(['client', 'snapshot', 'save', {str(tmp_path / 'no' / 'backup')!r}]); "
        f"run(['snapshot', 'status', {str(tmp_path / 'none')!r}]); "
        "print('obstore' in sys.modules, 'raftzmq_cli.common.buckets' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "False True"


def test_the_page_adds_to_the_image_what_the_extra_is() -> None:
    root = Path(__file__).parents[3]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    (requirement,) = project["optional-dependencies"]["s3"]
    assert f"install '{requirement}'" in (root / "docs" / "backups.md").read_text()
