"""LAVIS's own BLIP captioner around our weights. Runs in the LAVIS environment only (`make lavis-env`)."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import torch
from PIL import ImageFile

from relforge.models.blip.checkpoint import Checkpoint, load_weights
from relforge.models.blip.files import PUBLISHED_TOKENIZER
from relforge.models.blip.names import rename_to_original
from relforge.models.files import resolve_model

_LIBRARIES: list[Any] = []  # kept: a library takes its operators with it


def import_lavis() -> Any:
    """The `lavis` package, although its torchvision was built for another torch.

    A torchvision wheel for GPUs refuses to import beside a CPU torch because its compiled operators `nms`
    and `qnms` are missing. LAVIS never calls them, so declaring their signatures is enough.

    Raises:
        ImportError: LAVIS is not in this environment, with the way to get one that has it.
    """
    try:
        import torchvision  # noqa: F401
    except ImportError as error:
        raise ImportError(_describe_install(error)) from error
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARIES.append(library)
    try:
        import lavis.models
    except ImportError as error:
        raise ImportError(_describe_install(error)) from error
    # importing LAVIS makes Pillow fill up truncated files with grey; here they are refused
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    return lavis


def build(model: str, tokenizer: str | None, prompt: str, image_size: int | None) -> tuple[Any, Checkpoint]:
    """LAVIS's `BlipCaption` holding the weights of a transformers folder or an original `.pth`.

    Args:
        model, tokenizer, image_size: as in `blip.checkpoint.load`; the tokenizer must be a word list
            (`vocab.txt` or a folder that has one).
        prompt: words every caption starts with.

    Returns:
        the model in eval mode, and the checkpoint it was made from (without a tokenizer).
    """
    import_lavis()
    from lavis.models.blip_models.blip_caption import BlipCaption
    from lavis.models.med import XBertLMHeadDecoder
    from lavis.models.vit import VisionTransformerEncoder
    from transformers import BertConfig

    checkpoint = load_weights(model, image_size)
    vision, text = checkpoint.shape.vision, checkpoint.shape.text
    ffn = checkpoint.state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
    encoder = VisionTransformerEncoder(
        img_size=vision.image_size,
        patch_size=vision.patch_size,
        embed_dim=vision.width,
        depth=vision.depth,
        num_heads=vision.heads,
        mlp_ratio=ffn / vision.width,
        norm_layer=partial(torch.nn.LayerNorm, eps=vision.eps),
    )
    intermediate = checkpoint.state["text_decoder.bert.encoder.layer.0.intermediate.dense.weight"].shape[0]
    config = BertConfig(
        vocab_size=text.vocabulary,
        hidden_size=text.width,
        num_hidden_layers=text.depth,
        num_attention_heads=text.heads,
        intermediate_size=intermediate,
        max_position_embeddings=text.positions,
        layer_norm_eps=text.eps,
        hidden_act=text.act,
        pad_token_id=text.pad,
        add_cross_attention=True,
        is_decoder=True,
        add_type_embeddings=False,
        encoder_width=vision.width,
        fusion_layer=0,
    )
    name = tokenizer or (model if resolve_model(model).path.is_dir() else PUBLISHED_TOKENIZER)
    # LAVIS would load bert-base-uncased from the hub; the tokenizer comes from the model's folder instead
    init_tokenizer = classmethod(lambda cls: _load_tokenizer(name))
    captioner = type("Captioner", (BlipCaption,), {"init_tokenizer": init_tokenizer})
    built = captioner(encoder, XBertLMHeadDecoder(config=config), prompt=prompt)
    expected, found = built.state_dict(), rename_to_original(checkpoint.state)
    missing = [n for n in expected if n not in found and not n.endswith("position_ids")]
    surplus = [n for n in found if n not in expected]
    if missing or surplus:
        raise ValueError(f"{model} does not fit LAVIS's captioner: missing {missing}, surplus {surplus}")
    built.load_state_dict(found, strict=False)
    return built.eval(), checkpoint


def _load_tokenizer(name: str) -> Any:
    from transformers import BertTokenizer

    path = resolve_model(name).path
    vocabulary = path if path.is_file() else path / "vocab.txt"
    if not vocabulary.exists():
        raise FileNotFoundError(f"{path} holds no vocab.txt, which LAVIS's tokenizer needs; give tokenizer=")
    tokenizer = BertTokenizer(vocab_file=str(vocabulary), do_lower_case=True)
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    tokenizer.add_special_tokens({"additional_special_tokens": ["[ENC]"]})
    return tokenizer


def _describe_install(error: Exception) -> str:
    return (
        f"LAVIS cannot be imported here ({error}); run `make lavis-env` and give the caption stage "
        "`py_executable: .venv-lavis/bin/python`"
    )
