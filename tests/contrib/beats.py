"""A Celery application whose beats send each run's number into a directory, by a real transport.

celery -A tests.contrib.beats beat
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import Celery

from raftzmq.contrib.celery import Scheduler

QUEUE = Path(os.environ.get("RAFTZMQ_TEST_QUEUE", "."))

app = Celery("beats", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": str(QUEUE),
        "data_folder_out": str(QUEUE),
        "control_folder": str(QUEUE / "control"),
    },
    beat_schedule={
        name: {"task": "work", "schedule": timedelta(seconds=seconds), "args": (name,)}
        for name, seconds in (("often", 0.2), ("seldom", 0.5))
    },
    beat_scheduler="tests.contrib.beats:Numbering",
    raftzmq_endpoints=os.environ.get("RAFTZMQ_TEST_ENDPOINTS"),
    raftzmq_namespace=os.environ.get("RAFTZMQ_TEST_NAMESPACE"),
    raftzmq_beat_ttl=1,
)


class Numbering(Scheduler):
    """Each message says the how manieth run of its entry it is."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        entry.args = (entry.name, entry.total_run_count)
        super().apply_entry(entry, producer=producer)
