"""salesforce-lavis, in its own environment, agrees with us on the same weights.

Needs `make lavis-env` (2.2 GB); set RELFORGE_LAVIS_PYTHON where that environment is elsewhere. Without it
LAVIS's classes cannot be imported at all, so everything that needs them is skipped.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BlipForConditionalGeneration

from relforge.models.blip.checkpoint import load
from relforge.stages.contract import Stage
from relforge.stages.registry import build

ROOT = Path(__file__).resolve().parents[3]
PYTHON = Path(os.environ.get("RELFORGE_LAVIS_PYTHON", ROOT / ".venv-lavis/bin/python"))
SIDE = Path(__file__).resolve().parent / "lavis_side.py"


@pytest.fixture(scope="module")
def agreed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What LAVIS made of one normalised image and a caption, with its input."""
    if not PYTHON.exists():
        pytest.skip(f"no LAVIS environment at {PYTHON}: run `make lavis-env`")
    path = tmp_path_factory.mktemp("lavis")
    prompt = list(load(str(folder)).prompt)
    generator = torch.Generator().manual_seed(5)
    given = {
        "pixels": torch.randn(1, 3, 32, 32, generator=generator),
        "ids": torch.tensor([[*prompt, 9, 13, 14, 20, 8, 30]]),
    }
    torch.save(given, path / "in.pt")
    command = [str(PYTHON), str(SIDE), str(folder), str(path / "in.pt"), str(path / "out.pt")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return given | torch.load(path / "out.pt")


@torch.no_grad()
def test_image_tokens_and_teacher_forced_logits_agree(
    agreed: dict[str, Any], model: BlipForConditionalGeneration
) -> None:
    """Against transformers' classes, which our decoder is tested against to the same tolerance."""
    image = model.vision_model(pixel_values=agreed["pixels"])[0]
    logits = model.text_decoder(input_ids=agreed["ids"], encoder_hidden_states=image).logits
    assert torch.allclose(agreed["image"], image, atol=2e-5)
    assert torch.allclose(agreed["logits"], logits, atol=5e-5)


def test_the_stage_captions_every_image_whatever_the_others(agreed: dict[str, Any]) -> None:
    rows = agreed["both"]
    assert [(row["image_id"], row["caption_id"]) for row in rows] == [(i, c) for i in "01" for c in range(4)]
    assert {row["source"][:6] for row in rows} == {"lavis:"}
    assert agreed["alone"] == rows[4:]
    assert agreed["quarantined"] == ["truncated"]


def test_beam_mode_gives_one_caption_per_image(agreed: dict[str, Any]) -> None:
    assert len(agreed["beam"]) == 2


def test_outside_its_environment_the_error_says_how_to_get_there(folder: Path) -> None:
    stage = build("caption", "lavis", model=str(folder))
    assert isinstance(stage, Stage)
    with pytest.raises(ImportError, match=r"make lavis-env.*py_executable"):
        stage.setup()
