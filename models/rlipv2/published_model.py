"""A tagger from what the user names: a model folder, a hub repository of one, or a published `.pth`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from transformers import AutoTokenizer, RobertaConfig

from relforge.models.checkpoint import Blueprint, Loaded, file_sha256, load_model
from relforge.models.rlipv2.published import load_published, read_published
from relforge.models.rlipv2.sizes import Sizes

_EMBED_DIMS = {96: "swin_tiny", 192: "swin_large"}
_PATCH = "backbone.0.body.patch_embed.proj.weight"


def load_tagger(model: str, *, tokenizer: str = "roberta-base", gate: str | None = None) -> Loaded:
    """Load a tagger.

    Args:
        model: folder written by `save_model`, hub name of such a folder, or a published `.pth` file.
        tokenizer: folder or hub name, for a `.pth`, which holds none.
        gate: for a `.pth`, whose keys do not tell scalar from vector gates: by default `vector` on ResNet
            and `scalar` on Swin, as released.

    Raises:
        ValueError: there is no such model, or it is damaged.
    """
    path = Path(model).expanduser()
    if path.suffix in (".pth", ".pt"):
        if not path.is_file():
            raise ValueError(f"there is no checkpoint file {path}")
        state = read_published(path)
        blueprint = blueprint_of(state, gate)
        built = blueprint.build(AutoTokenizer.from_pretrained(tokenizer))
        load_published(built, state, kind=blueprint.kind)
        return Loaded(built.eval(), blueprint, file_sha256(path))
    return load_model(path if path.exists() else _from_hub(model))


def blueprint_of(state: Mapping[str, Tensor], gate: str | None = None) -> Blueprint:
    """What a published checkpoint was built from, read from its keys and shapes.

    Raises:
        ValueError: it is not of the family, or on a backbone that was never published.
    """
    linear = next((key for key in state if key.endswith("encoder.layers.0.linear1.weight")), None)
    table = "transformer.text_encoder.embeddings.word_embeddings.weight"
    if linear is None or table not in state:
        raise ValueError("the checkpoint holds no RLIPv2 encoder (transformer.*encoder.layers, text_encoder)")
    if "transformer.coord_proj.weight" in state:
        kind = "rtagger"
    else:
        kind = "parseda" if "refpoint_embed.weight" in state else "parsed"
    if _PATCH not in state:
        backbone = "resnet50"
    else:
        width = state[_PATCH].shape[0]
        if width not in _EMBED_DIMS:
            raise ValueError(f"a Swin backbone of width {width} is neither Swin-T (96) nor Swin-L (192)")
        backbone = _EMBED_DIMS[width]
    sizes = Sizes(
        feedforward=state[linear].shape[0],
        branch_fusion="transformer.verb_tgt_generator.fc_1.0.weight" in state,
        gate=gate or ("vector" if backbone == "resnet50" else "scalar"),
    )
    roberta = RobertaConfig(
        vocab_size=state[table].shape[0],
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    return Blueprint(kind, sizes, backbone, roberta.to_diff_dict())


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name))
    except Exception as error:  # the hub client raises many kinds
        raise ValueError(
            f"model {name!r} is neither a folder nor a hub name that can be read: {error}"
        ) from None
