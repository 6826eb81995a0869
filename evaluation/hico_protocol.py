"""HICO-DET's rules as published evaluators have them; their numbers do not compare with each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relforge.evaluation.kind_matches import Rule
from relforge.evaluation.overlap import pixels, pixels_guarded, pixels_inside, plain
from relforge.evaluation.pair_nms import PairNms
from relforge.evaluation.ranking import Curve, eleven_point, eleven_point_both_ends
from relforge.registry import Registry


@dataclass(frozen=True)
class Protocol:
    """One published evaluator.

    Args:
        rule: when a detection is right.
        images: which images' detections count: `all`, those with annotated boxes (`boxed`), or those with
            relations (`related`).
        kinds: `listed`: a kind of the benchmark that the gold does not have counts 0; `annotated`: the mean
            leaves it out.
        top: pairs of an image that are measured, the best by score; None: all.
        nms: removal of near repetitions, after the cut to `top`; None: none.
        curve: average precision of a ranking.
    """

    rule: Rule
    images: str = "all"
    kinds: str = "annotated"
    top: int | None = None
    nms: PairNms | None = None
    curve: Curve = eleven_point


OFFICIAL = Protocol(Rule(pixels), kinds="listed")
"""The authors' `VOCevaldet_bboxpair.m` (ywchao/ho-rcnn)."""

RLIPV2 = Protocol(Rule(pixels_inside), images="boxed", top=100, nms=PairNms())
"""`hico_eval.py` of CDN and RLIPv2: wrong detections on images without boxes are lost."""

GGNET = Protocol(Rule(pixels_guarded, above=True, first=True), top=100, nms=PairNms(1.0, 1.0, 0.5))
"""The evaluator of GGNet, with the cut and suppression of QAHOI, which reports by it."""

POCKET = Protocol(Rule(plain, above=True), kinds="listed", curve=eleven_point_both_ends)
"""pocket's association and meters, given the detections of every image."""

UPT = replace(POCKET, images="related")
"""pocket as upt and pvic report by it: their data set leaves out images without annotated pairs."""

PLAIN = Protocol(Rule(plain))
"""No added pixel and no list of kinds: for annotation that is not HICO-DET's."""

PROTOCOLS = {
    "official": OFFICIAL,
    "rlipv2": RLIPV2,
    "pocket": POCKET,
    "upt": UPT,
    "ggnet": GGNET,
    "plain": PLAIN,
}


def protocol(name: str) -> Protocol:
    """A protocol by name.

    Raises:
        ValueError: no such protocol; the sentence lists the choices.
    """
    if name not in PROTOCOLS:
        raise ValueError(Registry("protocol", dict.fromkeys(PROTOCOLS, ""), own=False).refusal(name))
    return PROTOCOLS[name]
