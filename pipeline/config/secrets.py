"""Which values of a config are secret, and how a run folder and a Ray job refer to them.

A secret is a text whose field, or the environment variable it is taken from, has a name such as `token`,
`api_key` or `HF_TOKEN`. What is stored is the reference as the config has it (`${HF_TOKEN}`); a secret that
is written out in the config is stored as `(hidden)`, and a rerun from the run folder asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from relforge.pipeline.config.source import ConfigError, Source
from relforge.pipeline.run.references import REFERENCE, put
from relforge.redaction import HIDDEN, hide

_WORDS = {
    "token", "key", "apikey", "secret", "password", "passwd", "passphrase", "credential", "credentials",
}  # fmt: skip
_PASSWORD_IN_URI = re.compile(r"^[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]*@", re.IGNORECASE)


def looks_secret(name: str) -> bool:
    """Whether a field or a variable of that name holds a secret: `api_key`, `HF_TOKEN`, `secretKey`; not
    `api_key_env`, which holds the name of a variable."""
    if name.lower().endswith("_env"):
        return False
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return bool(_WORDS & {word.lower() for word in re.split(r"[^A-Za-z]+", spaced)})


def find_secrets(source: Source) -> dict[str, str]:
    """Dotted field -> what is stored in its place. The values themselves are hidden from now on.

    Raises:
        ConfigError: a secret in a path or URI, which tables, hashes and messages would show.
    """
    found = {}
    for dotted, value in _texts(source.values):
        written = source.written.get(dotted, "")
        variables = [match.group(1) for match in REFERENCE.finditer(written)]
        secret = looks_secret(dotted.rpartition(".")[2]) or any(map(looks_secret, variables))
        if _PASSWORD_IN_URI.match(value) or (secret and "://" in value):
            raise ConfigError(
                source.name,
                dotted,
                "holds a password or token inside a URI, which tables and messages would show; leave it out "
                "and let the storage find it in its own way (environment variables, ~/.netrc, a credentials "
                "file)",
            )
        if secret:
            found[dotted] = written or HIDDEN
            hide(value)
            for variable in variables:
                hide(source.environment.get(variable, ""))
    return found


def write_references(values: dict[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """A config's values with what is stored in place of its secrets.

    Args:
        values: nested values; a copy is returned.
        secrets: dotted field -> text.
    """
    copy: dict[str, Any] = _copy(values)
    for dotted, text in secrets.items():
        put(copy, dotted.split("."), text)
    return copy


def _texts(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield ".".join(path), node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from _texts(value, (*path, str(key)))


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    return [_copy(value) for value in node] if isinstance(node, list) else node
