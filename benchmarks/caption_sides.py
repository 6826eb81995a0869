"""The two sides of benchmarks/caption.py: transformers' generate and the captioner, and what both must do."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import BlipConfig, BlipForConditionalGeneration

from relforge.images.resize import normalise
from relforge.kernels.amx import peak as unit
from relforge.models.blip.arithmetic import Arithmetic
from relforge.models.blip.captioner import BlipCaptioner
from relforge.models.blip.checkpoint import Checkpoint
from relforge.models.blip.settings import Nucleus
from relforge.models.blip.shape import BlipShape
from relforge.models.blip.uniform import derive_random_key

PROMPT = (30522, 1037, 3861, 1997)  # [DEC] a picture of, in bert-base-uncased
PUBLISHED = {"do_sample": True, "top_p": 0.9, "top_k": 50, "repetition_penalty": 1.1}
LENGTHS = {"min_length": 5, "max_length": 20}


def random_model(size: str) -> BlipForConditionalGeneration:
    """The published sizes with weights of standard deviation 0.02, the vision tower included: transformers'
    own 1e-10 there would give image features of zero."""
    width, depth, heads = {"large": (1024, 24, 16), "base": (768, 12, 12)}[size]
    config = BlipConfig(
        text_config={"num_attention_heads": 12},
        vision_config={
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": depth,
            "num_attention_heads": heads,
            "initializer_range": 0.02,
        },
    )
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(config).eval()
    for module in model.vision_model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=0.02)
    return model


def flops(shape: BlipShape, captions: int, steps: int) -> dict[str, float]:
    """Multiply-adds, times two, that one image cannot do without: encode; cross keys and values once;
    decode."""
    v, t = shape.vision, shape.text
    encode = v.depth * (24 * v.tokens * v.width**2 + 4 * v.tokens**2 * v.width)
    encode += 2 * (v.tokens - 1) * 3 * v.patch_size**2 * v.width
    cross = t.depth * 2 * 2 * v.tokens * v.width * t.width
    row = t.depth * (2 * 14 * t.width**2 + 4 * v.tokens * t.width) + 2 * t.width * (t.vocabulary + t.width)
    # the prompt once, then every caption's tokens but its last, which only has to be drawn
    return {"encode": encode, "decode": cross + row * (len(PROMPT) + captions * (steps - 1))}


def peak(arithmetic: Arithmetic) -> float:
    """FLOP/s that useful multiply-adds could reach in this arithmetic: of the largest GEMM of
    torch's, the best of a few; or of AMX on registers alone, times the threads, a third of it for
    split operands."""
    if arithmetic.amx is not None:
        return unit.measure_peak(clock) * torch.get_num_threads() / (3 if arithmetic.amx == "split" else 1)
    a, b = torch.randn(2, 2048, 2048).to(arithmetic.dtype)
    best = min(timed(lambda: torch.mm(a, b)) for _ in range(6))
    return 2 * 2048**3 / best


def clock() -> float:
    """CPU seconds with one thread, which other jobs on the machine disturb least; else seconds of the
    wall."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def timed(call: Callable[[], Any]) -> float:
    start = clock()
    call()
    return clock() - start


class Peer:
    """transformers' generate, with the time its vision tower takes noted by hooks.

    Args:
        dtype: a copy of the model in this type is used, if it is another than the model's.
    """

    def __init__(self, model: BlipForConditionalGeneration, dtype: torch.dtype) -> None:
        self.model = model = model if dtype == model.dtype else copy.deepcopy(model).to(dtype)
        self.encoding = 0.0
        self.since = 0.0
        model.vision_model.register_forward_pre_hook(self._start)
        model.vision_model.register_forward_hook(self._stop)

    def _start(self, *_: Any) -> None:
        self.since = clock()

    def _stop(self, *_: Any) -> None:
        self.encoding += clock() - self.since

    @torch.inference_mode()
    def __call__(self, pixels: Tensor, captions: int, calls: int = 1) -> tuple[float, float]:
        """Seconds (encode, decode) for one image."""
        self.encoding, start = 0.0, clock()
        for _ in range(calls):
            ids = torch.tensor([[101, *PROMPT[1:], 102]])
            self.model.generate(
                pixel_values=pixels.to(self.model.dtype),
                input_ids=ids,
                num_return_sequences=captions,
                **PUBLISHED,
                **LENGTHS,
            )
        return self.encoding, clock() - start - self.encoding


