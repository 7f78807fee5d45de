"""The requests of the watch on the StatefulSet to the Kubernetes API, and how answers are read.

Two requests, and so two RBAC verbs, get and watch, on statefulsets of the group apps (in the
API's reference "StatefulSet v1 apps"):

    GET /apis/apps/v1/namespaces/NS/statefulsets/NAME
    GET /apis/apps/v1/namespaces/NS/statefulsets?watch=true&fieldSelector=metadata.name=NAME
        &resourceVersion=VERSION&timeoutSeconds=SECONDS

lightkube finds the API server, trusts its certificate, reads the token and spells the requests. Its
own `watch` is not used. It never gives up on a silent connection. And if a server ends every watch
at once, it asks again without a pause and without telling its caller.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import orjson

from raftzmq.errors import InvalidRequest

Configuration = Callable[[], Any]
"""Returns a lightkube KubeConfig or SingleConfig. If it raises, it is called again later."""

GONE: Final = 410
CLOSE_S: Final = 1.0
"""How long closing the connection to the API server may take."""

MESSAGE_MAX: Final = 200
"""How many characters of another program's message an error repeats."""


class ApiFailure(Exception):
    """A request that gave no usable answer.

    `status` is the HTTP status, or the code of an ERROR event; None if there was no answer, or one
    that makes no sense. `retry_after_s`: how long the server asks to wait.
    """

    def __init__(
        self, message: str, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Found:
    """A StatefulSet as an answer shows it.

    `replicas` is None when it is being deleted (`deleting`) or was deleted (`gone`).
    """

    replicas: int | None
    version: str
    deleting: bool = False
    gone: bool = False


def require_lightkube() -> None:
    """Raises InvalidRequest when the extra is not installed."""
    try:
        import lightkube.config.kubeconfig
        import lightkube.core.generic_client
        import lightkube.generic_resource  # noqa: F401
    except ImportError as error:
        raise InvalidRequest(
            "--statefulset needs access to the Kubernetes API, which is not installed "
            f"({error}): install raftzmq[kubernetes], or start the node without --statefulset"
        ) from None


def configuration_of_the_pod() -> Any:
    """The service account of this pod; outside of pods the one of KUBECONFIG, as for kubectl."""
    from lightkube.config.kubeconfig import KubeConfig

    return KubeConfig.from_env()


def _connection_params() -> Any:
    """No time limit, and of the API server's certificate no more than kubectl asks."""
    from lightkube.config.client_adapter import ConnectionParams

    class _ConnectionParams(ConnectionParams):
        # Since 3.13 Python refuses certificates without some extensions that RFC 5280 wants. Those
        # of many clusters (EKS) lack them, and programs in Go do not look. Signature, name and
        # dates are checked as before.
        def httpx_params(self, config: Any) -> dict[str, Any]:
            params: dict[str, Any] = super().httpx_params(config)
            params["verify"].verify_flags &= ~ssl.VERIFY_X509_STRICT
            return params

    return _ConnectionParams(timeout=None)


class StatefulSetApi:
    """One connection's worth of requests about one StatefulSet. Use as an async context manager.

    Created for every turn, so that a renewed token, a renewed CA or a moved API server takes
    effect. Sets no time limits of its own: every use of it is inside `asyncio.timeout`.
    """

    def __init__(self, name: str, namespace: str | None, configuration: Configuration) -> None:
        """Raises ApiFailure when there is no usable configuration."""
        from lightkube.core.generic_client import GenericAsyncClient
        from lightkube.generic_resource import create_namespaced_resource

        self._name = name
        self._kind = create_namespaced_resource("apps", "v1", "StatefulSet", "statefulsets")
        try:
            self._client: Any = GenericAsyncClient(
                _connection_params(), configuration(), namespace=namespace
            )
        except Exception as error:  # anything that a damaged file or environment causes
            raise ApiFailure(
                "no usable configuration, a pod needs a service account whose token is mounted: "
                f"{_words(error)}"
            ) from error

    @property
    def namespace(self) -> str:
        return str(self._client.namespace)

    async def __aenter__(self) -> StatefulSetApi:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(Exception):  # a connection that is broken already
            async with asyncio.timeout(CLOSE_S):
                await self._client.close()

    async def get(self) -> Found:
        """The StatefulSet now. Raises ApiFailure."""
        request = self._client.prepare_request(
            "get", self._kind, name=self._name, namespace=self.namespace
        )
        try:
            response = await self._send(request)
            body = await response.aread()
        except Exception as error:
            raise _failure(error) from error
        return _read_object(_read_json(body))

    async def watch(self, version: str, timeout_s: int) -> AsyncGenerator[Found | None, None]:
        """Yield None when the server has agreed to watch, then each change after `version`.

        Ends when the server ends it, which it is asked to do after `timeout_s`. Raises ApiFailure,
        with status GONE when `version` is too old.
        """
        request = self._client.prepare_request(
            "list",
            self._kind,
            namespace=self.namespace,
            watch=True,
            params={
                "fieldSelector": f"metadata.name={self._name}",
                "resourceVersion": version,
                "timeoutSeconds": timeout_s,
            },
        )
        try:
            response = await self._send(request)
            try:
                yield None
                async for line in response.aiter_lines():
                    found = self._read_event(line)
                    if found is not None:
                        yield found
            finally:
                await response.aclose()
        except Exception as error:
            raise _failure(error) from error

    async def _send(self, request: Any) -> Any:
        """The response with its body unread. Raises ApiFailure if it is not 200, and httpx's
        errors."""
        response = await self._client.send(self._client.build_adapter_request(request), stream=True)
        if response.status_code == 200:
            return response
        try:
            words = _status_message(await response.aread())
        finally:
            await response.aclose()
        raise ApiFailure(
            words or str(response.reason_phrase),
            response.status_code,
            _seconds(response.headers.get("Retry-After")),
        )

    def _read_event(self, line: str) -> Found | None:
        """What a line of a watch says about the StatefulSet. Raises ApiFailure."""
        event = _read_json(line)
        kind = event.get("type")
        thing = event.get("object")
        if not isinstance(thing, dict):
            raise ApiFailure(f"a watch event has no object: {line[:MESSAGE_MAX]}")
        if kind == "ERROR":
            code = thing.get("code")
            message = str(thing.get("message", "no reason given"))[:MESSAGE_MAX]
            raise ApiFailure(message, code if isinstance(code, int) else None)
        if kind not in {"ADDED", "MODIFIED", "DELETED"}:  # a BOOKMARK, or newer than this program
            return None
        metadata = thing.get("metadata")
        if not isinstance(metadata, dict) or metadata.get("name") != self._name:
            return None
        found = _read_object(thing)
        return Found(None, found.version, gone=True) if kind == "DELETED" else found


def _read_json(data: bytes | str) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ApiFailure(f"the Kubernetes API sent what is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ApiFailure("the Kubernetes API sent JSON that is not an object")
    return value


def _read_object(thing: dict[str, Any]) -> Found:
    """Raises ApiFailure when it does not look like a StatefulSet."""
    metadata = thing.get("metadata")
    spec = thing.get("spec")
    if not isinstance(metadata, dict) or not isinstance(spec, dict):
        raise ApiFailure("the Kubernetes API sent something that is not a StatefulSet")
    version = str(metadata.get("resourceVersion", ""))
    if metadata.get("deletionTimestamp") is not None:
        return Found(None, version, deleting=True)
    # The API server always fills it in; by the API's reference an absent one means 1.
    replicas = spec.get("replicas", 1)
    if type(replicas) is not int or replicas < 0:
        raise ApiFailure(f"spec.replicas is no number of replicas: {str(replicas)[:MESSAGE_MAX]}")
    return Found(replicas, version)


def _failure(error: Exception) -> ApiFailure:
    return error if isinstance(error, ApiFailure) else ApiFailure(_words(error))


def _words(error: Exception) -> str:
    """An exception of a library in one short line."""
    text = " ".join(str(error).split())[:MESSAGE_MAX]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _status_message(body: bytes) -> str:
    """The message of a Kubernetes Status, or nothing."""
    with suppress(ApiFailure):
        return " ".join(str(_read_json(body).get("message", "")).split())[:MESSAGE_MAX]
    return ""


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; the API server never sends the other form, a date."""
    return float(header) if header and header.isascii() and header.isdigit() else None
