"""The watch on spec.replicas, against a server that answers as the Kubernetes API does.

Where these tests wait, they wait for what they need; the small times below only say how soon the
watch loses patience.
"""

from __future__ import annotations

import builtins
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from raftzmq.errors import InvalidRequest
from raftzmq.server.statefulset import Pauses, ReplicaReading, StatefulSetWatch, WatchTiming
from raftzmq.server.statefulset_api import ApiFailure
from tests.server.kube_api import (
    END,
    PATIENCE_S,
    KubeApi,
    Reply,
    event_line,
    status,
    status_reply,
)

QUICK = WatchTiming(gap_s=0.01, pause_s=0.02, pause_max_s=0.1, absent_s=0.05, forbidden_s=0.05)
FORBIDDEN = status_reply(403, "Forbidden", 'statefulsets.apps "raft" is forbidden')
BROKEN = status_reply(500, "InternalError", "etcdserver: request timed out")


class Watcher:
    """A StatefulSetWatch and a way to wait for what it says."""

    def __init__(
        self,
        configuration: Callable[[], Any],
        timing: WatchTiming = QUICK,
        namespace: str | None = None,
    ) -> None:
        self.said: list[ReplicaReading] = []
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self.watch = StatefulSetWatch(
            "raft",
            namespace,
            on_change=self._hear,
            configuration=configuration,
            timing=timing,
        )
        self._ready.set()

    def _hear(self) -> None:
        self._ready.wait(PATIENCE_S)
        with self._changed:
            self.said.append(self.watch.latest)
            self._changed.notify_all()

    def until(self, wanted: Callable[[ReplicaReading], bool]) -> ReplicaReading:
        with self._changed:
            reached = self._changed.wait_for(lambda: wanted(self.watch.latest), PATIENCE_S)
        self.watch.check()
        assert reached, f"never said: {self.said}"
        return self.watch.latest

    def until_replicas(self, replicas: int | None) -> ReplicaReading:
        return self.until(lambda scale: scale.read_ms > 0 and scale.replicas == replicas)

    def until_problem(self, pattern: str) -> ReplicaReading:
        return self.until(lambda scale: bool(re.search(pattern, scale.problem or "")))


@pytest.fixture
def api() -> Iterator[KubeApi]:
    with KubeApi() as running:
        running.create("raft", 3)
        yield running


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first")
    return path


@pytest.fixture
def configuration(api: KubeApi, token_file: Path) -> Callable[[], Any]:
    def configure() -> Any:
        from lightkube.config.kubeconfig import KubeConfig
        from lightkube.config.models import Cluster, User

        user = User(token_file=str(token_file))
        return KubeConfig.from_one(cluster=Cluster(server=api.url), user=user)

    return configure