class Ours:
    """The captioner, with the time of its encoder noted."""

    def __init__(self, checkpoint: Checkpoint, captions: int, dtype: torch.dtype, rows: int) -> None:
        settings = Nucleus(**LENGTHS)
        self.captioner = BlipCaptioner(checkpoint, settings, captions, torch.device("cpu"), dtype, rows)
        self.encoding = 0.0
        inner = self.captioner.encode

        def encode(pixels: Tensor) -> Tensor:
            start = clock()
            tokens = inner(pixels)
            self.encoding += clock() - start
            return tokens

        self.captioner.encode = encode

    def warm_up(self, image: Tensor, images: int) -> None:
        """Encode one image and caption it in the place of many, so that the memory of every image is there:
        a run has it after its first dozen images."""
        tokens = self.captioner.encode(image[None])[0]
        stream = ((str(n), derive_random_key(0, str(n)), tokens) for n in range(images))
        dict(self.captioner.strategy.run(stream))

    def __call__(self, images: list[Tensor]) -> tuple[float, float]:
        """Seconds (encode, decode) per image; words are left as token ids, as the peers leave them."""
        self.encoding, start = 0.0, clock()
        stream = ((str(n), derive_random_key(0, str(n)), p) for n, p in enumerate(images))
        found = dict(self.captioner.strategy.run(self.captioner.encode_stream(stream)))
        assert len(found) == len(images)
        total = clock() - start
        return self.encoding / len(images), (total - self.encoding) / len(images)


@torch.inference_mode()
def worst_logit(model: BlipForConditionalGeneration, ours: BlipCaptioner, pixels: Tensor) -> float:
    """Largest difference of teacher-forced logits, prompt and five tokens, each side from its own encoder."""
    rest = [1037, 2158, 5559, 1037, 3586]
    ready = normalise(pixels[None], ours.checkpoint.mean, ours.checkpoint.std)
    seen = model.vision_model(pixel_values=ready.to(model.dtype))[0]
    ids = torch.tensor([[*PROMPT, *rest]])
    theirs = (
        model.text_decoder(input_ids=ids, encoder_hidden_states=seen).logits[0, len(PROMPT) - 1 :].float()
    )
    decoder = ours.decoder
    decoder.write_image(0, ours.encode(pixels[None])[0])
    first, cache = decoder.prefill([0], PROMPT)
    decoder.self_cache[:, :, 0, :, : len(PROMPT)] = cache[:, :, 0]
    rows_of_images = torch.full((decoder.images, decoder.samples), decoder.rows)
    rows_of_images[0, 0] = 0
    row_in_images = torch.zeros(decoder.rows, dtype=torch.long)
    worst = float((first[0] - theirs[0]).abs().max())
    for at, token in enumerate(rest):
        tokens, positions = torch.zeros(2, decoder.rows, dtype=torch.long)
        tokens[0], positions[0] = token, len(PROMPT) + at
        logits = decoder.step(tokens, positions, rows_of_images, row_in_images, [0])
        worst = max(worst, float((logits[0] - theirs[at + 1]).abs().max()))
    return worst


@torch.inference_mode()
def cross_bytes(model: BlipForConditionalGeneration, pixels: Tensor, captions: int) -> int:
    """Bytes of cross-attention keys and values that generate holds for one image."""
    ids = torch.tensor([[101, *PROMPT[1:], 102]])
    out = model.generate(
        pixel_values=pixels,
        input_ids=ids,
        num_return_sequences=captions,
        do_sample=True,
        max_length=len(PROMPT) + 2,
        return_dict_in_generate=True,
    )
    layers = out.past_key_values.cross_attention_cache.layers
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)
