"""A real model in this process: a random LLaVA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from relforge.vlm.client import Request, Sampling, View, VlmError
from relforge.vlm.local import LocalClient

WORDS = ("Yes", "yes", "No", "no")


def view(seed: int) -> View:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return View(pixels, f"{seed}", {"view": "plain"})


def request(number: int = 0, **fields: Any) -> Request:
    asked: dict[str, Any] = {"views": [view(0)], "text": "Is it so?", "sampling": Sampling(max_tokens=6)}
    return Request("1", f"{number}", "judge", **asked | fields)


@pytest.fixture(scope="module")
def client(llava: Path) -> LocalClient:
    client = LocalClient(str(llava), seed=3, device="cpu")
    client.setup()
    return client


def ask(client: LocalClient, *requests: Request) -> list[Any]:
    return [answer for _, answer in client.ask(requests)]


def test_an_answer_is_the_model_s_own(client: LocalClient) -> None:
    [answer] = ask(client, request(words=WORDS))
    assert answer.usage.output_tokens == 6
    assert answer.usage.input_tokens > 16  # an image is 16 tokens
    assert answer.finish_reason == "length"
    assert answer.model_reported == client.name
    # by hand: one forward pass, the log-probabilities of what it wrote
    parts = [{"type": "image", "image": view(0).pixels}, {"type": "text", "text": "Is it so?"}]
    inputs = client.processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        first = client.model(**inputs).logits[0, -1].softmax(0)
    for word in WORDS:
        [token] = client.processor.tokenizer.encode(word, add_special_tokens=False)
        assert answer.words[word] == pytest.approx(first[token].item(), rel=1e-4)


def test_an_answer_depends_on_the_request_alone(client: LocalClient, llava: Path) -> None:
    sampled = [request(n, sampling=Sampling(temperature=1.0, max_tokens=6)) for n in range(4)]
    together = ask(client, *sampled)
    other = LocalClient(str(llava), seed=3, device="cpu")
    other.setup()
    assert ask(other, *sampled[::-1])[::-1] == together
    assert len({answer.text for answer in together}) == 4
    other.seed = 4
    assert ask(other, *sampled) != together


def test_a_second_question_about_a_view_computes_no_features(client: LocalClient) -> None:
    passes = []
    hook = client.model.model.vision_tower.register_forward_hook(lambda *_: passes.append(1))
    first = ask(client, request(views=[view(5)]), request(views=[view(5)], text="Or so?"))
    assert len(passes) == 1
    again = ask(client, request(views=[view(6)]), request(views=[view(5)], text="Or so?"))
    hook.remove()
    assert len(passes) == 3
    assert again[1] == first[1]
    assert again[0] != first[0]


def test_several_images_and_a_system_message_are_read(client: LocalClient) -> None:
    one, two, told = ask(
        client,
        request(sampling=Sampling(max_tokens=1)),
        request(views=[view(0), view(1)], sampling=Sampling(max_tokens=1)),
        request(system="Say no.", sampling=Sampling(max_tokens=1)),
    )
    assert two.usage.input_tokens == one.usage.input_tokens + 16
    assert told.usage.input_tokens > one.usage.input_tokens


def test_a_request_beyond_the_model_is_set_aside(client: LocalClient) -> None:
    [answer] = ask(client, request(text="a" * 9000))
    assert answer.verdict == "too_long"
    assert "exceed the model's 8192" in answer.detail


def test_a_word_of_several_tokens_is_refused(client: LocalClient, llava: Path) -> None:
    with pytest.raises(VlmError, match=r"'perhaps' is not a single token of it.*score: sample"):
        ask(client, request(words=("perhaps",)))
    with pytest.raises(VlmError, match="'perhaps'"):
        LocalClient(str(llava), words=("perhaps",), device="cpu").setup()


def test_a_model_without_a_chat_template_is_refused() -> None:
    with pytest.raises(VlmError, match=r"it has no chat template.*score: likelihood"):
        LocalClient("demo/weights/blip", device="cpu").setup()
