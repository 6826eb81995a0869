"""Speed of the BLIP captioner against transformers' generate, one call per caption, and LAVIS.

    python benchmarks/caption.py [--model large|base|FOLDER] [--images N] [--captions N] [--repeats N]
                                 [--threads N] [--dtype float32|bfloat16] [--ten-calls] [--lavis PYTHON]
                                 [--json]

All sides caption the same random pictures with the same weights (random ones unless a folder is given:
speed does not depend on them, and no caption ends early, so every side writes the full 16 tokens). Every
side but LAVIS has run once before it is timed; runs are interleaved; figures are medians. `--ten-calls`
adds transformers' generate called once per caption; `--lavis` names the Python of the LAVIS environment
(`make lavis-env`) and adds LAVIS itself and, as ten times one caption, what the published script does."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from report import emit
from torch import Tensor
from transformers import BlipConfig, BlipForConditionalGeneration

from relforge.stages.caption.blip.captioner import BlipCaptioner
from relforge.stages.caption.blip.checkpoint import Checkpoint, load
from relforge.stages.caption.blip.linear import packing
from relforge.stages.caption.blip.names import canonical
from relforge.stages.caption.blip.nucleus import Nucleus
from relforge.stages.caption.blip.shape import BlipShape, from_config
from relforge.stages.caption.blip.uniform import image_key
from relforge.stages.pictures.resize import normalise

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


def peak(dtype: torch.dtype) -> float:
    """FLOP/s of this process's largest matrix product, the best of a few."""
    a, b = torch.randn(2, 2048, 2048).to(dtype)
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
    """transformers' generate, with the time its vision tower takes noted by hooks."""

    def __init__(self, model: BlipForConditionalGeneration) -> None:
        self.model = model
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
                pixel_values=pixels, input_ids=ids, num_return_sequences=captions, **PUBLISHED, **LENGTHS
            )
        return self.encoding, clock() - start - self.encoding


class Ours:
    """The captioner, with the time of its encoder noted."""

    def __init__(self, checkpoint: Checkpoint, captions: int, dtype: torch.dtype, rows: int) -> None:
        how = Nucleus(**LENGTHS)
        self.captioner = BlipCaptioner(checkpoint, how, captions, torch.device("cpu"), dtype, rows)
        self.encoding = 0.0
        inner = self.captioner.encode

        def encode(pixels: Tensor) -> Tensor:
            start = clock()
            tokens = inner(pixels)
            self.encoding += clock() - start
            return tokens

        self.captioner.encode = encode  # type: ignore[method-assign]

    def warm_up(self, picture: Tensor, images: int) -> None:
        """Encode one picture and caption it in the place of many, so that the memory of every image is there:
        a run has it after its first dozen pictures."""
        tokens = self.captioner.encode(picture[None])[0]
        dict(self.captioner.writer.run((str(n), image_key(0, str(n)), tokens) for n in range(images)))

    def __call__(self, pictures: list[Tensor]) -> tuple[float, float]:
        """Seconds (encode, decode) per image; words are left as token ids, as the peers leave them."""
        self.encoding, start = 0.0, clock()
        stream = ((str(n), image_key(0, str(n)), p) for n, p in enumerate(pictures))
        found = dict(self.captioner.writer.run(self.captioner._encode(stream)))
        assert len(found) == len(pictures)
        total = clock() - start
        return self.encoding / len(pictures), (total - self.encoding) / len(pictures)


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
    decoder.look(0, ours.encode(pixels[None])[0])
    first, cache = decoder.prefill([0], PROMPT)
    decoder.cache[:, :, 0, :, : len(PROMPT)] = cache[:, :, 0]
    members = torch.full((decoder.images, decoder.samples), decoder.rows)
    members[0, 0] = 0
    home = torch.zeros(decoder.rows, dtype=torch.long)
    worst = float((first[0] - theirs[0]).abs().max())
    for at, token in enumerate(rest):
        tokens, positions = torch.zeros(2, decoder.rows, dtype=torch.long)
        tokens[0], positions[0] = token, len(PROMPT) + at
        logits = decoder.step(tokens, positions, members, home, [0])
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


