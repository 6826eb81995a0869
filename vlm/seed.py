"""The seed that is sent with a request: a function of what is asked, never of when."""

from __future__ import annotations

import json
from hashlib import sha256

from relforge.vlm.client import Request


def derive_seed(run_seed: int, request: Request) -> int:
    """31 bits from (run seed, image, request, sample), as servers take them."""
    what = json.dumps([run_seed, request.image_id, request.request_id, request.sample])
    return int.from_bytes(sha256(what.encode()).digest()[:4]) >> 1
