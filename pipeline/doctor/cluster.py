"""Which Ray a run would use."""

from __future__ import annotations

import os
from collections.abc import Iterator

from relforge.pipeline.doctor.check import Check


def check_cluster() -> Iterator[Check]:
    """The cluster of RAY_ADDRESS, or a local one; and whether a token is at hand for `submit`."""
    address = os.environ.get("RAY_ADDRESS")
    yield Check("ray", "cluster", "ok", f"joins {address} (RAY_ADDRESS)" if address else "starts a local one")
    from relforge.pipeline.submit.client import token_source

    source = token_source()
    if source:
        yield Check("ray", "token", "ok", source)
    else:
        yield Check(
            "ray",
            "token",
            "absent",
            "only `relforge submit` to a cluster with token authentication needs one",
        )
