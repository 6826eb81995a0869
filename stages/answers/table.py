"""The tables `caption_answers`, `propose_answers`, `tag_answers`: all that a model said, a row a request."""

from __future__ import annotations

import pyarrow as pa

from relforge.stages.tables import TableSpec

ANSWERS = TableSpec(
    pa.schema(
        [
            pa.field("image_id", pa.string(), nullable=False),
            pa.field("request_id", pa.string(), nullable=False),  # within the image and the stage
            pa.field("role", pa.string(), nullable=False),  # caption, caption_pair, propose or judge
            # what is asked about; null where that is the whole image
            pa.field("subject_box", pa.int32()),
            pa.field("object_box", pa.int32()),
            pa.field("predicate", pa.string()),
            pa.field("sample", pa.int32(), nullable=False),
            pa.field("model", pa.string(), nullable=False),  # as asked for
            pa.field("model_reported", pa.string(), nullable=False),  # as the server says; may be empty
            pa.field("prompt_hash", pa.string(), nullable=False),  # its text is in the notes of the shard
            pa.field("image_hash", pa.string(), nullable=False),  # sha256 of the image file
            pa.field("seed", pa.int64(), nullable=False),  # as sent
            pa.field("text", pa.string(), nullable=False),  # raw and whole
            pa.field("finish_reason", pa.string(), nullable=False),
            pa.field("logprob", pa.float32()),  # sum over the tokens of the text
            pa.field("p_yes", pa.float32()),  # of a judge
            pa.field("p_mass", pa.float32()),  # probability of yes and no together, which p_yes is a share of
            pa.field("input_tokens", pa.int32()),  # null: not counted
            pa.field("output_tokens", pa.int32()),
            pa.field("verdict", pa.string(), nullable=False),  # ok, or why the answer is not used
        ]
    ),
    sort_keys=("image_id", "request_id"),
)


def answers_name(stage: str) -> str:
    """Name of a stage's table of answers: no two stages write one table."""
    return f"{stage}_answers"
