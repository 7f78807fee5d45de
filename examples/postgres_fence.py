"""A fence in PostgreSQL: who held a lock and stood still for too long writes nothing any more.

    RAFTZMQ_ENDPOINTS=... python postgres_fence.py DSN ITEM < DELIVERIES

Counts deliveries, a number a line, and adds them to what is on stock. Counting may take long, and
this process may stand still meanwhile, until its lock is another's.

    CREATE TABLE stock (item text PRIMARY KEY, count int NOT NULL, token bigint NOT NULL DEFAULT 0)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import psycopg

from raftzmq import Client

READ = """
    UPDATE stock SET token = %(token)s
    WHERE item = %(item)s AND token <= %(token)s RETURNING count
"""  # Reading leaves the token: from here on, nobody who held the lock before can write.
WRITE = """
    UPDATE stock SET count = %(count)s, token = %(token)s
    WHERE item = %(item)s AND token <= %(token)s RETURNING count
"""


def restock(client: Client, dsn: str, item: str, deliveries: Iterable[str]) -> int:
    """What is on stock now. Raises SystemExit if a later holder of the lock was faster."""
    with (
        psycopg.connect(dsn, autocommit=True) as database,
        client.lock(f"stock/{item}", ttl=2) as lock,
    ):
        token = lock.token
        row = database.execute(READ, {"item": item, "token": token}).fetchone()
        if row is None:
            raise SystemExit(f"{item}: not there, or refused under token {token}")
        print(f"{row[0]} on stock, under token {token}", flush=True)
        count: int = row[0] + sum(map(int, deliveries))
        row = database.execute(WRITE, {"item": item, "token": token, "count": count}).fetchone()
        if row is None:
            raise SystemExit(f"{item}: refused under token {token}, nothing was written")
        return count


def main(dsn: str, item: str) -> None:
    with Client(os.environ.get("RAFTZMQ_ENDPOINTS")) as client:
        print(f"{restock(client, dsn, item, sys.stdin)} on stock now")


if __name__ == "__main__":
    main(*sys.argv[1:])
