"""Teaches an R-Tagger what crops show (`model.sizes.pair_pixels`), on the pairs that boxes cannot tell apart.

    python benchmarks/teach_crops.py --tagger FOLDER --gold SPLIT --out FOLDER [--images 8000] [--epochs 7]
        [--seed 0] [--json]

In the training of a tagger, few of an image's pairs need a look, and what they need is learned late or not at
all. Here a perceptron over boxes and classes is fitted first; gold relations and those that it cannot exclude
are rows, one crop each, and the convolutions learn to tell them apart beside boxes, classes and predicate.
Spatial predicates are left out. Batch norms make this fast; they are folded into the convolutions at the end.
The model in `--out` is the tagger with these convolutions, whose result nothing reads yet: a training that
starts from it (`configs/train/world_rtagger_end.yaml`) has to follow.

`--gold` is a split of the drawn world; five minutes on one processor core for 8,000 images.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.nn.functional as F
from laboratory.boxes_only import describe_candidates, in_gold, learn_boxes
from laboratory.labels import perfect
from laboratory.world import Tables, first_images, read_split
from PIL import Image
from report import emit
from torch import Tensor, nn

from relforge.demo.world.interactions import SPATIAL
from relforge.images.detection_resize import IMAGENET_MEAN, IMAGENET_STD
from relforge.models.blocks.pair_pixels import PairPixels, Shown, crop_pairs
from relforge.models.checkpoint import load_model, load_tokenizer, save_model

POINTS = 64
"""Along either side of a crop."""
BATCH = 128
_FITTED = 2000
"""Images that the perceptron is fitted to."""
_DOUBTFUL = 0.04
"""Score from which a wrong relation is a row."""
_FILL = (255 * torch.tensor(IMAGENET_MEAN))[:, None, None]
_SPREAD = (255 * torch.tensor(IMAGENET_STD))[:, None, None]


class Student(nn.Module):
    """Tells true relations from what boxes leave possible.

    Args:
        pixels: their convolutions and first linear layer learn.
        facts: numbers that describe a row without its pixels.
    """

    def __init__(self, pixels: PairPixels, facts: int) -> None:
        super().__init__()
        self.pixels = pixels
        self.convolutions = [one for one in pixels.convolutions if isinstance(one, nn.Conv2d)]
        self.norms = nn.ModuleList(nn.BatchNorm2d(one.out_channels) for one in self.convolutions)
        width = pixels.seen.out_features
        self.facts = nn.Sequential(nn.Linear(facts, width), nn.ReLU(), nn.Linear(width, width))
        self.head = nn.Sequential(
            nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def forward(self, crops: Tensor, facts: Tensor) -> Tensor:
        """N logits.

        Args:
            crops: N x 5 x POINTS x POINTS.
            facts: N x F, normalised.
        """
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            crops = norm(convolution(crops)).relu()
        found = self.pixels.convolutions[-1](crops).flatten(1)
        seen = self.pixels.seen(F.dropout(found, 0.2, self.training))
        known = self.facts(facts)
        logits: Tensor = self.head(seen * known.sigmoid() + known)[:, 0]
        return logits

    @torch.no_grad()
    def fold(self) -> None:
        """Put the norms into the convolutions."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            convolution.weight.mul_(scale[:, None, None, None])
            convolution.bias.sub_(norm.running_mean).mul_(scale).add_(norm.bias)


