"""A rate limit: of any number of workers on any machines, three at a time call a service.

    RAFTZMQ_ENDPOINTS=... python three_at_a_time.py URL...

The first who asks is the first to get a permit. A worker that dies holds its permit for ten
seconds more.
"""

from __future__ import annotations

import os
import sys
import urllib.request

from raftzmq import Client


def fetch(url: str) -> int:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return len(answer.read())


def main(urls: list[str]) -> None:
    with Client(os.environ.get("RAFTZMQ_ENDPOINTS")) as db:
        for url in urls:
            with db.semaphore("api", permits=3, ttl=10) as permit:
                size = fetch(url)
                print(f"{url}: {size} bytes, under token {permit.token}")


if __name__ == "__main__":
    main(sys.argv[1:])
