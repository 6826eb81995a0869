"""Operations that keep less for the backward pass: the bits of PyTorch's own, in less memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relforge.models.blocks.encoder import EncoderLayer
from relforge.models.blocks.language import LanguageLayer
from relforge.models.blocks.memory_saving import Dropout, dot_product_attention, dropout, recompute

P = 0.3
LINEAR = nn.Linear(24, 12)
PAIRS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "dropout": (lambda x: F.dropout(x, P), lambda x: dropout(x, P)),
    "relu": (lambda x: F.dropout(x.relu(), P), Dropout(P).after_relu),
    "gelu": (lambda x: LINEAR(F.gelu(x)), lambda x: recompute(lambda y: LINEAR(F.gelu(y)), x)),
    "attention": (
        lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=P),
        lambda x: dot_product_attention(x, x, x, None, P),
    ),
}


def kept_bytes(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[int, Tensor]:
    """What autograd keeps beside the input and the result, and the result."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function(x)
    known = {one.untyped_storage().data_ptr() for one in (x, result, *LINEAR.parameters())}
    return sum(size for address, size in kept.items() if address not in known), result


@pytest.mark.parametrize("name", PAIRS)
def test_values_gradients_and_random_numbers_are_pytorchs(name: str) -> None:
    x = torch.randn(2, 40, 24, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = []
    for function in PAIRS[name]:
        torch.manual_seed(1)
        result = function(x)
        parameters = [x, *LINEAR.parameters()] if name == "gelu" else [x]
        gradients = torch.autograd.grad(result.square().sum(), parameters)
        found.append([result, *gradients, torch.rand(3)])
    for one, other in zip(*found, strict=True):
        assert one.equal(other)


@pytest.mark.parametrize(
    ("name", "share"), [("dropout", 0.25), ("relu", 0.0), ("gelu", 0.0), ("attention", 0.0)]
)
def test_less_is_kept_for_the_backward_pass(name: str, share: float) -> None:
    x = torch.randn(2, 40, 24, requires_grad=True)
    (plain, _), (lean, _) = (kept_bytes(function, x) for function in PAIRS[name])
    assert lean == share * x.nbytes
    assert plain >= x.nbytes


def test_layers_of_encoders_keep_less_than_with_pytorchs_dropout() -> None:
    """What a layer keeps in training, in multiples of its input."""
    language = LanguageLayer(32, 4, 128)
    labels = torch.randn(2, 30, 32, requires_grad=True)
    assert kept_bytes(language, labels)[0] / labels.nbytes < 17  # 35 with PyTorch's own
    assert isinstance(EncoderLayer(32, 4, 64, 0.1, 1).dropout, Dropout)


def test_nothing_changes_without_gradients_or_dropout() -> None:
    x = torch.randn(4, 24)
    layer = Dropout(P).eval()
    assert layer(x) is x or layer(x).equal(x)
    assert layer.after_relu(x).equal(x.relu())
    with torch.no_grad():
        torch.manual_seed(0)
        drawn = Dropout(P).train()(x)
        torch.manual_seed(0)
        assert drawn.equal(F.dropout(x, P))
