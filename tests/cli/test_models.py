"""`relforge models`: the zoo as a table and as JSON, by figures that are counted and not typed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from relforge.models.catalogue import read_catalogue
from relforge.models.figures import build_published, count_flops, count_parameters
from relforge.models.zoo import MODELS


def test_the_table_names_sizes_numbers_and_weights(relforge) -> None:
    text = relforge("models").out
    row = next(line for line in text.splitlines() if line.startswith("qpic "))
    for part in ("QPIC", "pairs", "41.7", "HICO-DET 29.07, V-COCO 58.8", "its own .pth"):
        assert part in row


def test_json_holds_every_published_number_of_one_model(relforge) -> None:
    found = relforge("models", "cdn", "--json").json
    assert list(found) == ["cdn"]
    numbers = found["cdn"]["published"]
    expected = {"backbone": "ResNet-50", "full": 31.44, "rare": 27.39, "non_rare": 32.64}
    assert {"benchmark": "HICO-DET"} | expected in numbers
    assert found["cdn"]["parameters"] == 41_675_918


def test_an_unknown_model_is_one_sentence(relforge) -> None:
    result = relforge("models", "cnd")
    assert result.code == 64
    assert "models: 'cnd' is not listed; choose one of" in result.err


def test_the_list_imports_no_torch() -> None:
    code = (
        "import sys; from relforge.cli.models import command; command(); "
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "False"


def test_every_model_of_the_zoo_is_listed(relforge) -> None:
    assert set(relforge("models", "--json").json) == set(MODELS)


@pytest.mark.parametrize("kind", list(read_catalogue()))
def test_parameters_are_those_of_the_published_model(kind: str) -> None:
    assert count_parameters(build_published(kind)) == read_catalogue()[kind]["parameters"]


@pytest.mark.parametrize("kind", ["qpic", "parsed_v1", "deformable_detr", "defr"])
def test_operations_are_counted_again(kind: str) -> None:
    counted = count_flops(kind, build_published(kind)) / 1e9
    assert counted == pytest.approx(read_catalogue()[kind]["gflops"], rel=1e-3)