def lavis(python: str, model: BlipForConditionalGeneration, options: argparse.Namespace) -> dict[str, float]:
    """Seconds per image of LAVIS in its own environment: ten captions, and ten times one caption."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save({"model": model.state_dict()}, Path(folder) / "weights.pth")
        (Path(folder) / "config.json").write_text(json.dumps(model.config.to_dict()))
        peer = Path(__file__).with_name("caption_lavis.py")
        # LAVIS wants words: any list of the right length with its special tokens at their places
        words = [f"word{n}" for n in range(model.config.text_config.vocab_size)]
        for place, word in {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}.items():
            words[place] = word
        words[1037], words[3861], words[1997], words[-2], words[-1] = "a", "picture", "of", "[DEC]", "[ENC]"
        (Path(folder) / "vocab.txt").write_text("\n".join(words) + "\n")
        command = [python, str(peer), folder, str(options.captions), str(options.threads)]
        root = str(Path(__file__).resolve().parent.parent)
        environment = os.environ | {"PYTHONPATH": root, "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="large", help="large, base, or a transformers folder")
    parser.add_argument(
        "--images", type=int, default=12, help="pictures in our stream; peers take one at a time"
    )
    parser.add_argument("--captions", type=int, default=10)
    parser.add_argument("--rows", type=int, default=120, help="our tile")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--ten-calls", action="store_true")
    parser.add_argument("--lavis", metavar="PYTHON")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.dtype)

    if options.model in ("large", "base"):
        model = random_model(options.model)
        shape = from_config(model.config.to_dict())
        checkpoint = Checkpoint(options.model, shape, canonical(model.state_dict()), None, PROMPT)
    else:
        checkpoint = load(options.model)
        model = BlipForConditionalGeneration.from_pretrained(options.model).eval()
    ours = Ours(checkpoint, options.captions, dtype, options.rows)
    model = model.to(dtype)
    peer = Peer(model)
    size = checkpoint.shape.vision.image_size
    generator = torch.Generator().manual_seed(0)
    pictures = list(
        torch.randint(0, 256, (options.images, 3, size, size), dtype=torch.uint8, generator=generator)
    )
    ready = normalise(pictures[0][None], checkpoint.mean, checkpoint.std).to(dtype)

    difference = worst_logit(model, ours.captioner, pictures[0])
    theirs_bytes = cross_bytes(model, ready, options.captions)
    ours.warm_up(pictures[0], len(pictures))
    our_runs, their_runs, peaks = [], [], []
    for _ in range(options.repeats):
        peaks.append(peak(dtype))
        their_runs.append(peer(ready, options.captions))
        our_runs.append(ours(pictures))
        their_runs.append(peer(ready, options.captions))
        peaks.append(peak(dtype))
    encode, decode = (statistics.median(run[i] for run in our_runs) for i in (0, 1))
    their_encode, their_decode = (statistics.median(run[i] for run in their_runs) for i in (0, 1))
    work = flops(checkpoint.shape, options.captions, LENGTHS["max_length"] - len(PROMPT))
    floor = {part: amount / max(peaks) for part, amount in work.items()}
    name = f"{options.model} {options.dtype}, {options.captions} captions, {options.threads} thread(s)"

    def row(case: str, against: str, mine: float, other: float, limit: float | None = None) -> dict[str, Any]:
        found = {"case": case, "peer": against, "ours": mine, "theirs": other, "ratio": other / mine}
        return found | {
            "unit": "s per image",
            "limit": limit,
            "fraction_of_limit": limit / mine if limit else None,
        }

    whole, all_floor = encode + decode, floor["encode"] + floor["decode"]
    generate = f"transformers generate x{options.captions}"
    rows = [
        row(f"encode: {name}", generate, encode, their_encode, floor["encode"]),
        row("decode", generate, decode, their_decode, floor["decode"]),
        row("whole job", generate, whole, their_encode + their_decode, all_floor),
    ]
    if options.ten_calls:
        one, rest = peer(ready, 1, calls=options.captions)
        rows.append(row("whole job", f"{options.captions} calls of generate", whole, one + rest, all_floor))
    if options.lavis:
        found = lavis(options.lavis, model, options)
        rows.append(row("decode", "LAVIS", decode, found["decode"], floor["decode"]))
        rows.append(row("whole job", "LAVIS", whole, found["encode"] + found["decode"], all_floor))
        script = options.captions * (found["encode"] + found["decode_one"])
        rows.append(
            row("whole job", f"published script ({options.captions} x LAVIS x1)", whole, script, all_floor)
        )
    mine_bytes = ours.captioner.decoder.seen.nbytes
    tokens = options.captions * (LENGTHS["max_length"] - len(PROMPT))
    rows += [
        row("cross keys and values", generate, mine_bytes / 1e6, theirs_bytes / 1e6) | {"unit":
        "MB per image"}, {
            "case": "tokens per second, decode",
            "peer": generate,
            "ours": tokens / decode,
            "theirs": tokens / their_decode,
            "ratio": their_decode / decode,
            "unit": "tokens/s",
        },
        {"case": "largest logit difference", "peer": "transformers", "ours": difference, "unit": "logit"},
        {"case": "matrix product peak", "ours": max(peaks) / 1e9, "unit": "GFLOP/s"},
        {"case": f"memory of the process, both sides (packing: {packing()})", "unit": "MB",
         "ours": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3},
    ]  # fmt: skip
    emit(rows, options.json, name)


if __name__ == "__main__":
    main()
