"""B1: the captioner's logits against transformers', and graphs against single launches."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from gpu_parts import captioner as made
from gpu_parts.recorder import Recorder
from relforge.models.gpu import exact_arithmetic


def run(recorder: Recorder) -> None:
    model, checkpoint = made.build(recorder, large=False)
    device = torch.device(recorder.device)
    pixels = torch.stack([one for *_, one in made.images(recorder, checkpoint, range(16))])
    tokens = torch.tensor([[*checkpoint.prompt, 7, 9]], device=device)
    for dtype in (torch.float32,) if recorder.tiny else (torch.float32, torch.bfloat16):
        own = made.captioner(recorder, checkpoint, dtype=dtype, graphs=False)
        encoded = own.encode(pixels)[:1]
        with torch.inference_mode(), exact_arithmetic(torch.float32):
            reference = model.text_decoder(
                input_ids=tokens, encoder_hidden_states=encoded.float(), encoder_attention_mask=None
            ).logits[:, len(checkpoint.prompt) - 1]
            own.decoder.write_image(0, encoded[0])
            logits, _ = own.decoder.prefill([0], checkpoint.prompt)
        name = str(dtype).removeprefix("torch.")
        worst = float((logits - reference).abs().max())
        divergence = float(F.kl_div(logits.log_softmax(1), reference.softmax(1), reduction="sum"))
        recorder.figure(f"largest difference of a logit, {name}", worst)
        recorder.figure(f"divergence of the next token, {name}", divergence, "nat")
        if dtype == torch.float32:
            recorder.check("float32 logits agree with transformers", worst < 1e-3, difference=worst)

    numbers = range(1 if recorder.tiny else 40)
    eager = made.run(recorder, made.captioner(recorder, checkpoint, graphs=False), checkpoint, numbers)
    recorder.check("every image has its captions", len(eager) == len(numbers))
    if recorder.device == "cuda":
        graphed = made.captioner(recorder, checkpoint, graphs=True)
        recorder.check("decoding steps are captured", graphed.notes["graphs"] == "on", **graphed.notes)
        found = made.run(recorder, graphed, checkpoint, numbers)
        recorder.check("a graph gives the bits of single launches", found == eager)
