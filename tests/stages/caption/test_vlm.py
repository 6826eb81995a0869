"""Captions by a vision-language model behind an endpoint."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from relforge.stages.caption.vlm import stage
from relforge.stages.contract import StageResult
from tests.fixtures.rows import table
from tests.fixtures.vlm_servers import Scripted, completion, listening, say

pytest.importorskip("openai", reason="pip install 'relforge[vlm]'")


def jpeg(number: int, **save: Any) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **save)
    return buffer.getvalue()


def images(count: int = 3) -> pa.Table:
    rows = [{"image_id": f"{n}", "bytes": jpeg(n), "width": 80, "height": 60} for n in range(count)]
    return table("images", *rows)


def process(server: Scripted, rows: pa.Table, **options: Any) -> StageResult:
    with listening(server.handle) as port:
        made: Any = stage(endpoint=f"http://127.0.0.1:{port}/v1", model="tiny", **{"retries": 1} | options)
        made.setup()
        result: StageResult = made.process({"images": rows})
    assert result.kept + sum(result.dropped.values()) + len(result.quarantined) == rows.num_rows
    return result


def only_questions(text: str, **choice: Any) -> Scripted:
    return Scripted(lambda body: completion(text, **choice) if "Describe" in json.dumps(body) else say(body))


def test_every_image_has_its_captions_and_every_answer_is_kept() -> None:
    result = process(Scripted(), images(), captions=2)
    captions = result.tables["captions"].to_pylist()
    assert [(row["image_id"], row["caption_id"]) for row in captions] == [
        (f"{image}", number) for image in range(3) for number in range(2)
    ]
    assert len({row["text"] for row in captions}) == 6
    assert captions[0] | {"text": ""} == {
        "image_id": "0", "caption_id": 0, "text": "", "source": "tiny", "seed": 0,
        "logprob": pytest.approx(-0.5),
    }  # fmt: skip
    answers = result.tables["caption_answers"].to_pylist()
    assert [row["text"] for row in answers] == [row["text"] for row in captions]
    assert {row["verdict"] for row in answers} == {"ok"}
    assert {row["model_reported"] for row in answers} == {"scripted-1"}
    assert result.notes["tokens"] == {"input": 6 * 36, "output": 30, "uncounted_answers": 0}
    (prompt,) = result.notes["prompts"].items()
    assert prompt[0] == answers[0]["prompt_hash"]
    assert prompt[1].startswith("Describe this image")


def test_a_caption_that_does_not_end_is_kept_up_to_its_last_sentence() -> None:
    server = only_questions("A dog runs on grass. Behind it a man with a", finish_reason="length")
    result = process(server, images(1), captions=1)
    assert result.tables["captions"]["text"].to_pylist() == ["A dog runs on grass."]
    assert result.notes["caption_faults"] == {"cut_off": 1}


def test_an_image_without_a_usable_answer_is_quarantined() -> None:
    result = process(only_questions("I'm sorry, I can't help with that."), images(2), captions=2)
    assert [(one.record, one.reason) for one in result.quarantined] == [
        ({"image_id": "0"}, "refused"),
        ({"image_id": "1"}, "refused"),
    ]
    assert result.notes["answers"] == {"refused": 4}


def test_an_unsound_caption_is_no_caption() -> None:
    result = process(only_questions("a dog a dog a dog a dog"), images(1), captions=1)
    assert result.dropped == {"no_sound_caption": 1}
    assert result.notes["caption_faults"] == {"repeated_ngram": 1}


def test_an_image_that_cannot_be_read_is_quarantined_unasked() -> None:
    rows = table("images", {"image_id": "0", "bytes": b"no image"}, {"image_id": "1", "bytes": jpeg(1)})
    server = Scripted()
    result = process(server, rows, captions=1)
    assert [one.record["image_id"] for one in result.quarantined] == ["0"]
    assert result.tables["captions"]["image_id"].to_pylist() == ["1"]


def test_what_is_sent_has_nothing_of_the_file_but_its_pixels() -> None:
    exif = Image.Exif()
    exif[0x9286] = "taken at home"
    rows = table("images", {"image_id": "0", "bytes": jpeg(0, exif=exif), "uri": "/home/me/secret.jpg"})
    server = Scripted()
    process(server, rows, captions=1)
    from base64 import b64decode

    sent = [body for body in server.asked if "Describe" in json.dumps(body)]
    url = sent[0]["messages"][0]["content"][0]["image_url"]["url"]
    decoded = b64decode(url.partition(",")[2])
    assert b"taken at home" not in decoded
    assert not Image.open(io.BytesIO(decoded)).getexif()
    assert "secret" not in json.dumps(sent)


def test_what_it_will_cost() -> None:
    made: Any = stage(
        endpoint="http://127.0.0.1:1/v1", model="tiny", price={"input": 1.0, "output": 10.0}, captions=3
    )
    found = made.foresee({"images": 1000})
    assert found.requests == 3000
    assert found.input_tokens == 3000 * (16**2 + 39)  # 448 pixels, 156 characters
    assert found.output_tokens == 3000 * 96
    assert found.cost == pytest.approx((found.input_tokens + 10 * found.output_tokens) / 1e6)
    assert made.foresee({}) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temperature": 0.0}, "temperature 0 gives 4 equal captions"),
        ({"captions": 0}, "must be 1 or more"),
        ({"prompt": "caption/99"}, "neither a file nor built in"),
        ({"endpoint": "http://me:key@host/v1"}, "has a user or password in its URL"),
        ({"endpoint": "file:///etc/passwd"}, "give a URL such as"),
        ({"endpoint": "http://host/v1?key=1"}, "has a query"),
        ({"api_key_env": "sk-abcdef"}, "takes the name of an environment variable"),
        ({"send_images": "everywhere"}, "choose one of loopback, private, anywhere"),
        ({"schema": "xml"}, "choose one of auto, server, prompt"),
        ({"in_flight": 0}, "in_flight is 0"),
        ({"requests_per_minute": 0}, "must be above 0"),
        ({"max_cost": 5.0}, "max_cost needs price"),
        ({"price": {"per_token": 1.0}}, "write it as {input: 1.25, output: 5}"),
    ],
)
def test_an_option_that_cannot_be(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as one:  # noqa: PT011
        stage(**{"endpoint": "http://127.0.0.1:1/v1", "model": "tiny"} | options)
    assert sentence in str(one.value)
    assert "sk-abcdef" not in str(one.value)
    assert "me:key" not in str(one.value)


def test_a_prompt_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("What happens here?")
    server = Scripted()
    process(server, images(1), captions=1, prompt=str(path))
    assert server.asked[-1]["messages"][0]["content"][-1]["text"] == "What happens here?"
    made: Any = stage(endpoint="http://127.0.0.1:1/v1", model="tiny", prompt=str(path))
    assert str(path) in made.files()