@pytest.fixture
def start(
    configuration: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Watcher]]:
    """Starts watchers, with the API server and token of the test unless told otherwise."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    started: list[Watcher] = []

    def begin(*, configure: Callable[[], Any] = configuration, **options: Any) -> Watcher:
        started.append(Watcher(configure, **options))
        return started[-1]

    yield begin
    for watcher in started:
        watcher.watch.close()
        watcher.watch.check()


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def join_threads() -> None:
    """Until no watch has a thread."""
    for thread in threading.enumerate():
        if thread.name == "statefulset-watch":
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


# What is asked.


def test_the_requests_are_those_that_the_kubernetes_api_documents(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    start(timing=WatchTiming(watch_s=240)).until_replicas(3)
    api.wait_for("watch", 1)
    get, watch = api.requests
    assert get.target == "/apis/apps/v1/namespaces/default/statefulsets/raft"
    assert watch.path == "/apis/apps/v1/namespaces/default/statefulsets"
    assert "fieldSelector=metadata.name%3Draft" in watch.target
    assert watch.query == {
        "watch": "true",
        "fieldSelector": "metadata.name=raft",
        "resourceVersion": "101",
        "timeoutSeconds": "240",
    }
    assert get.token == watch.token == "first"


def test_a_namespace_that_is_given_is_the_one_that_is_asked_about(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    api.create("raft", 5, namespace="elsewhere")
    start(namespace="elsewhere").until_replicas(5)
    assert "/namespaces/elsewhere/" in api.requests[0].path


@pytest.mark.parametrize("strict", [False, True], ids=["as before 3.13", "as since 3.13"])
def test_in_a_pod_the_service_account_says_where_and_who(
    tmp_path: Path, start: Callable[..., Watcher], monkeypatch: pytest.MonkeyPatch, strict: bool
) -> None:
    """Python 3.13 began to ask more of certificates than other programs, and than clusters give."""
    if strict:
        monkeypatch.setattr(ssl, "create_default_context", strict_context)
    with KubeApi(certificate_dir=tmp_path) as api:
        (tmp_path / "token").write_text("of the pod")
        (tmp_path / "namespace").write_text("here")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
        api.create("raft", 7, namespace="here")
        watcher = start(configure=lambda: service_account(tmp_path))
        watcher.until_replicas(7)
        assert api.requests[0].token == "of the pod"
        watcher.watch.close()


def strict_context(make: Any = ssl.create_default_context, **given: Any) -> ssl.SSLContext:
    context: ssl.SSLContext = make(**given)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def service_account(directory: Path) -> Any:
    from lightkube.config.kubeconfig import KubeConfig

    return KubeConfig.from_service_account(directory)


# What is heard.


def test_scaling_is_heard_while_watching(api: KubeApi, start: Callable[..., Watcher]) -> None:
    watcher = start()
    watcher.until_replicas(3)
    api.wait_for_watch()
    for replicas in (5, 0, 1):
        api.scale("raft", replicas)
        assert watcher.until_replicas(replicas).problem is None
    assert api.count("get") == 1


def test_a_change_between_the_get_and_the_watch_is_heard(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    watcher = start()
    for replicas in range(20, 0, -1):  # some of them fall between the two
        api.scale("raft", replicas)
        watcher.watch.refresh()
    watcher.until_replicas(1)


def test_what_a_watch_tells_is_as_old_as_the_request_for_it(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    watcher = start()
    watcher.until_replicas(3)
    api.wait_for_watch()
    before_ms = now_ms()
    api.scale("raft", 5)
    assert watcher.until_replicas(5).read_ms <= before_ms


def test_replicas_that_are_left_out_are_one(api: KubeApi, start: Callable[..., Watcher]) -> None:
    api.change("raft", lambda thing: thing["spec"].pop("replicas"))
    start().until_replicas(1)


def test_a_bookmark_and_an_unknown_event_change_nothing(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    watcher = start()
    watcher.until_replicas(3)
    api.wait_for_watch()
    bookmark = {"kind": "StatefulSet", "metadata": {"resourceVersion": "500"}}
    api.send_line(event_line("BOOKMARK", bookmark))
    api.send_line(event_line("RENAMED", {"spec": {"replicas": 9}}))
    api.scale("raft", 5)
    watcher.until_replicas(5)
    assert [scale.replicas for scale in watcher.said] == [3, 5]
    assert api.count("get") == 1


def test_another_statefulset_is_none_of_our_concern(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    watcher = start()
    watcher.until_replicas(3)
    api.wait_for_watch()
    other = {"metadata": {"name": "other", "resourceVersion": "200"}, "spec": {"replicas": 9}}
    api.send_line(event_line("MODIFIED", other))
    api.scale("raft", 5)
    watcher.until_replicas(5)
    assert [scale.replicas for scale in watcher.said] == [3, 5]


def test_one_that_is_being_deleted_wants_no_members_removed(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    watcher = start()
    watcher.until_replicas(3)
    deletion = {"deletionTimestamp": "2030-01-01T00:00:00Z"}
    api.change("raft", lambda thing: thing["metadata"].update(deletion))
    api.change("raft", lambda thing: thing["spec"].update(replicas=0))
    assert "is being deleted" in str(watcher.until_replicas(None).problem)
    api.delete("raft")
    watcher.until_problem("has been deleted")
    assert 0 not in [scale.replicas for scale in watcher.said]


def test_one_that_is_made_again_counts_again(api: KubeApi, start: Callable[..., Watcher]) -> None:
    watcher = start()
    watcher.until_replicas(3)
    api.wait_for_watch()
    api.delete("raft")
    watcher.until_replicas(None)
    assert api.create("raft", 5) == "uid-2", "another StatefulSet under the same name"
    assert watcher.until_replicas(5).problem is None


# What goes wrong with a request.


def test_without_permission_that_is_said_once_with_the_rule_that_is_missing(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    api.refuse("get", FORBIDDEN)
    watcher = start()
    scale = watcher.until_problem("no permission to watch StatefulSet default/raft")
    assert scale.replicas is None
    assert "get and watch on statefulsets.apps raft" in str(scale.problem)
    assert "`raftzmq client member list|add|promote|remove`" in str(scale.problem)
    api.wait_for("get", 4)
    assert len({scale.problem for scale in watcher.said}) == 1


def test_a_permission_that_is_granted_later_takes_effect(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    api.refuse("get", FORBIDDEN)
    watcher = start()
    watcher.until_problem("no permission")
    api.recover()
    assert watcher.until_replicas(3).problem is None


def test_permission_to_get_and_not_to_watch_is_a_problem_with_known_replicas(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    api.refuse("watch", FORBIDDEN)
    watcher = start()
    assert watcher.until_problem("no permission to watch").replicas == 3
    api.scale("raft", 5)
    watcher.until_replicas(5)
    problems = [scale.problem for scale in watcher.said]
    assert None not in problems[problems.index(watcher.watch.latest.problem) :], "said once"
    api.recover()
    assert watcher.until(lambda scale: scale.problem is None).replicas == 5


def test_one_that_is_not_there_yet_is_found_when_it_is(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    api.delete("raft")
    watcher = start()
    assert watcher.until_problem("there is no StatefulSet default/raft").replicas is None
    api.create("raft", 3)
    assert watcher.until_replicas(3).problem is None


def test_a_renewed_token_is_read_from_its_file(
    api: KubeApi, start: Callable[..., Watcher], token_file: Path
) -> None:
    api.token = "first"
    watcher = start()
    watcher.until_replicas(3)
    api.wait_for_watch()
    api.token = "second"
    api.end_watches()
    assert watcher.until_problem("401").replicas == 3
    token_file.write_text("second")
    watcher.until(lambda scale: scale.problem is None)
    assert api.requests[-1].token == "second"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (BROKEN, "500 etcdserver: request timed out"),
        (status_reply(503, "ServiceUnavailable", "apiserver is shutting down"), "503 apiserver"),
        (Reply(502, b"<html>Bad Gateway</html>"), "502 Bad Gateway"),
        (Reply(200, b"<html>welcome</html>"), "not JSON"),
        (Reply(200, b'{"kind":"StatefulSet"'), "not JSON"),
        (Reply(200, b"[]"), "not an object"),
        (Reply(200, b"{}"), "not a StatefulSet"),
        (Reply(200, b'{"metadata":{},"spec":{"replicas":"3"}}'), "no number of replicas: 3"),
        (Reply(200, b'{"metadata":{},"spec":{"replicas":true}}'), "no number of replicas: True"),
        (Reply(200, b'{"metadata":{},"spec":{"replicas":-1}}'), "no number of replicas: -1"),
        (Reply(200, b'{"metadata":', says_length=5000), "RemoteProtocolError"),
    ],
)
def test_an_answer_that_is_none_leaves_the_last_replicas_and_their_age(
    api: KubeApi, start: Callable[..., Watcher], reply: Reply, said: str
) -> None:
    watcher = start()
    known = watcher.until_replicas(3)
    api.wait_for_watch()
    api.refuse("get", reply)
    api.end_watches()
    scale = watcher.until_problem(re.escape(said))
    assert (scale.replicas, scale.read_ms) == (3, known.read_ms)
    api.recover()
    scale = watcher.until(lambda scale: scale.problem is None)
    assert scale.replicas == 3
    assert scale.read_ms > known.read_ms


def test_replicas_that_nobody_could_confirm_for_long_are_no_longer_told(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    watcher = start(timing=WatchTiming(gap_s=0.01, pause_s=0.02, pause_max_s=0.02, known_s=0.2))
    watcher.until_replicas(3)
    api.wait_for_watch()
    api.refuse("get", BROKEN)
    api.end_watches()
    assert watcher.until_replicas(None).problem is not None


def test_too_many_requests_are_followed_by_the_rest_that_was_asked_for(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    api.refuse("get", status_reply(429, "TooManyRequests", "too many", retry_after="1"))
    watcher = start()
    watcher.until_problem("429 too many")
    watcher.watch.refresh()  # does not cut the rest short
    api.recover()
    watcher.until_replicas(3)
    first, second = [request.arrived_ms for request in api.requests if request.kind == "get"]
    assert second - first >= 1000


@pytest.mark.parametrize("kind", ["get", "watch"])
def test_a_request_that_is_never_answered_is_given_up(
    api: KubeApi, start: Callable[..., Watcher], kind: str
) -> None:
    api.hang(kind)
    watcher = start(timing=WatchTiming(request_s=0.2, pause_s=0.02))
    watcher.until_problem(r"no answer within 0\.2 s")
    api.recover()
    api.wait_for_watch()
    assert watcher.until(lambda scale: scale.problem is None).replicas == 3


def test_a_server_that_is_not_there_is_a_problem_and_no_more(
    start: Callable[..., Watcher], token_file: Path
) -> None:
    from lightkube.config.kubeconfig import KubeConfig
    from lightkube.config.models import Cluster, User

    user = User(token_file=str(token_file))
    nobody = KubeConfig.from_one(cluster=Cluster(server="http://127.0.0.1:1"), user=user)
    watcher = start(configure=lambda: nobody)
    assert watcher.until_problem("ConnectError").replicas is None


def test_a_certificate_that_is_not_trusted_is_a_problem_until_it_is(
    tmp_path: Path, start: Callable[..., Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    with KubeApi(certificate_dir=tmp_path) as api:
        api.create("raft", 3, namespace="here")
        (tmp_path / "token").write_text("of the pod")
        (tmp_path / "namespace").write_text("here")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")  # not the certificate's name
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
        watcher = start(configure=lambda: service_account(tmp_path))
        watcher.until_problem("CERTIFICATE_VERIFY_FAILED")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        assert watcher.until_replicas(3).problem is None
        watcher.watch.close()


def test_outside_of_a_pod_it_says_what_is_missing(
    tmp_path: Path, start: Callable[..., Watcher]
) -> None:
    watcher = start(configure=lambda: service_account(tmp_path))
    watcher.until_problem("a pod needs a service account whose token is mounted")


# What goes wrong with a watch.


def test_a_watch_that_ends_is_begun_again(api: KubeApi, start: Callable[..., Watcher]) -> None:
    watcher = start()
    for count in (1, 2, 3):
        api.wait_for_watch(count)
        api.end_watches()
    api.scale("raft", 5)
    watcher.until_replicas(5)
    assert {scale.problem for scale in watcher.said} == {None}


def test_the_server_ends_a_watch_after_the_time_that_was_asked_for(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    start(timing=WatchTiming(watch_s=1, pause_s=0.02))
    api.wait_for("watch", 2)


def test_a_watch_that_went_silent_is_given_up(api: KubeApi, start: Callable[..., Watcher]) -> None:
    # The server would end it after a minute, and never does within this test.
    watcher = start(timing=WatchTiming(watch_s=60, margin_s=-59.8, pause_s=0.02))
    api.wait_for("watch", 2)
    api.scale("raft", 5)
    watcher.until_replicas(5)
    assert {scale.problem for scale in watcher.said} == {None}


@pytest.mark.parametrize(
    "beginning",
    [b'{"type":"MODIFIED","object":{"metadata":{"name":"raft"},"spec":{"repl', b"<html>"],
)
def test_a_watch_that_is_cut_in_a_line_loses_nothing(
    api: KubeApi, start: Callable[..., Watcher], beginning: bytes
) -> None:
    watcher = start()
    watcher.until_replicas(3)
    api.wait_for_watch()
    api.cut_watches(beginning)
    api.wait_for("get", 2)
    api.scale("raft", 5)
    watcher.until_replicas(5)
    assert {scale.problem for scale in watcher.said} == {None}


@pytest.mark.parametrize("line", [b"null\n", b'{"type":"MODIFIED"}\n', b"\n", b'{"type":7}\n'])
def test_a_line_of_a_watch_that_makes_no_sense_leads_to_a_get(
    api: KubeApi, start: Callable[..., Watcher], line: bytes
) -> None:
    watcher = start()
    watcher.until_replicas(3)
    api.wait_for_watch()
    api.send_line(line)
    api.wait_for("get", 2)


def test_a_version_too_old_as_an_event_leads_to_a_get(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    api.expire_versions()
    watcher = start()
    api.wait_for("watch", 2)
    assert [request.kind for request in api.requests] == ["get", "watch", "get", "watch"]
    assert {scale.problem for scale in watcher.said} == {None}


def test_a_version_too_old_as_a_status_leads_to_a_get(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    api.refuse("watch", status_reply(410, "Gone", "too old resource version"))
    watcher = start()
    api.wait_for("get", 3)
    api.recover()
    api.wait_for_watch()
    assert {scale.problem for scale in watcher.said} == {None}


def test_an_error_event_leads_to_a_get(api: KubeApi, start: Callable[..., Watcher]) -> None:
    watcher = start()
    watcher.until_replicas(3)
    api.wait_for_watch()
    api.send_line(event_line("ERROR", status(500, "InternalError", "watch cache broken")))
    api.wait_for("get", 2)


def test_a_server_that_ends_every_watch_at_once_is_not_asked_all_the_time(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    api.refuse("watch", Reply(200, END))
    watcher = start(timing=WatchTiming(pause_s=1.0))
    watcher.until(lambda _: len(watcher.said) >= 3)
    sent_ms = [scale.read_ms for scale in watcher.said]
    assert sent_ms[1] - sent_ms[0] >= 499, "half of a second, by the jitter"
    assert sent_ms[2] - sent_ms[1] >= 999, "twice that"


def test_pauses_double_up_to_their_bound_and_begin_small_after_a_good_watch() -> None:
    timing = WatchTiming(pause_s=1.0, pause_max_s=30.0, steady_s=5.0)
    pauses = Pauses(timing, Random(4))
    broken = ApiFailure("broken", 500)
    for bound_s in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        assert bound_s / 2 <= pauses.next_s(broken, watched_s=0.0) <= bound_s
    assert pauses.next_s(broken, watched_s=5.0) <= 1.0
    assert 1.0 <= pauses.next_s(None, watched_s=4.9) <= 2.0, "ended too soon"
    assert pauses.next_s(None, watched_s=5.0) == 0.0
    for _ in range(2000):
        assert pauses.next_s(broken, watched_s=0.0) <= 30.0


def test_without_permission_or_object_the_pauses_do_not_grow() -> None:
    pauses = Pauses(WatchTiming(forbidden_s=30.0, absent_s=5.0), Random(4))
    for _ in range(10):
        assert 15.0 <= pauses.next_s(ApiFailure("no", 403), watched_s=0.0) <= 30.0
        assert 2.5 <= pauses.next_s(ApiFailure("no", 404), watched_s=0.0) <= 5.0


# Being told, and being closed.


def test_a_refresh_during_a_watch_leads_to_a_get_that_is_sent_after_it(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    watcher = start(timing=WatchTiming())
    watcher.until_replicas(3)
    for count in (1, 2, 3):
        api.wait_for_watch(count)
        asked_ms = now_ms()
        watcher.watch.refresh()
        watcher.until(lambda scale, asked_ms=asked_ms: scale.read_ms >= asked_ms)  # type: ignore[misc]
    assert watcher.watch.latest.problem is None


def test_a_refresh_ends_a_pause(api: KubeApi, start: Callable[..., Watcher]) -> None:
    api.refuse("get", BROKEN)
    watcher = start(timing=WatchTiming(pause_s=10_000.0, pause_max_s=10_000.0))
    watcher.until_problem("500")
    api.recover()
    watcher.watch.refresh()
    watcher.until_replicas(3)


def test_a_refresh_during_a_get_is_followed_by_another_get(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    api.hold()
    watcher = start(timing=WatchTiming())
    api.wait_for("get", 1)
    asked_ms = now_ms()
    watcher.watch.refresh()
    api.release()
    watcher.until(lambda scale: scale.read_ms >= asked_ms)


def test_many_refreshes_do_not_become_many_requests(
    api: KubeApi, start: Callable[..., Watcher]
) -> None:
    watcher = start(timing=WatchTiming(gap_s=0.5))
    for count in (1, 2, 3):
        watcher.until(lambda _, count=count: len(watcher.said) >= count)  # type: ignore[misc]
        for _ in range(1000):
            watcher.watch.refresh()
    sent_ms = [scale.read_ms for scale in watcher.said]
    assert all(later - sooner >= 499 for sooner, later in pairwise(sent_ms))


@pytest.mark.parametrize("kind", ["get", "watch", "neither"])
def test_closing_ends_the_thread_whatever_it_waits_for(
    api: KubeApi, start: Callable[..., Watcher], kind: str
) -> None:
    api.hang(kind)
    watcher = start(timing=WatchTiming(request_s=10_000.0))
    if kind == "neither":
        api.wait_for_watch()
    else:
        api.wait_for(kind, 1)
    watcher.watch.close()
    join_threads()
    watcher.watch.check()
    watcher.watch.close()
    watcher.watch.refresh()


def test_closing_at_once_ends_the_thread(start: Callable[..., Watcher]) -> None:
    watcher = start()
    watcher.watch.close()
    join_threads()


def test_a_thread_that_died_is_noticed(api: KubeApi, configuration: Callable[[], Any]) -> None:
    woken = threading.Event()

    def fail() -> None:
        woken.set()
        raise OSError("the socket that wakes the loop is closed")

    watch = StatefulSetWatch("raft", None, on_change=fail, configuration=configuration)
    assert woken.wait(PATIENCE_S)
    join_threads()
    with pytest.raises(RuntimeError, match="has died"):
        watch.check()
    watch.close()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("lightkube"):
            raise ModuleNotFoundError("No module named 'lightkube'")
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InvalidRequest, match=r"install raftzmq\[kubernetes\]"):
        StatefulSetWatch("raft", None, on_change=lambda: None)


@pytest.mark.parametrize("name", ["", "Raft", "raft/scale", "../secrets", "-raft", "a" * 254])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be the name of a StatefulSet"):
        StatefulSetWatch(name, None, on_change=lambda: None)
