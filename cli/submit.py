"""`relforge submit CONFIG --address ...`: the same run as a Ray job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from relforge.cli import exits
from relforge.cli.exits import BadInput
from relforge.cli.output import Json, escape_control, print_json, print_line
from relforge.cli.run import AcceptChanges, Overrides

if TYPE_CHECKING:
    from relforge.pipeline.submit.client import JobServer


def command(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG]", help="As for run; not needed with --attach.")
    ] = None,
    overrides: Overrides = None,
    address: Annotated[
        str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="The job server, e.g. http://head-node:8265.")
    ] = "http://127.0.0.1:8265",
    detach: Annotated[bool, typer.Option("--detach", help="Return once the job is accepted.")] = False,
    attach: Annotated[
        str | None, typer.Option(metavar="JOB", help="Follow a job that was submitted before.")
    ] = None,
    runtime_env: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="YAML with more fields of Ray's runtime_env (pip, conda, ...)."),
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=VALUE]", help="Set this variable in the job.")
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Let Ray install relforge's dependencies for the job.")
    ] = False,
    visible_secrets: Annotated[
        bool,
        typer.Option("--visible-secrets", help="Send --env tokens and keys, which Ray's dashboard shows."),
    ] = False,
    accept_changes: AcceptChanges = False,
    as_json: Json = False,
) -> None:
    """Send a run to a Ray cluster and follow it. relforge itself is uploaded with it.

    Given again while the job runs, it follows that job; after it ended, it resumes the run. Ctrl-C stops
    following, not the job.
    """
    from relforge.pipeline.submit.client import JobServer
    from relforge.pipeline.submit.job import entrypoint, prepare

    if attach is None and config is None:
        raise BadInput("give a CONFIG to submit, or --attach JOB to follow one")
    if attach is not None:
        server = JobServer(address)
        raise typer.Exit(_follow(server, attach, as_json))
    assert config is not None
    submission = prepare(config, overrides or [], runtime_env, env or [], install, visible_secrets)
    server = JobServer(address)
    job = server.running(submission.run_folder)
    if job:
        print_line(f"job {job} works on {submission.run_folder} already", sys.stderr)
    else:
        with submission.runtime_env() as shipped:
            job, ours = server.submit(entrypoint(accept_changes), shipped, submission.run_folder)
        said = "submitted job" if ours else "another submission was first, following job"
        print_line(f"{said} {job} to {address}", sys.stderr)
    if detach:
        if as_json:
            return print_json({"job": job, "run_folder": submission.run_folder, "address": address})
        return print_line(f"follow it with: relforge submit --address {address} --attach {job}")
    raise typer.Exit(_follow(server, job, as_json))


def _follow(server: JobServer, job: str, as_json: bool) -> int:
    stream = sys.stderr if as_json else sys.stdout

    def write(text: str) -> None:
        stream.write("\n".join(map(escape_control, text.split("\n"))))
        stream.flush()

    try:
        details = server.follow(job, write)
    except KeyboardInterrupt:
        again = f"relforge submit --address {server.address} --attach {job}"
        print_line("", sys.stderr)
        print_line(f"job {job} goes on; follow it with: {again}", sys.stderr)
        return exits.INCOMPLETE
    code = choose_exit_code(details.status.value, details.driver_exit_code)
    if as_json:
        print_json({"job": job, "status": details.status.value.lower(), "exit_code": code})
    else:
        print_line(f"job {job}: {details.status.value.lower()}")
    return code


def choose_exit_code(status: str, driver_exit_code: int | None) -> int:
    """The code of a job that ended: the run's own where it had one to give."""
    if status == "SUCCEEDED":
        return exits.COMPLETE
    if status == "STOPPED":
        return exits.INCOMPLETE
    if driver_exit_code in (exits.INCOMPLETE, exits.FAILED, exits.USAGE):
        return int(driver_exit_code)
    return exits.FAILED
