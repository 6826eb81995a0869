"""Whoever reads images does it by relforge.images: the list of all of them."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.test_architecture import ARROWS

ROOT = Path(__file__).resolve().parents[2]

READERS = {
    "cli/label.py": "relforge label with a detector",
    "data/audit/image_hash.py": "relforge audit",
    "data/caption_batches.py": "training of captioners",
    "data/image_loading.py": "training of models of whole images",
    "data/transforms.py": "training and evaluation (`relforge eval`, the demo)",
    "evaluation/detect_pairs.py": "`relforge eval hico` with pairs of a detector's boxes",
    "reports/view/thumbnail.py": "relforge view",
    "stages/answers/shown.py": "tag: vlm, propose: vlm, caption: vlm_pairs",
    "stages/caption/stage.py": "the caption stage",
    "stages/caption/vlm.py": "the caption stage with a vision-language model",
    "stages/export/hf.py": "relforge export --to hf",
    "stages/image_support/stage.py": "the stage image_support",
    "stages/ingest/image_files.py": "ingest with require_images or embed_images",
    "stages/relabel/stage.py": "the stage relabel",
    "stages/tag/stage.py": "the tag stage",
}
"""All of them read bytes by `read` and pixels by one of `DECODERS`."""

DECODERS = {"decode", "decode_as_annotated", "decode_oriented"}
OTHER_WAYS = {
    ("Image", "open"),
    ("cv2", "imread"),
    ("imageio", "imread"),
    ("plt", "imread"),
    ("torchvision", "io"),
}
OTHER_MODULES = {"cv2", "imageio", "skimage", "simplejpeg", "turbojpeg", "pyvips"}


def files() -> list[tuple[str, ast.Module]]:
    found = (path for room in ARROWS for path in (ROOT / room).rglob("*.py"))
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))) for path in found]


def imported(tree: ast.Module) -> set[str]:
    """Names from relforge.images."""
    return {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relforge.images")
        for name in node.names
    }


def test_every_reader_of_images_is_on_the_list_and_reads_and_decodes_by_the_one_rule() -> None:
    found = {
        path: imported(tree)
        for path, tree in files()
        if imported(tree) & (DECODERS | {"read"}) and not path.startswith("images/")
    }
    assert found.keys() == READERS.keys()
    copying = {"stages/export/hf.py"}
    assert all("read" in names for names in found.values())
    assert {path for path, names in found.items() if not names & DECODERS} == copying


def test_nothing_else_opens_image_files() -> None:
    others = {path for path, tree in files() if any(map(opens_images, ast.walk(tree)))}
    assert others == {"images/decode.py"}


def opens_images(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return (node.value.id, node.attr) in OTHER_WAYS
    names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
    return any(name.split(".")[0] in OTHER_MODULES for name in names)
