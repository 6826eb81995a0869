"""Requests to a cluster's job server, with Ray's token authentication; every refusal is one sentence."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from relforge.pipeline.errors import RunError

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

_RECONNECT_SECONDS = 60.0
"""How long a job server may be unreachable while logs are followed."""
_FOLDER = "relforge_run_folder"
T = TypeVar("T")
MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"

ADVICE = (
    f"set {TOKEN} or {TOKEN_PATH} to the cluster's token (on its head node: ~/.ray/auth_token), "
    f"and start the cluster with {MODE}=token"
)


class ClusterError(RunError):
    """The cluster cannot be reached, or refuses."""


class JobServer:
    """A cluster's job server.

    Args:
        address: e.g. `http://head:8265`.

    Raises:
        ClusterError: no job server there, or the token is missing or wrong.
    """

    def __init__(self, address: str) -> None:
        use_token()
        from ray.job_submission import JobSubmissionClient

        self.address = address
        self._client: JobSubmissionClient = self._call(lambda: JobSubmissionClient(address))

    def running(self, run_folder: str) -> str | None:
        """The id of an unfinished job on that run folder, if there is one."""
        for job in self._jobs(run_folder):
            if job.submission_id and not job.status.is_terminal():
                return str(job.submission_id)
        return None

    def submit(self, entrypoint: str, runtime_env: dict[str, Any], run_folder: str) -> tuple[str, bool]:
        """Start a job, or find the one that another submission started at the same moment.

        The id is derived from the run folder and the number of jobs that worked on it before, so that the
        server refuses the second of two.

        Returns:
            the job's id, and whether it was started by this call.
        """
        digest = hashlib.sha256(run_folder.encode()).hexdigest()[:12]
        numbers = [_number(str(job.submission_id)) for job in self._jobs(run_folder)]
        name = f"relforge-{digest}-{max(numbers, default=0) + 1}"
        try:
            self._call(
                lambda: self._client.submit_job(
                    entrypoint=entrypoint,
                    runtime_env=runtime_env,
                    submission_id=name,
                    metadata={_FOLDER: run_folder},
                )
            )
        except ClusterError:
            if any(str(job.submission_id) == name for job in self._jobs(run_folder)):
                return name, False
            raise
        return name, True

    def details(self, job: str) -> JobDetails:
        """What the server has about a job."""
        return self._call(lambda: self._client.get_job_info(job))

    def stop(self, job: str) -> None:
        """Stop a job; what it has committed stays."""
        self._call(lambda: self._client.stop_job(job))

    def follow(self, job: str, write: Callable[[str], object]) -> JobDetails:
        """Write the job's log until it ends, over lost connections; returns how it ended.

        Raises:
            ClusterError: no such job, or the server was unreachable for a minute.
        """
        written = 0
        last_contact = time.monotonic()

        async def tail() -> None:
            nonlocal written, last_contact
            seen = 0
            async for text in self._client.tail_job_logs(job):
                last_contact = time.monotonic()
                seen += len(text)
                if seen > written:  # after a reconnect the log starts again from its beginning
                    write(text[len(text) - (seen - written) :])
                    written = seen

        self.details(job)
        while True:
            try:
                asyncio.run(tail())
                details = self.details(job)
                if details.status.is_terminal():
                    return details
            except (ClusterError, ConnectionError, OSError, RuntimeError) as error:
                if time.monotonic() - last_contact > _RECONNECT_SECONDS:
                    raise ClusterError(
                        f"the job server at {self.address} does not respond; job {job} goes on, "
                        f"follow it again with --attach {job}"
                    ) from error
            time.sleep(1.0)

    def _jobs(self, run_folder: str) -> list[JobDetails]:
        """All jobs on that run folder, ended ones too."""
        jobs = self._call(self._client.list_jobs)
        return [job for job in jobs if (job.metadata or {}).get(_FOLDER) == run_folder]

    def _call(self, request: Callable[[], T]) -> T:
        from ray.exceptions import AuthenticationError

        try:
            return request()
        except AuthenticationError as error:
            raise ClusterError(f"the cluster at {self.address} refuses the token; {ADVICE}") from error
        except ConnectionError as error:
            raise ClusterError(
                f"no Ray job server responds at {self.address}; --address is the dashboard's, "
                "e.g. http://head-node:8265"
            ) from error
        except (RuntimeError, ValueError) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise ClusterError(
                f"the cluster at {self.address} refuses: {lines[-1] if lines else error}"
            ) from error


def _number(job: str) -> int:
    """The number at the end of a job's id; 0 where an older version named it."""
    last = job.rpartition("-")[2]
    return int(last) if last.isdigit() and len(last) < 9 else 0


def token_source() -> str | None:
    """Where a token would come from; None when there is none. The token itself is never shown."""
    if os.environ.get(TOKEN):
        return f"environment variable {TOKEN}"
    if path := os.environ.get(TOKEN_PATH):
        return f"{path} ({TOKEN_PATH})" if Path(path).is_file() else None
    default = Path.home() / ".ray" / "auth_token"
    return str(default) if default.is_file() else None


def use_token() -> None:
    """Let Ray's client send the token where there is one; a mode set by the user is kept.

    Call before Ray is imported. A local `ray.init()` leaves a token that `ray start --head` then
    requires, while Ray's job client sends it only in this mode.
    """
    if token_source():
        os.environ.setdefault(MODE, "token")
