"""A model is found by folder, file or hub name; its fingerprint covers every file that decides its output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from relforge.models.files import resolve_model
from tests.fixtures.hub_cache import hub_model

__all__ = ["hub_model"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    for name in ("config.json", "vocab.txt", "model.safetensors", "README.md"):
        (path / name).write_text(name)
    return path


def names(files: tuple[str, ...]) -> list[str]:
    return [Path(file).name for file in files]


def test_a_folder_counts_by_its_configs_weights_and_words(folder: Path) -> None:
    found = resolve_model(str(folder))
    assert found.path == folder
    assert names(found.files) == ["config.json", "model.safetensors", "vocab.txt"]


def test_a_weights_file_counts_with_the_config_beside_it(folder: Path) -> None:
    found = resolve_model(str(folder / "model.safetensors"))
    assert found.path == folder / "model.safetensors"
    assert names(found.files) == ["config.json", "model.safetensors"]


def test_a_hub_name_counts_by_the_files_in_the_cache(
    folder: Path, hub_model: Callable[[str, Path], Path]
) -> None:
    snapshot = hub_model("someone/model", folder)
    found = resolve_model("someone/model")
    assert found.path == snapshot
    assert found.files == tuple(str(snapshot / n) for n in ("config.json", "model.safetensors", "vocab.txt"))


def test_companions_count_too(folder: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("a\n")
    found = resolve_model(str(folder / "model.safetensors"), companions=[str(words)])
    assert found.path == folder / "model.safetensors"
    assert names(found.files) == ["config.json", "model.safetensors", "words.txt"]


@pytest.mark.parametrize(
    ("model", "words"),
    [("/nowhere/model", "no such file"), ("absent.pth", "no such file"), ("Nobody/absent", "hf download")],
)
def test_an_absent_model_or_companion_says_what_to_do(model: str, words: str, folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=words):
        resolve_model(model)
    with pytest.raises(FileNotFoundError, match=words):
        resolve_model(str(folder), companions=[model])


def test_a_folder_without_model_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no model files"):
        resolve_model(str(tmp_path))
