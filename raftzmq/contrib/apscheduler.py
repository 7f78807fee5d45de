"""A job of APScheduler 3 that runs once, though several schedulers have it.

    scheduler = BackgroundScheduler(executors={"default": RaftzmqExecutor("db-0:6001,db-1:6001")})
    scheduler.add_job(report, "cron", hour=3, id="report")

Every process runs the same scheduler with the same jobs. Each time that a job is due, whoever
claims it first runs it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from raftzmq import InvalidRequest, OutcomeUnknown
from raftzmq.contrib import missing, shared_client

try:
    from apscheduler.executors.base import run_job
    from apscheduler.executors.pool import ThreadPoolExecutor
except ModuleNotFoundError as error:
    raise missing("APScheduler 3", "apscheduler") from error

DAY_S: Final = 86_400.0


class RaftzmqExecutor(ThreadPoolExecutor):  # type: ignore[misc]
    """An executor that runs a job in threads, if no other scheduler runs it for the same time.

    `endpoints` and `key` as of a Client; `namespace` is how the names of its keys begin. A claim is
    remembered for `memory` seconds: no scheduler may be that late. A run that is claimed is not
    given to another, also if its process dies: so a job runs at most once for each time.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] | None = None,
        *,
        key: str | None = None,
        namespace: str = "apscheduler/",
        memory: float = DAY_S,
        max_workers: int = 10,
    ) -> None:
        if not isinstance(namespace, str) or not namespace:
            raise InvalidRequest(f"a namespace is text that is not empty, not {namespace!r}")
        super().__init__(max_workers)
        self.client = shared_client(endpoints, key)
        self._namespace = namespace
        self._memory_s = memory

    def claim(self, job_id: str, run_time: datetime) -> bool:
        """Whether the run of that time is this scheduler's. Raises RaftzmqError if the cluster
        cannot say so, and then nothing is run."""
        at = run_time.astimezone(UTC).isoformat()
        name = f"{self._namespace}{job_id}/{at}"
        mine = f"{socket.gethostname()}:{os.getpid()} {uuid4()}"
        try:
            written = self.client.put(name, mine, if_absent=True, ttl=self._memory_s)
        except OutcomeUnknown:  # it may have been written: whose it is, can be read
            written = self.client.put(name, mine, if_absent=True, ttl=self._memory_s)
        return written.succeeded or (written.current is not None and written.current.value == mine)

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        def done(future: Any) -> None:
            error = future.exception()
            if error is None:
                self._run_job_success(job.id, future.result())
            else:
                self._run_job_error(job.id, error, error.__traceback__)

        self._pool.submit(self._run, job, run_times).add_done_callback(done)

    def _run(self, job: Any, run_times: list[datetime]) -> Any:
        claimed = [time for time in run_times if self.claim(job.id, time)]
        return run_job(job, job._jobstore_alias, claimed, self._logger.name)
