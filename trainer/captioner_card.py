"""The model card of a captioner that was trained here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from relforge.data.captions import CaptionData


def format_captioner_card(folder: Path, settings: Mapping[str, Any], data: CaptionData) -> str:
    """Text of `README.md` for a finished model's folder.

    Args:
        folder: the model, saved; the run's `log.jsonl` is beside it.
        settings: of the run, all of them.
        data: what it was trained on.
    """
    weights = folder / "model.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    lines = [json.loads(line) for line in (folder.parent / "log.jsonl").read_text().splitlines()]
    end = lines[-10:]
    terms = [name for name in lines[-1] if name not in {"step", "gradient_norm"}]
    losses = "\n".join(
        f"| {name} | {lines[0][name]:.3f} | {sum(line[name] for line in end) / len(end):.3f} |"
        for name in terms
    )
    recipe = {key: value for key, value in settings.items() if key not in {"out", "about"}}
    return f"""# BLIP captioner, {weights.stat().st_size / 1e6:.1f} MB

{settings["about"] or "A captioner trained from scratch."}

* weights: sha256 `{digest}`
* made by: `relforge train RECIPE`, {settings["steps"]} steps, seed {settings["seed"]}; the recipe is below
* data: {len(data.images):,} images, sha256 `{data.sha256}`

| loss | at the start | at the end |
|---|---|---|
{losses}

```yaml
{yaml.safe_dump(recipe, sort_keys=False, default_flow_style=None, width=100).strip()}
```
"""
