"""What is sent for one config: its values, its environment, and the command that runs there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from relforge.limited_yaml import YamlError, read_yaml
from relforge.pipeline.config import ConfigError, check, read, resolve
from relforge.pipeline.config.secrets import looks_secret, write_references
from relforge.pipeline.submit.bundle import CONFIG, absolute, requirements, write_bundle
from relforge.redaction import HIDDEN


@dataclass(frozen=True)
class Submission:
    """A run ready to be sent.

    Args:
        run_folder: absolute path or URI, as the cluster will read it.
        values: the config's values.
        environment: fields of Ray's `runtime_env` beyond the working directory.
    """

    run_folder: str
    values: dict[str, Any]
    environment: dict[str, Any]

    @contextmanager
    def runtime_env(self) -> Iterator[dict[str, Any]]:
        """The whole `runtime_env`; its working directory exists as long as the context."""
        with TemporaryDirectory(prefix="relforge-submit-") as folder:
            write_bundle(Path(folder), self.values)
            yield {**self.environment, "working_dir": folder}


def entrypoint(accept_changes: bool = False) -> str:
    """The job's command."""
    return f"python -m relforge run {CONFIG}" + (" --accept-changes" if accept_changes else "")


def prepare(
    config: str,
    overrides: Sequence[str],
    runtime_env: str | None = None,
    variables: Sequence[str] = (),
    install: bool = False,
    visible_secrets: bool = False,
) -> Submission:
    """Check a config as far as this machine can and make it ready to be sent.

    Files are looked for by the job itself, since they are on the cluster.

    Args:
        config, overrides: as for `relforge run`.
        runtime_env: YAML file with further fields of Ray's `runtime_env`.
        variables: `NAME` (its value here) or `NAME=VALUE`, set in the job.
        install: have Ray install relforge's dependencies for the job with pip.
        visible_secrets: send variables whose names are those of secrets.

    Raises:
        ConfigError: one sentence naming the file, the field and the fix.
    """
    source = read(config, overrides)
    values = absolute(source.values)
    checked = check(replace(source, values=values))
    secrets = resolve(checked, source).secrets
    folder = checked.run.folder
    if "://" not in folder:
        folder = os.path.abspath(folder)
    values = {**values, "run": {**values["run"], "folder": folder}}
    if literal := [field for field, text in secrets.items() if text == HIDDEN]:
        raise ConfigError(
            config, literal[0], "is a secret, and Ray keeps the files of a job readable; write it as ${NAME}"
        )
    values = write_references(values, secrets)
    environment = _environment(runtime_env)
    if install:
        environment["pip"] = [*environment.get("pip", []), *requirements()]
    if shown := [one for one in variables if looks_secret(one.partition("=")[0]) and not visible_secrets]:
        raise ConfigError(
            "",
            f"--env {shown[0].partition('=')[0]}",
            "Ray shows the variables of a job to everyone who sees its dashboard; set it in the environment "
            "of the cluster's nodes, or add --visible-secrets to send it all the same",
        )
    if variables:
        environment["env_vars"] = {**environment.get("env_vars", {}), **dict(map(_variable, variables))}
    return Submission(folder, values, environment)


def _environment(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        fields = read_yaml(Path(path).read_text(encoding="utf-8"))
    except (OSError, YamlError) as error:
        raise ConfigError(path, "", f"cannot be read as YAML: {error}") from error
    if not isinstance(fields, dict) or "working_dir" in fields:
        raise ConfigError(path, "", "expected the fields of a Ray runtime_env, without working_dir")
    return fields


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals and name not in os.environ:
        raise ConfigError("", f"--env {name}", f"{name} is not set here; write --env {name}=VALUE")
    return name, value if equals else os.environ[name]
