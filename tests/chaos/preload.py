"""What takes long to import, for a process from which drivers are forked."""

from contextlib import suppress

import pandas  # noqa: F401
import s3fs  # noqa: F401
import torch
import transformers.models.bert.modeling_bert  # noqa: F401

import relforge.pipeline.run.execute
import relforge.stages.caption.blip
import relforge.stages.parse.pipelines
import relforge.stages.propose.vlm
import relforge.stages.tag.rtagger  # noqa: F401
import tests.chaos.drive  # noqa: F401

with suppress(ImportError):  # an extra
    import openai  # noqa: F401
torch.set_num_threads(1)
