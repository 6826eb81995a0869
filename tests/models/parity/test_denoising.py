"""Query preparation with the published draws (goldens g2)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from relforge.models.blocks.boxes import inverse_sigmoid
from relforge.models.blocks.pair_queries import PairQueries, pad_pairs
from relforge.models.rlipv2.denoising import Noise, denoising_pairs
from relforge.models.training.targets import Targets

TRAINING = ["train_padded", "train_full", "train_full_defaults", "train_no_label_noise", "train_single"]


class Case:
    """The arrays of one case, and the module that turns pairs into queries."""

    def __init__(self, golden: Any, name: str) -> None:
        g = golden("g2_prepare_query")
        stem = f"{name}/"
        self.arrays = {key.removeprefix(stem): g[key] for key in g.arrays.files if key.startswith(stem)}
        stacked, _, self.seed = self.arrays["config"].tolist()
        self.width = stacked // 2
        label, box = self.arrays["noise"].tolist()
        self.noise = Noise(box=box, label=label, published_flips=True, published_mask=True)
        self.labels = self.arrays["label_embeds"]
        self.targets = [
            Targets(
                subject_boxes=self.arrays[f"target{i}_sub_boxes"],
                object_boxes=self.arrays[f"target{i}_obj_boxes"],
                subject_labels=self.arrays[f"target{i}_sub_labels"],
                object_labels=self.arrays[f"target{i}_obj_labels"],
                relations=torch.empty(0),
            )
            for i in range(len(self.labels))
        ]
        self.queries = PairQueries(self.labels.shape[-1], self.width)
        self.queries.box.load_state_dict({"weight": self.arrays["lin_w"], "bias": self.arrays["lin_b"]})


@pytest.mark.parametrize("name", TRAINING)
def test_training_queries_noise_and_masks(golden: Any, name: str) -> None:
    case = Case(golden, name)
    expected = case.arrays

    given = denoising_pairs(
        case.targets,
        case.noise,
        width=case.width,
        object_labels=case.labels.shape[1],
        heads=8,
        generator=torch.Generator().manual_seed(case.seed),
    )
    queries = case.queries(given, case.labels)

    boxes = inverse_sigmoid(given.boxes)
    sizes = [len(t) for t in case.targets]
    first = torch.cat([boxes[i, :n] for i, n in enumerate(sizes)])
    second = torch.cat([boxes[i, case.width : case.width + n] for i, n in enumerate(sizes)])
    torch.testing.assert_close(first, expected["noised_sub_box_inverse_sigmoid"], atol=1e-5, rtol=0)
    torch.testing.assert_close(second, expected["noised_obj_box_inverse_sigmoid"], atol=1e-5, rtol=0)
    stacked = torch.cat([queries.positions, queries.content], -1)
    torch.testing.assert_close(stacked, expected["query"], atol=1e-5, rtol=0)
    assert queries.key_padding_mask.equal(expected["key_padding_mask"])
    assert given.attention_mask is not None
    assert given.attention_mask.equal(expected["attn_mask"])


def test_evaluation_queries(golden: Any) -> None:
    case = Case(golden, "eval_padded")
    given = pad_pairs(
        [torch.stack([t.subject_boxes, t.object_boxes], 1) for t in case.targets],
        [torch.stack([t.subject_labels, t.object_labels], 1) for t in case.targets],
        case.width,
    )
    queries = case.queries(given, case.labels)
    stacked = torch.cat([queries.positions, queries.content], -1)
    torch.testing.assert_close(stacked, case.arrays["query"], atol=1e-5, rtol=0)
    assert queries.key_padding_mask.equal(case.arrays["key_padding_mask"])
    assert given.attention_mask is None
