"""Pages over HTTP, and who may not keep others from them."""

from __future__ import annotations

import gc
import http.client
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http import HTTPStatus

import pytest

from raftzmq.errors import ListenError, PortTaken
from raftzmq.server import web
from raftzmq.server.web import CONNECTIONS, HEAD_BYTES, Page, Web

PATIENCE_S = 60.0
LOOPBACK = "127.0.0.1"
LONG = b"x" * 500_000


def fail() -> Page:
    raise ValueError("no such thing")


PAGES = {
    "/hello": lambda: Page(HTTPStatus.OK, b"hello\n"),
    "/sick": lambda: Page(HTTPStatus.SERVICE_UNAVAILABLE, b"FAILED\n"),
    "/long": lambda: Page(HTTPStatus.OK, LONG, "application/x"),
    "/broken": fail,
}


@pytest.fixture
def served() -> Iterator[Web]:
    with closing(Web("tcp://127.0.0.1:0", PAGES)) as made:
        made.start()
        yield made


def connect(served: Web) -> socket.socket:
    connection = socket.create_connection((LOOPBACK, served.port), PATIENCE_S)
    connection.settimeout(PATIENCE_S)
    return connection


def ask(served: Web, path: str, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(LOOPBACK, served.port, timeout=PATIENCE_S)
    with closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


def say(served: Web, request: bytes) -> bytes:
    """Send anything; return all that comes until the connection ends."""
    with connect(served) as connection:
        connection.sendall(request)
        answer = b""
        while more := connection.recv(65536):
            answer += more
        return answer


def test_a_page_is_served_with_its_status_and_type(served: Web) -> None:
    status, body, headers = ask(served, "/hello")
    assert (status, body) == (200, b"hello\n")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["Content-Length"] == "6"
    assert "Server" not in headers
    assert ask(served, "/sick")[:2] == (503, b"FAILED\n")
    assert ask(served, "/hello?name=value")[:2] == (200, b"hello\n")
    status, body, headers = ask(served, "/long")
    assert (status, headers["Content-Type"]) == (200, "application/x")
    assert body == LONG


def test_head_has_all_but_the_body(served: Web) -> None:
    status, body, headers = ask(served, "/long", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(LONG)))
    assert say(served, b"HEAD /nowhere HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")


@pytest.mark.parametrize("path", ["/", "/hello/", "/HELLO", "//hello", "/%68ello"])
def test_there_is_nothing_else(served: Web, path: str) -> None:
    assert ask(served, path)[:2] == (404, b"Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_pages_can_only_be_read(served: Web, method: str) -> None:
    status, body, headers = ask(served, "/hello", method)
    assert (status, body) == (405, b"Method Not Allowed\n")
    assert headers["Allow"] == "GET, HEAD"


def test_what_comes_after_a_request_does_not_take_its_answer_away(served: Web) -> None:
    request = b"POST /hello HTTP/1.1\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000
    assert say(served, request).startswith(b"HTTP/1.1 405 ")
    assert say(served, b"GET /hello HTTP/1.1\r\n\r\n" * 2).count(b"HTTP/1.1 200 ") == 1
    with connect(served) as connection:
        connection.sendall(b"POST /hello HTTP/1.1\r\n\r\n")
        while connection.recv(1000):
            pass
        for _ in range(10):  # were it closed, the second would fail
            connection.sendall(b"x" * 1000)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /hello\r\n\r\n",
        b"GET /hello HTTP/2.0\r\n\r\n",
        b"get /hello HTTP/1.1\r\n\r\n",
        b"GET hello HTTP/1.1\r\n\r\n",
        b"\x00\xff\xfe" * 100 + b"\r\n\r\n",
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(served: Web, garbage: bytes) -> None:
    assert say(served, garbage).startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert ask(served, "/hello")[0] == 200


def test_a_path_that_is_no_text_is_not_found(served: Web) -> None:
    assert say(served, b"GET /\xff\xfe HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404 ")


def test_a_request_too_long_is_refused(served: Web) -> None:
    header = b"X: " + b"x" * 2 * HEAD_BYTES
    assert say(served, b"GET /hello HTTP/1.1\r\n" + header).startswith(b"HTTP/1.1 431 ")


def test_one_who_never_stops_sending_is_cut(served: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PATIENCE_S", 2 * PATIENCE_S)
    with connect(served) as connection:
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            _send_for_ever(connection)
        assert ask(served, "/hello")[0] == 200


def _send_for_ever(connection: socket.socket) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        connection.sendall(b"x" * 65_536)


def test_a_page_that_cannot_be_made_is_an_error_of_its_own(served: Web) -> None:
    assert ask(served, "/broken")[:2] == (500, b"ValueError: no such thing\n")
    assert ask(served, "/hello")[0] == 200
    assert served.is_alive


def test_the_silent_do_not_keep_anybody_waiting(served: Web) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS // 2):
            silent = stack.enter_context(connect(served))
            silent.sendall(b"GET /hel")
        begun = time.monotonic()
        assert ask(served, "/hello")[0] == 200
        # Not after any of them has had its time.
        assert time.monotonic() - begun < web.PATIENCE_S


def test_of_too_many_connections_the_oldest_is_cut(
    served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "PATIENCE_S", 2 * PATIENCE_S)
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(served)) for _ in range(CONNECTIONS + 20)]
        assert ask(served, "/hello")[0] == 200
        for old in silent[:20]:
            assert _ended(old)
        silent[-1].sendall(b"GET /hello HTTP/1.1\r\n\r\n")
        assert silent[-1].recv(1000).startswith(b"HTTP/1.1 200 ")


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_probes_get_their_answers_while_others_open_connections_as_fast_as_they_can(
    served: Web,
) -> None:
    stop = threading.Event()

    def flood() -> None:
        opened: list[socket.socket] = []
        while not stop.is_set():
            opened.append(connect(served))
            if len(opened) > CONNECTIONS:
                opened.pop(0).close()
        for each in opened:
            each.close()

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        answers = [ask(served, "/hello")[0] for _ in range(50)]
    finally:
        stop.set()
        thread.join()
    assert answers == [200] * 50


