"""Configs: a YAML file, `key=value` overrides and environment references become a `Job`."""

from __future__ import annotations

from collections.abc import Sequence

from relforge.pipeline.config.relabel import second_round
from relforge.pipeline.config.resolve import check_files, resolve
from relforge.pipeline.config.schema import Config, check
from relforge.pipeline.config.source import ConfigError, Source, read
from relforge.pipeline.run.job import Job
from relforge.stages.registry import SOURCES, backends

__all__ = ["Config", "ConfigError", "Source", "check", "check_files", "load", "read", "resolve"]


def load(
    path: str, overrides: Sequence[str] = (), allow_code: bool = True, relabel: str | None = None
) -> Job:
    """The job of a config file with overrides applied; every file it reads is there.

    Args:
        allow_code: import `package.module:Class` that it names; else such a config is refused.
        relabel: a trained model: the job of the config's next round (`config.relabel`).

    Raises:
        ConfigError: one sentence naming the file, the field and the fix.
    """
    source = read(path, overrides)
    if relabel is not None:
        source = second_round(source, relabel)
    config = check(source)
    if not allow_code:
        refuse_foreign_code(config, source)
    job = resolve(config, source)
    check_files(job, source)
    return job


def refuse_foreign_code(config: Config, source: Source) -> None:
    """Import nothing that does not come with relforge.

    Raises:
        ConfigError: the config names such code; the sentence names field and flag.
    """
    named = [("dataset.format", SOURCES, config.dataset.format)]
    named += [(f"stages.{name}.backend", backends(name), one.backend) for name, one in config.stages.items()]
    for field, registry, choice in named:
        if registry.is_foreign(choice):
            raise ConfigError(
                source.name,
                field,
                f"{choice!r} is code that does not come with relforge, and was not imported; "
                "if you trust it, add --allow-code",
            )
