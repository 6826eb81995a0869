"""Choosing a spaCy pipeline by name or folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy

from relforge.stages.parse.pipelines import load_pipeline, pipeline_files


def test_an_absent_pipeline_says_how_to_get_it_and_what_is_embedded() -> None:
    with pytest.raises(ValueError, match=r"python -m spacy download en_core_web_sm.*pipeline='embedded'"):
        pipeline_files("en_core_web_nowhere")


def test_a_pipeline_folder_loads_without_the_components_a_parse_does_not_need(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("parser").add_label("nsubj")
    nlp.add_pipe("entity_ruler", name="names")
    nlp.initialize()
    nlp.to_disk(tmp_path)

    assert load_pipeline(str(tmp_path)).pipe_names == ["parser"]
    assert str(tmp_path / "config.cfg") in pipeline_files(str(tmp_path))


def test_a_pipeline_without_a_dependency_parser_is_refused(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path)

    with pytest.raises(ValueError, match=r"no dependency parser \(it has sentencizer\)"):
        load_pipeline(str(tmp_path))
