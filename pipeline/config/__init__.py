"""Configs: a YAML file, `key=value` overrides and environment references become a `Job`."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.pipeline.config.resolve import check_files, resolve
from relforge.pipeline.config.schema import Config, check
from relforge.pipeline.config.source import ConfigError, Source, read
from relforge.pipeline.run.job import Job

__all__ = ["Config", "ConfigError", "Source", "check", "check_files", "load", "read", "resolve"]


def load(path: str, overrides: Sequence[str] = ()) -> Job:
    """The job of a config file with overrides applied; every file it reads is there.

    Raises:
        ConfigError: one sentence naming the file, the field and the fix.
    """
    source = read(path, overrides)
    job = resolve(check(source), source)
    check_files(job, source)
    return job