def test_a_connection_that_takes_too_long_is_ended(
    served: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "PATIENCE_S", 0.05)
    with connect(served) as silent, connect(served) as slow:
        slow.sendall(b"GET /hello HTTP/1.1\r\n")
        assert _ended(silent)
        assert _ended(slow)


def test_one_who_does_not_read_is_cut(served: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PATIENCE_S", 0.2)
    monkeypatch.setitem(PAGES, "/long", lambda: Page(HTTPStatus.OK, LONG * 40))
    with connect(served) as connection:
        connection.sendall(b"GET /long HTTP/1.1\r\n\r\n")
        deadline = time.monotonic() + PATIENCE_S
        while served._open:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert ask(served, "/hello")[0] == 200


def test_a_taken_port_is_told_as_for_the_other_ports(served: Web) -> None:
    endpoint = f"tcp://127.0.0.1:{served.port}"
    with pytest.raises(PortTaken, match=f"cannot listen on {endpoint}: the port is taken"):
        Web(endpoint, PAGES)


@pytest.mark.parametrize(
    "endpoint", ["tcp://192.0.2.1:6002", "tcp://no-such-host.invalid:6002", "tcp://127.0.0.1:65536"]
)
def test_an_endpoint_that_cannot_be_bound_is_told(endpoint: str) -> None:
    with pytest.raises(ListenError, match=f"cannot listen on {endpoint}: .*Choose an address"):
        Web(endpoint, PAGES)


def test_it_listens_on_ipv6_too() -> None:
    with closing(Web("tcp://[::1]:0", PAGES)) as made:
        made.start()
        with socket.create_connection(("::1", made.port), PATIENCE_S) as connection:
            connection.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_closing_ends_it_and_all_connections_and_frees_the_port() -> None:
    made = Web("tcp://127.0.0.1:0", PAGES)
    made.start()
    port = made.port
    with connect(made) as connection:
        assert ask(made, "/hello")[0] == 200
        made.close()
        assert not made.is_alive
        assert _ended(connection)
    with closing(Web(f"tcp://127.0.0.1:{port}", PAGES)):
        pass


def test_closing_ends_the_connections_too_that_were_just_accepted() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        for number in range(30):
            served = Web("tcp://127.0.0.1:0", PAGES)
            with ExitStack() as stack:
                for _ in range(number):
                    stack.enter_context(connect(served))
                served.start()
                served.close()
        del served
        gc.collect()
    assert [str(one.message) for one in told] == []


def test_one_that_was_never_started_can_be_closed() -> None:
    Web("tcp://127.0.0.1:0", PAGES).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_all_interfaces_are_those_of_both_families(host: str) -> None:
    with closing(Web("tcp://*:0", PAGES)) as made:
        made.start()
        with socket.create_connection((host, made.port), PATIENCE_S) as connection:
            connection.sendall(b"GET /hello HTTP/1.1\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
