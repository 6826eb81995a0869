"""The `relforge` command: one module per verb, bad input in one sentence, stable exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from types import TracebackType

import typer

from relforge import __version__
from relforge.cli import exits
from relforge.cli.exits import BadInput
from relforge.cli.output import print_line, report_error
from relforge.cli.without_pandas import skip_pandas
from relforge.machine import REFUSAL, is_supported
from relforge.registry import Registry

VERBS = Registry(
    "verb",
    {
        "demo": "relforge.cli.demo:command",
        "validate": "relforge.cli.validate:command",
        "synonyms": "relforge.cli.synonyms:command",
        "plan": "relforge.cli.plan:command",
        "label": "relforge.cli.label:command",
        "run": "relforge.cli.run:command",
        "status": "relforge.cli.status:command",
        "rerun": "relforge.cli.rerun:command",
        "inspect": "relforge.cli.inspect:command",
        "quarantine": "relforge.cli.quarantine:command",
        "logs": "relforge.cli.logs:command",
        "diff": "relforge.cli.diff:command",
        "report": "relforge.cli.report:command",
        "view": "relforge.cli.view:command",
        "export": "relforge.cli.export:command",
        "import": "relforge.cli.import_:command",
        "push": "relforge.cli.push:command",
        "convert": "relforge.cli.convert:command",
        "audit": "relforge.cli.audit:command",
        "submit": "relforge.cli.submit:command",
        "models": "relforge.cli.models:command",
        "train": "relforge.cli.train:command",
        "ground": "relforge.cli.ground:command",
        "quality": "relforge.cli.quality:command",
        "eval": "relforge.cli.eval:command",
        "language-head": "relforge.cli.language_head:command",
        "fetch": "relforge.cli.fetch:command",
        "options": "relforge.cli.options:command",
        "doctor": "relforge.cli.doctor:command",
    },
    own=False,
)
"""In the order of `--help`. A new verb is one module here with a function `command`, and one line above.

Verb modules import at their top only what starts fast (no torch, no Ray): `--help` loads them all.
"""

_READERS = (["status"], ["inspect"], ["quarantine"], ["logs"], ["diff"], ["report"], ["view"])
"""Verbs that read tables and nothing else."""

_INTERRUPTED = 130
"""What typer returns after Ctrl-C: it catches the KeyboardInterrupt itself."""

EPILOG = "Exit codes: 0 complete, 2 incomplete, 3 failed, 64 usage or config error."


def build() -> typer.Typer:
    """The command with every verb."""
    app = typer.Typer(
        name="relforge",
        help="Turn an object-detection dataset into a relation dataset.",
        epilog=EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for verb in VERBS:
        app.command(verb)(VERBS.load(verb))
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb and exit with its code."""
    if not is_supported():
        report_error(REFUSAL, exits.USAGE, as_json=False)
        sys.exit(exits.USAGE)
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(invoke(given))


def invoke(arguments: list[str]) -> int:
    """Run one verb and return its exit code. Bad input is reported, never raised."""
    as_json = "--json" in arguments
    if arguments[:1] in _READERS:
        skip_pandas()
    try:
        code = build()(arguments, prog_name="relforge", standalone_mode=False)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the pipe has ended (`relforge inspect | head`)
        return exits.COMPLETE
    except Exception as error:
        message, code = _explain(error)
        if message is None:  # a programming error; its message may hold what the data said
            sys.excepthook = _print_traceback
            raise
        report_error(message, code, as_json)
    if code == _INTERRUPTED:
        report_error("interrupted; the same command resumes", exits.INCOMPLETE, as_json)
        return exits.INCOMPLETE
    return code or exits.COMPLETE


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As Python prints it, with control characters escaped."""
    for line in "".join(traceback.format_exception(kind, error, trace)).rstrip().split("\n"):
        print_line(line, sys.stderr)


def _explain(error: Exception) -> tuple[str | None, int]:
    """The sentence and exit code for an expected error; None for a programming error."""
    from relforge.pipeline.config.source import ConfigError
    from relforge.pipeline.errors import BrokenShard, RunError, StorageError
    from relforge.reports.query import QueryError
    from relforge.trainer.errors import Diverged

    if hasattr(error, "format_message"):  # typer's own usage errors, whichever click it carries
        return f"{error.format_message() or 'no verb given'} (see relforge --help)", exits.USAGE
    if isinstance(error, ConfigError | BadInput | QueryError):
        return str(error), exits.USAGE
    if isinstance(error, StorageError | BrokenShard | Diverged):
        return str(error), exits.FAILED
    if isinstance(error, RunError):
        return str(error), exits.USAGE
    return None, exits.FAILED


def _version(wanted: bool) -> None:
    if wanted:
        print_line(__version__)
        raise typer.Exit()


def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_version
    ),
) -> None:
    pass
