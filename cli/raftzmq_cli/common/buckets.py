"""Backups in a bucket of S3-compatible storage, by the library obstore: the extra raftzmq[s3].

Endpoint, region and credentials come from the environment, in the variables that Amazon's own tools
read. The library is imported when a bucket is used, and not before.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from raftzmq.errors import DamagedBackup, DataError, InvalidRequest
from raftzmq_cli.common.locations import Written
from raftzmq_cli.common.s3_errors import explained

if TYPE_CHECKING:
    from obstore.store import S3Store

    from raftzmq.storage.snapshot_lines import SnapshotCheck

PART_BYTES: Final = 5 * 1024 * 1024
"""A backup is sent in parts of this size, of which S3 takes 10,000: 50 GB."""

PARTS_AT_ONCE: Final = 2
"""How many parts are on their way at a time. They are what is in memory of a backup."""

_BLOCK_BYTES: Final = 1024 * 1024
_SILENCE: Final = timedelta(seconds=30)  # a part must be through in this time
_RETRY_FOR: Final = timedelta(seconds=25)  # a node forgets an unused snapshot after 30 s
_RETRIES: Final = 5

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_PLAIN: Final = (*_ENDPOINTS, *KEYS, "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION")
ROLES: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""By these the library gets the credentials of a role, on EKS and ECS."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")
_MEANT: Final = re.compile(r"s3:", re.IGNORECASE)


def is_url(word: str) -> bool:
    """Whether a word is meant to name something in a bucket, and no file."""
    return _MEANT.match(word) is not None


def parse_url(url: str) -> tuple[str, str]:
    """The bucket of s3://BUCKET/KEY, and KEY, which may be empty. Raises InvalidRequest."""
    if not url.startswith("s3://"):
        raise InvalidRequest(f"{url} is no place in a bucket: write s3://BUCKET/NAME")
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidRequest(
            f"{url} names no bucket: write s3://BUCKET/NAME; host and port go into AWS_ENDPOINT_URL"
        )
    if key and any(part in ("", ".", "..") for part in key.removesuffix("/").split("/")):
        raise InvalidRequest(f"{url} has a part without a name: write s3://BUCKET/PREFIX/NAME")
    if not key.isprintable():
        raise InvalidRequest(f"{url} has characters that cannot be printed: use another name")
    return bucket, key


class Bucket:
    """The objects of a bucket whose keys are a prefix, a slash, and a name."""

    def __init__(self, bucket: str, prefix: str) -> None:
        """Raises InvalidRequest for what is missing or wrong in the environment."""
        self._prefix = prefix.strip("/")
        self._url = f"s3://{bucket}/{self._prefix}".rstrip("/")
        _check_environment(os.environ)
        self._endpoint = _endpoint(os.environ)
        self._store = self._opened(bucket)

    def check(self) -> None:
        with self._asking(self._url):
            next(iter(self._store.list(self._prefix or None, chunk_size=1)), None)

    def holds(self, name: str) -> bool:
        with self._asking(self.full_name(name)):
            try:
                self._store.head(self._key(name))
            except FileNotFoundError:
                return False
        return True

    def names(self) -> list[str]:
        with self._asking(self._url):
            found = self._store.list_with_delimiter(self._prefix or None)
        return [one["path"].rpartition("/")[2] for one in found["objects"]]

    def write(
        self, name: str, pieces: Iterable[bytes], progress: Callable[[bytes], object]
    ) -> Written:
        """As parts of one object, which exists once the storage was told that these are all. If
        anything fails, it is told to forget the parts."""
        from raftzmq.storage.snapshot_lines import SnapshotCheck

        check = SnapshotCheck()
        with self._asking(self.full_name(name)):
            self._store.put(
                self._key(name),
                _checked(pieces, check, progress),
                use_multipart=True,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
        return Written(check.size, check.crc)

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A copy in a temporary directory, which takes as much room as the backup."""
        from raftzmq.offline.backups import writing

        with tempfile.TemporaryDirectory(prefix="raftzmq-") as directory:
            path = Path(directory) / "backup"
            with writing(path), path.open("wb") as file:
                file.writelines(self._read(name))
            try:
                yield path
            except DamagedBackup as error:
                where = self.full_name(name)
                raise DamagedBackup(where, error.line, error.byte, error.problem) from None

    def remove(self, name: str) -> None:
        with self._asking(self.full_name(name)):
            self._store.delete(self._key(name))

    def full_name(self, name: str) -> str:
        return f"{self._url}/{name}"

    def shown(self, name: str) -> str:
        return self.full_name(name)

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}".lstrip("/")

    def _read(self, name: str) -> Iterator[bytes]:
        with self._asking(self.full_name(name)):
            found = self._store.get(self._key(name))
            for piece in found.stream(min_chunk_size=_BLOCK_BYTES):
                yield bytes(piece)

    def _opened(self, bucket: str) -> S3Store:
        try:
            from obstore.store import S3Store
        except ModuleNotFoundError:
            raise InvalidRequest("s3:// needs the extra: pip install 'raftzmq[s3]'") from None
        settings: dict[str, Any] = {}
        if self._endpoint is not None:
            settings["endpoint"] = self._endpoint
        client: dict[str, Any] = {
            "allow_http": (self._endpoint or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=10),
            "read_timeout": _SILENCE,
            "timeout": timedelta(days=1),  # of all of an answer: a backup may be long
        }
        if authorities := os.environ.get("AWS_CA_BUNDLE"):
            client["root_certificate"] = Path(authorities).read_bytes()
        with self._asking(self._url):
            return S3Store(
                bucket,
                client_options=client,  # type: ignore[arg-type]
                retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_FOR},
                **settings,
            )

    @contextmanager
    def _asking(self, where: str) -> Iterator[None]:
        """Turn what the library raises into one line: where, what happened, and what to do."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError, ValueError) as error:
            reason = explained(str(error), self._endpoint or "Amazon S3")
            raise DataError(f"{where}: {reason}") from error


def _checked(
    pieces: Iterable[bytes], check: SnapshotCheck, progress: Callable[[bytes], object]
) -> Iterator[bytes]:
    """The pieces. The last is not followed by an end unless they are a whole backup."""
    for piece in pieces:
        check.feed(piece)
        yield piece
        progress(piece)
    if not check.is_whole():
        raise DataError("the snapshot has come damaged: take another")


def _endpoint(environ: Mapping[str, str]) -> str | None:
    """The endpoint that the environment names. Raises InvalidRequest if it is no URL."""
    for variable in _ENDPOINTS:
        if endpoint := environ.get(variable):
            break
    else:
        return None
    try:
        parts = urlsplit(endpoint)
        right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        right = False
    if not right or not endpoint.isascii() or parts.query or parts.fragment or parts.username:
        raise InvalidRequest(f"{variable} is no URL such as https://HOST:PORT: {endpoint}")
    return endpoint.rstrip("/")


def _check_environment(environ: Mapping[str, str]) -> None:
    """Raise InvalidRequest if there are no credentials, or if a line end has got into them."""
    for variable in _PLAIN:
        value = environ.get(variable, "")
        if not value.isascii() or not value.isprintable() or " " in value:
            raise InvalidRequest(
                f"{variable} has a blank, a line end or a character that is not ASCII: take it out"
            )
    missing = [variable for variable in KEYS if not environ.get(variable)]
    anonymous = environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("1", "true")
    if missing and not anonymous and not any(environ.get(variable) for variable in ROLES):
        raise InvalidRequest(f"no credentials for s3://: set {' and '.join(missing)}")
