"""A scripted endpoint that proposes and judges: what it answers is a function of what it is asked."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from tests.fixtures.vlm_servers import Scripted, completion, images_of, listening

SECONDS = 0.02
"""That an answer takes, so that kills come while some are on their way."""


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """Two relations of a numbered list, or yes with some probability."""
    text = json.dumps(body, sort_keys=True)
    share = int(sha256(text.encode()).hexdigest()[:4], 16) / 65536
    if "These objects are in the image" in text:
        relations = [
            {"subject": 1, "predicate": "holding", "object": 2},
            {"subject": 2, "predicate": "near" if share < 0.5 else "under", "object": 1},
        ]
        reply = completion(json.dumps({"relations": relations}))
    else:
        p = 0.1 + 0.8 * share
        listed = [{"token": word, "logprob": math.log(one)} for word, one in (("Yes", p), ("No", 1 - p))]
        token = {"token": "Yes", "logprob": math.log(p), "top_logprobs": listed}
        reply = completion("Yes", logprobs={"content": [token]})
    reply["usage"]["prompt_tokens"] += 16 * images_of(body)  # a server that looks at images counts them
    return reply


@contextmanager
def endpoint() -> Iterator[int]:
    """Serve on loopback; yields the port."""
    with listening(Scripted(answer, seconds=SECONDS).handle) as port:
        yield port
