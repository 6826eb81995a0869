"""Any image-to-text model of transformers captions through the same contract."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
    PreTrainedTokenizerFast,
)

from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS
from tests.fixtures.tiny_llava import write_tiny_llava


def images(*numbers: int) -> dict[str, pa.Table]:
    rows = []
    for n in numbers:
        noise = np.random.default_rng(abs(n)).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, "PNG")
        data = buffer.getvalue() if n >= 0 else b"not a picture"
        row = {"image_id": str(n), "dataset": "d", "split": "s", "uri": None, "width": 40, "height": 30}
        rows.append(row | {"bytes": data})
    return {"images": pa.Table.from_pylist(rows, schema=SCHEMAS["images"])}


@pytest.fixture(scope="module")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BLIP-2 with an OPT language model: the layout of `Salesforce/blip2-opt-2.7b`."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    text = "<pad> </s> <unk> a man dog horse on under red blue big small riding holding grass street"
    words = text.split()
    backend = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", bos_token="</s>", unk_token="<unk>"
    )
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Blip2Config(
        vision_config=small | {"image_size": 32, "patch_size": 16, "initializer_range": 0.2},
        qformer_config=small | {"encoder_hidden_size": 32, "vocab_size": 30, "initializer_range": 0.2},
        text_config={
            "model_type": "opt",
            "vocab_size": len(words) + 1,
            "hidden_size": 32,
            "ffn_dim": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "word_embed_proj_dim": 32,
            "max_position_embeddings": 64,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 1,
            "init_std": 0.2,
        },
        num_query_tokens=4,
        image_token_index=len(words),
    )
    torch.manual_seed(0)
    processor = Blip2Processor(
        BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer, num_query_tokens=4
    )
    path = tmp_path_factory.mktemp("tiny-blip2")
    model = Blip2ForConditionalGeneration(config)
    model.resize_token_embeddings(len(processor.tokenizer))
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return path


def ready(folder: Path, **options: Any) -> Any:
    stage = build("caption", "transformers", model=str(folder), device="cpu", drop=[], **options)
    stage.setup()
    return stage


@pytest.mark.parametrize("prompt", [None, "a man"])
def test_blip2_captions_each_image_by_itself(blip2: Path, prompt: str | None) -> None:
    stage = ready(blip2, captions=3, prompt=prompt)
    result = stage.process(images(0, -1, 1))
    rows = result.tables["captions"].to_pylist()
    assert [(row["image_id"], row["caption_id"]) for row in rows] == [(i, c) for i in "01" for c in range(3)]
    assert [q.reason for q in result.quarantined] == ["not_an_image"]
    assert len({row["text"] for row in rows}) > 2
    assert stage.process(images(1)).tables["captions"].to_pylist() == rows[3:]


def test_beam_mode_gives_one_caption(blip2: Path) -> None:
    assert ready(blip2, mode="beam").process(images(0, 1)).tables["captions"].num_rows == 2


def test_blip_itself_goes_this_way_too(folder: Path) -> None:
    rows = ready(folder, captions=2, prompt="a picture of").process(images(0)).tables["captions"].to_pylist()
    assert len(rows) == 2
    assert not any(row["text"].startswith("a picture of") for row in rows)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llava(tmp_path_factory.mktemp("tiny-llava"))


@pytest.mark.parametrize("prompt", [None, "Who does what?"])
def test_a_chat_model_is_asked_in_a_message(llava: Path, prompt: str | None) -> None:
    stage = ready(llava, captions=3, max_new_tokens=8, prompt=prompt)
    result = stage.process(images(0, -1, 1))
    rows = result.tables["captions"].to_pylist()
    assert {row["image_id"] for row in rows} == {"0", "1"}
    assert [q.reason for q in result.quarantined] == ["not_an_image"]
    assert len({row["text"] for row in rows}) > 2
    assert not any("user:" in row["text"] or "Who does" in row["text"] for row in rows)
    assert stage.process(images(1)).tables["captions"].to_pylist() == [
        r for r in rows if r["image_id"] == "1"
    ]


def test_the_question_decides_what_a_chat_model_says(llava: Path) -> None:
    said = [
        ready(llava, mode="beam", max_new_tokens=8, prompt=prompt).process(images(0)).tables["captions"]
        for prompt in ("Who?", "What is riding?")
    ]
    assert said[0]["text"].to_pylist() != said[1]["text"].to_pylist()
