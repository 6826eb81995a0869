"""What the captions of one image say together: a probability for every interaction."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from relforge.stages.caption.regions_table import WHOLE

JOINS = ("noisy_or", "max", "mean")
"""How the shares of several regions become one probability."""

Pair = tuple[str, str]


def vote(
    said: Mapping[Pair, set[int]], captions: Mapping[int, int], join: str = "noisy_or"
) -> dict[Pair, float]:
    """Probability of every interaction that some caption says.

    Args:
        said: interaction -> captions that say it.
        captions: caption -> region, `WHOLE` for the whole image.
        join: one of `JOINS`; `mean` is over all regions, silent ones included.
    """
    sizes: dict[int, int] = {}
    for region in captions.values():
        sizes[region] = sizes.get(region, 0) + 1
    found = {}
    for pair, ids in said.items():
        counts: dict[int, int] = {}
        for caption in ids:
            region = captions.get(caption, WHOLE)
            counts[region] = counts.get(region, 0) + 1
        shares = [count / sizes[region] for region, count in sorted(counts.items())]
        if join == "noisy_or":
            found[pair] = 1 - prod(1 - share for share in shares)
        elif join == "max":
            found[pair] = max(shares)
        else:
            found[pair] = sum(shares) / len(sizes)
    return found
