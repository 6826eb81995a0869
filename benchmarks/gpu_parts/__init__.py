"""The parts of benchmarks/gpu.py, in the order in which they run: what a cut would cost most comes first.

A part is a file of this folder with one function, `run(recorder)`, and its line in `PARTS`. To add one:

1. Write `benchmarks/gpu_parts/MODULE.py` under the module name that its line in `PARTS` gives:

       def run(recorder: Recorder) -> None:
           side = 64 if recorder.tiny else 8192
           matrix = torch.ones(side, side, device=recorder.device)
           milliseconds = time_calls(lambda: matrix @ matrix, recorder.device, recorder.calls(50))
           recorder.figure("square product", milliseconds, "ms", side=side)
           recorder.check("product is exact", bool((matrix @ matrix == side).all()), side=side)

   Import torch, transformers, triton, pyarrow and what of relforge needs no more than those (kernels, images,
   models, tagger, trainer; no Ray, spaCy, pydantic, typer, duckdb): a test refuses the others.
2. Send each number and each check at once (`figure`, `check`): both are written and flushed, so that a part
   which is killed at the end of its time keeps what it had. What is written for people (a profile, a stack)
   goes into a file of its own by `text`. What cannot run here raises `Skip("reason")`.
3. Sizes: `recorder.tiny` is true on the CPU, where the part must end within seconds and kernels run under
   Triton's interpreter; `recorder.quick` asks for fewer repeats and cases. `recorder.device` is `cuda` or
   `cpu`.
4. Try it: `python benchmarks/gpu.py --device cpu --quick --only NAME`. `tests/benchmarks/test_gpu.py` runs
   all of them.

Every part runs in a process of its own: nothing that it sets (precision flags, caches, a broken CUDA context)
reaches another part.
"""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """One part: its name, the most seconds it may take, its module in this folder, what it does."""

    name: str
    seconds: int
    module: str
    title: str


PARTS = (
    Part("A1", 60, "kernels_against_reference", "kernels against the reference"),
    Part("A2", 30, "autograd_and_compile", "autograd, autocast, compile, graph capture"),
    Part("A3", 60, "goldens", "goldens on the device"),
    Part("B1", 30, "captioner_logits", "captioner logits against transformers, graph against eager"),
    Part("B2", 10, "captioner_waits", "captioner never waits for the GPU"),
    Part("B3", 40, "captioner_identity", "captions do not depend on the other images"),
    Part("B4", 30, "tagger_identity", "scores do not depend on the other images"),
    Part("C1", 75, "msda_figures", "deformable attention against its peers"),
    Part("C2", 90, "captioner_figures", "captioner images per second"),
    Part("C3", 75, "tagger_figures", "tagger images per second"),
    Part("B5", 10, "text_tiles", "text features do not depend on the tile"),
    Part("C4", 40, "trainer_figures", "trainer steps per second, resume with averaging"),
    Part("C5", 15, "image_figures", "images decoded and uploaded per second"),
    Part("C6", 40, "two_stages", "two stages on one GPU"),
)
