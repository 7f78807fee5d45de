"""A proxy before a node's client port that loses answers, and can deliver requests twice."""

from __future__ import annotations

import random
import threading
from types import TracebackType
from typing import Self

import zmq


class LossyProxy:
    """Listens at `port` in place of the node whose client port is `behind` (HOST:PORT).

    Of the answers, the fraction `loss` disappears; of the requests, the fraction `twice` arrives
    two times, as when a client sends again what was only slow.
    """

    def __init__(self, port: int, behind: str, *, loss: float, twice: float, seed: int) -> None:
        self.endpoint = f"127.0.0.1:{port}"
        self.lost = 0
        self.repeated = 0
        self._behind = behind
        self._loss = loss
        self._twice = twice
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{port}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        front = context.socket(zmq.ROUTER)
        front.linger = 0
        front.bind(f"tcp://{self.endpoint}")
        poller = zmq.Poller()
        poller.register(front, zmq.POLLIN)
        backs: dict[bytes, zmq.Socket[bytes]] = {}  # one connection to the node for each client
        clients: dict[zmq.Socket[bytes], bytes] = {}
        while not self._stop.is_set():
            for source, _ in poller.poll(50):
                if source is front:
                    client, *frames = front.recv_multipart()
                    if client not in backs:
                        back = context.socket(zmq.DEALER)
                        back.linger = 0
                        back.connect(f"tcp://{self._behind}")
                        poller.register(back, zmq.POLLIN)
                        backs[client], clients[back] = back, client
                    self._forward(backs[client], frames)
                else:
                    frames = source.recv_multipart()
                    if self._random.random() < self._loss:
                        self.lost += 1
                    else:
                        front.send_multipart([clients[source], *frames])
        for back in backs.values():
            back.close()
        front.close()

    def _forward(self, back: zmq.Socket[bytes], frames: list[bytes]) -> None:
        back.send_multipart(frames)
        if self._random.random() < self._twice:
            self.repeated += 1
            back.send_multipart(frames)
