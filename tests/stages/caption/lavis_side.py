"""Runs inside the LAVIS environment for test_lavis.py: `python lavis_side.py FOLDER INPUT OUTPUT`.

INPUT is a torch file with `pixels` (normalised, 1 x 3 x S x S) and `ids` (1 x tokens); OUTPUT gets LAVIS's
own image tokens and teacher-forced logits, and what the stage makes of two images.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from relforge.stages.registry import build
from relforge.stages.tables import SCHEMAS


def png(n: int) -> bytes:
    noise = np.random.default_rng(n).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def table(*numbers: int) -> dict[str, pa.Table]:
    rows = [
        {
            "image_id": str(n),
            "dataset": "d",
            "split": "s",
            "uri": None,
            "width": 40,
            "height": 30,
            "bytes": png(n),
        }
        for n in numbers
    ]
    rows.append(rows[0] | {"image_id": "cut", "bytes": png(0)[:100]})
    return {"images": pa.Table.from_pylist(rows, schema=SCHEMAS["images"])}


folder, given, wanted = sys.argv[1:]
stage: Any = build("caption", "lavis", model=folder, captions=4, drop=[], device="cpu")
stage.setup()
inputs = torch.load(given)
with torch.no_grad():
    image = stage.captioner.model.visual_encoder.forward_features(inputs["pixels"])
    attention = torch.ones(image.shape[:2], dtype=torch.long)
    logits = stage.captioner.model.text_decoder(
        input_ids=inputs["ids"],
        encoder_hidden_states=image,
        encoder_attention_mask=attention,
        return_dict=True,
    ).logits
both, alone = stage.process(table(0, 1)), stage.process(table(1))
beam = build("caption", "lavis", model=folder, mode="beam", drop=[], device="cpu")
beam.setup()
torch.save(
    {
        "image": image,
        "logits": logits,
        "both": both.tables["captions"].to_pylist(),
        "alone": alone.tables["captions"].to_pylist(),
        "quarantined": [q.reason for q in both.quarantined],
        "beam": beam.process(table(0, 1)).tables["captions"]["text"].to_pylist(),
    },
    wanted,
)
