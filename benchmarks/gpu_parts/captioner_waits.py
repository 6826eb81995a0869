"""B2: nothing that a captioner does per step or batch waits for the GPU."""

from __future__ import annotations

import torch

from gpu_parts import captioner as made
from gpu_parts.recorder import Recorder
from relforge.models.blip.gpu_sampler import GpuSampler


@torch.inference_mode()
def run(recorder: Recorder) -> None:
    _, checkpoint = made.build(recorder, large=False)
    own = made.captioner(recorder, checkpoint, graphs=False)
    sampler = own.strategy
    assert isinstance(sampler, GpuSampler)
    batch = torch.stack([one.permute(1, 2, 0) for *_, one in made.images(recorder, checkpoint, range(16))])
    encoded = own._encode_rows(batch)
    entries = sampler.inputs[0][: len(encoded)]
    works = {
        "a decoding step": sampler._advance,
        "prompts": sampler._run_prompts,
        "keys and values of images": lambda: sampler.fused.write_images(
            entries[: len(encoded)], encoded[: len(entries)]
        ),
        "the vision encoder": lambda: own._encode_rows(batch),
    }
    for name, work in works.items():
        work()  # libraries choose their kernels
        if recorder.device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.set_sync_debug_mode("error")
        try:
            work()
            reason = ""
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
        finally:
            if recorder.device == "cuda":
                torch.cuda.set_sync_debug_mode("default")
        recorder.check(f"{name} does not wait", not reason, reason=reason)