def choose_rows(tables: Tables, seed: int) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Candidates, their facts (N x F, normalised) and whether each is right."""
    said = perfect(tables)
    said = said.filter(pc.invert(pc.is_in(said["predicate"], pa.array(sorted(SPATIAL)))))
    doubt = learn_boxes(first_images(tables, _FITTED), seed)(tables, said)["score"].to_numpy()
    right = in_gold(said, tables["gold"])
    kept = pa.array(right | (doubt > _DOUBTFUL))
    said, right = said.filter(kept), right[kept.to_numpy(zero_copy_only=False)]
    facts = describe_candidates(said, tables).astype(np.float32)
    return said, (facts - facts.mean(0)) / (facts.std(0) + 1e-3), right


def crop(said: pa.Table, tables: Tables, images: Path) -> Tensor:
    """Crops of the rows, N x 5 x POINTS x POINTS bytes."""
    boxes = {
        (row["image_id"], row["box_id"]): (row["x"], row["y"], row["x"] + row["w"], row["y"] + row["h"])
        for row in tables["boxes"].to_pylist()
    }
    crops = torch.empty(said.num_rows, 5, POINTS, POINTS, dtype=torch.uint8)
    ids, subjects, objects = (said[name].to_pylist() for name in ("image_id", "subject_box", "object_box"))
    rows_of: dict[str, list[int]] = {}
    for row, image in enumerate(ids):
        rows_of.setdefault(image, []).append(row)
    for image, rows in rows_of.items():
        with Image.open(images / f"{int(image):0>6}.jpg") as file:
            pixels = torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1).float()
        sides = torch.tensor([pixels.shape[2], pixels.shape[1]] * 2)
        first, second = (
            torch.tensor([[boxes[image, ends[row]] for row in rows]]) / sides for ends in (subjects, objects)
        )
        shown = Shown((pixels - _FILL)[None], torch.ones(1, 2))
        found = crop_pairs(first, second, shown, POINTS)[0]
        found[:, :3] += _FILL
        found[:, 3:] *= 255
        crops[rows] = found.round().clamp(0, 255).byte()
    return crops


def normalise(crops: Tensor) -> Tensor:
    """As the tagger sees them."""
    found = crops.float()
    found[:, :3] = (found[:, :3] - _FILL) / _SPREAD
    found[:, 3:] /= 255
    return found


def teach(student: Student, crops: Tensor, facts: Tensor, right: Tensor, epochs: int) -> Iterator[float]:
    """Train; the mean loss after each epoch."""
    steps = len(right) // BATCH
    optimiser = torch.optim.AdamW(student.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, epochs * steps + 1)
    for _ in range(epochs):
        student.train()
        total = 0.0
        for rows in torch.randperm(len(right))[: steps * BATCH].view(steps, BATCH):
            logits = student(normalise(crops[rows]), facts[rows])
            loss = F.binary_cross_entropy_with_logits(logits, right[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        yield total / steps


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--tagger", required=True, metavar="FOLDER")
    options.add_argument("--gold", required=True, type=Path, metavar="SPLIT")
    options.add_argument("--out", required=True, type=Path, metavar="FOLDER")
    options.add_argument("--images", type=int, default=8000)
    options.add_argument("--epochs", type=int, default=7)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--json", action="store_true")
    args = options.parse_args()
    torch.manual_seed(args.seed)
    tables = first_images(read_split(args.gold), args.images)
    said, facts, right = choose_rows(tables, args.seed)
    if len(right) < BATCH:
        options.error(
            f"--gold {args.gold}: {len(right)} rows of {args.images} images, and a batch has {BATCH}"
        )
    crops = crop(said, tables, args.gold / "images")
    loaded = load_model(args.tagger)
    blueprint = replace(loaded.blueprint, sizes=replace(loaded.blueprint.sizes, pair_pixels=POINTS))
    pixels = PairPixels(loaded.blueprint.sizes.dim, POINTS)
    student = Student(pixels, facts.shape[1])
    truth = torch.from_numpy(right.astype(np.float32))
    losses = []
    for loss in teach(student, crops, torch.from_numpy(facts), truth, args.epochs):
        losses.append(loss)
        print(f"epoch {len(losses)} of {args.epochs}: loss {loss:.3f}", file=sys.stderr, flush=True)
    student.fold()
    tokenizer = load_tokenizer(args.tagger, loaded.blueprint)
    model = blueprint.build(tokenizer)
    weights = {name: value for name, value in loaded.model.state_dict().items() if "pair_pixels" not in name}
    weights |= {f"pair_pixels.{name}": value for name, value in pixels.state_dict().items()}
    model.load_state_dict(weights)
    args.out.mkdir(parents=True, exist_ok=True)
    save_model(args.out, model, blueprint, tokenizer)
    case = f"loss of the last epoch, {len(right):,} rows, {right.mean():.3f} of them right"
    row = {"case": case, "peer": "the first epoch", "ours": losses[-1], "theirs": losses[0]}
    emit([row | {"ratio": losses[-1] / losses[0]}], args.json, "what crops show")


if __name__ == "__main__":
    main()
