"""What `benchmarks/scene_graphs.py` gives to published code is the data that ours gets."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relforge.evaluation.overlap import pixels
from relforge.evaluation.scene_graph_quality import Rules

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

STAND_IN = '''
"""The four classes of Scene-Graph-Benchmark's sgg_eval.py that the benchmark calls, relation by relation."""

import numpy as np

CUTS = (20, 50, 100)


def overlap(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0]) + 1
    h = min(a[3], b[3]) - max(a[1], b[1]) + 1
    both = max(w, 0) * max(h, 0)
    areas = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    return both / (sum(areas) - both)


def matches(local, predicted):
    """Of every predicted (subject, object, predicate), the annotated relations that it finds."""
    rows = []
    for s, o, p in predicted:
        fits = []
        for k, (gs, go, gp) in enumerate(local["gt_rels"]):
            same = local["pred_classes"][s] == local["gt_classes"][gs]
            same = same and local["pred_classes"][o] == local["gt_classes"][go] and p == gp
            if same and all(
                overlap(local["pred_boxes"][i], local["gt_boxes"][j]) >= 0.5 for i, j in ((s, gs), (o, go))
            ):
                fits.append(k)
        rows.append(fits)
    return rows


class Recall:
    def __init__(self, results):
        self.results = results

    def register_container(self, mode):
        self.results[mode + self.key] = {cut: [] for cut in CUTS}

    def calculate_recall(self, shared, local, mode):
        local[self.found] = matches(local, self.rank(local))
        for cut in CUTS:
            found = {k for row in local[self.found][:cut] for k in row}
            self.results[mode + self.key][cut].append(len(found) / len(local["gt_rels"]))
        return local


class SGRecall(Recall):
    key, found = "_recall", "pred_to_gt"

    def rank(self, local):
        return np.column_stack([local["pred_rel_inds"], 1 + local["rel_scores"][:, 1:].argmax(1)])


class SGNoGraphConstraintRecall(Recall):
    key, found = "_recall_nogc", "nogc_pred_to_gt"

    def rank(self, local):
        pairs = local["pred_rel_inds"]
        scores = local["obj_scores"][pairs].prod(1)[:, None] * local["rel_scores"][:, 1:]
        order = np.argsort(-scores, axis=None, kind="stable")[:100]
        row, column = np.unravel_index(order, scores.shape)
        return np.column_stack([pairs[row], column + 1])


class SGMeanRecall:
    key, found = "_mean_recall", "pred_to_gt"

    def __init__(self, results, number, names, print_detail=False):
        assert names[0] == "__background__" and len(names) == number
        self.results, self.number = results, number

    def register_container(self, mode):
        self.results[mode + self.key] = dict.fromkeys(CUTS, 0.0)
        self.shares = {cut: [[] for _ in range(self.number)] for cut in CUTS}

    def collect_mean_recall_items(self, shared, local, mode):
        wanted = local["gt_rels"][:, 2]
        for cut in CUTS:
            found = {k for row in local[self.found][:cut] for k in row}
            for predicate in set(wanted.tolist()):
                own = [k for k, one in enumerate(wanted) if one == predicate]
                self.shares[cut][predicate].append(len(found & set(own)) / len(own))

    def calculate_mean_recall(self, mode):
        for cut, shares in self.shares.items():
            means = [np.mean(one) if one else 0.0 for one in shares[1:]]
            self.results[mode + self.key][cut] = float(np.mean(means))


class SGNGMeanRecall(SGMeanRecall):
    key, found = "_ng_mean_recall", "nogc_pred_to_gt"
'''


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("scene_graphs")


def test_a_checkout_of_the_users_gets_the_drawn_data_and_has_our_numbers(
    benchmark: Any, tmp_path: Path
) -> None:
    path = tmp_path / benchmark.SGB
    path.parent.mkdir(parents=True)
    path.write_text(STAND_IN)
    gold, found = benchmark.draw(12, 60, np.random.default_rng(0))

    theirs = benchmark.of_sgb(benchmark.load(path), found, gold)

    ours = benchmark.everything(found, gold, Rules(pixels, own_predicates=False)).measures
    assert theirs == pytest.approx({name: ours[name].value for name in theirs}, abs=1e-12)
    assert 0 < theirs["R@100"] < 1


def test_sgbench_has_our_numbers(benchmark: Any) -> None:
    module = pytest.importorskip("sgbench", reason="not installed: pip install --no-deps sgbench")
    gold, found = benchmark.draw(200, 60, np.random.default_rng(0))

    theirs = benchmark.of_sgbench(module, found, gold)

    ours = benchmark.everything(found, gold).measures
    assert theirs == f"R@100 {ours['R@100'].value:.6f}, mR@100 {ours['mR@100'].value:.6f}"
