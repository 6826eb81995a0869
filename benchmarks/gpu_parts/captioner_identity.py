"""B3: captions and log-probabilities do not depend on the other images, nor on the row that a caption has."""

from __future__ import annotations

from gpu_parts import captioner as made
from gpu_parts.recorder import Recorder


def run(recorder: Recorder) -> None:
    _, checkpoint = made.build(recorder)
    model = made.captioner(recorder, checkpoint)
    count = 2 if recorder.tiny else 20 if recorder.quick else 100
    together = made.run(recorder, model, checkpoint, range(count))
    orders = {
        "again": range(count),
        "reversed": range(count - 1, -1, -1),
        "one alone": [count - 1],
        "other rows": [*range(1000, 1000 + (1 if recorder.tiny else 37)), *range(count)],
    }
    if recorder.tiny:
        del orders["again"], orders["reversed"]
    for name, order in orders.items():
        found = made.run(recorder, model, checkpoint, order)
        same = [found[key] == captions for key, captions in together.items() if key in found]
        recorder.check(f"captions are bit-equal: {name}", all(same), equal=sum(same), of=len(same))
