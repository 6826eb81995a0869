"""The arithmetic is transformers': image tokens and teacher-forced logits agree to float tolerance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BlipForConditionalGeneration

from relforge.images.resize import normalise
from relforge.kernels.amx.library import VARIABLE
from relforge.models.blip.captioner import BlipCaptioner
from relforge.models.blip.checkpoint import load
from relforge.models.blip.decoder import TextDecoder
from relforge.models.blip.settings import Nucleus

CPU = torch.device("cpu")


def teacher_forced(
    decoder: TextDecoder, image: torch.Tensor, prompt: tuple[int, ...], rest: list[int]
) -> torch.Tensor:
    """Logits after the prompt and after each further token, as the sampler would compute them in row 7."""
    entry, sample, row = 1, 2, 7
    decoder.write_image(entry, image)
    first, cache = decoder.prefill([entry], prompt)
    decoder.self_cache[:, :, row, :, : len(prompt)] = cache[:, :, 0]
    rows_of_images = torch.full((decoder.images, decoder.samples), decoder.rows)
    rows_of_images[entry, sample] = row
    row_in_images = torch.zeros(decoder.rows, dtype=torch.long)
    row_in_images[row] = entry * decoder.samples + sample
    found = [first[0]]
    for at, token in enumerate(rest, start=len(prompt)):
        tokens, positions = torch.zeros(2, decoder.rows, dtype=torch.long)
        tokens[row], positions[row] = token, at
        found.append(decoder.step(tokens, positions, rows_of_images, row_in_images, [entry])[row].clone())
    return torch.stack(found)


@pytest.fixture
def captioner(folder: Path, gemm: str) -> BlipCaptioner:
    return BlipCaptioner(load(str(folder)), Nucleus(), 10, CPU, rows=32)


def tolerance(captioner: BlipCaptioner, exact: float, split: float) -> float:
    """Split GEMMs keep 16 bits of their operands, float32 24."""
    return exact if captioner.arithmetic.amx is None else split


@torch.no_grad()
def test_image_tokens_are_transformers(
    captioner: BlipCaptioner, model: BlipForConditionalGeneration, pixels: Callable[[int], torch.Tensor]
) -> None:
    image = pixels(0)[None]
    theirs = model.vision_model(
        pixel_values=normalise(image, captioner.checkpoint.mean, captioner.checkpoint.std)
    )[0]
    assert theirs.abs().mean() > 0.1  # the features are not the zeros of the default initialisation
    assert torch.allclose(captioner.encode(image), theirs, atol=tolerance(captioner, 2e-5, 5e-5))


@torch.no_grad()
def test_teacher_forced_logits_are_transformers(
    captioner: BlipCaptioner, model: BlipForConditionalGeneration, pixels: Callable[[int], torch.Tensor]
) -> None:
    prompt, rest = captioner.checkpoint.prompt, [9, 13, 14, 20, 8, 30, 5, 44]
    for n in range(3):
        image = captioner.encode(pixels(n)[None])
        ids = torch.tensor([[*prompt, *rest]])
        theirs = model.text_decoder(input_ids=ids, encoder_hidden_states=image).logits[0, len(prompt) - 1 :]
        ours = teacher_forced(captioner.decoder, image[0], prompt, rest)
        assert torch.allclose(ours, theirs, rtol=0, atol=tolerance(captioner, 5e-5, 1e-4))
        assert torch.equal(ours.argmax(1), theirs.argmax(1))


@torch.no_grad()
def test_the_image_matters(captioner: BlipCaptioner, pixels: Callable[[int], torch.Tensor]) -> None:
    prompt = captioner.checkpoint.prompt
    one, two = (
        teacher_forced(captioner.decoder, captioner.encode(pixels(n)[None])[0], prompt, [9]) for n in (0, 1)
    )
    assert (one - two).abs().max() > 0.01


def test_keys_and_values_of_an_image_are_stored_once_however_many_captions(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoder(captions: int) -> TextDecoder:
        return BlipCaptioner(load(str(folder)), Nucleus(), captions, CPU, rows=20).decoder

    one, ten = decoder(1), decoder(10)
    assert ten.cross_cache.nbytes == one.cross_cache.nbytes
    assert ten.images < one.images  # ten captions per image fill the decoder batch with fewer images
    monkeypatch.setenv(VARIABLE, "torch")
    # float32, layers, key and value, width, tokens
    assert decoder(10).cross_cache.nbytes == 4 * 2 * 2 * 32 * 5
