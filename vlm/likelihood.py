"""How likely a captioner writes a given sentence of an image: a judge that needs no chat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.files import resolve_model
from relforge.vlm.client import Answer, Request, Usage, View, VlmError


class LikelihoodClient:
    """Answers a sentence with its own log-probability, one a forward pass.

    Args:
        model: folder or hub name of a BLIP captioner.
        revision: of a hub name.
        device: `auto`, `cpu`, `cuda`, ...
    """

    def __init__(self, model: str, revision: str | None = None, device: str = "auto") -> None:
        check_device_dtype(device)
        self.name, self.revision, self.device = model, revision, device
        self.model: Any = None
        self.processor: Any = None
        self._last: tuple[tuple[str, str], Any] | None = None

    def files(self) -> Sequence[str]:
        return resolve_model(self.name, self.revision).files

    def setup(self) -> None:
        """Load the model.

        Raises:
            FileNotFoundError: no such model.
            VlmError: it is no BLIP captioner.
        """
        from transformers import AutoConfig, AutoProcessor, BlipForConditionalGeneration

        device, _ = resolve_device_dtype(self.device)
        path = resolve_model(self.name, self.revision).path
        kind = AutoConfig.from_pretrained(path, trust_remote_code=False).model_type
        if kind != "blip":
            raise VlmError(
                f"model {self.name}: `score: likelihood` needs a BLIP captioner, and this is a {kind} model; "
                "use `score: logprobs` with it"
            )
        self.processor = AutoProcessor.from_pretrained(path, trust_remote_code=False)
        self.model = BlipForConditionalGeneration.from_pretrained(path).eval().to(device)

    def notes(self) -> Mapping[str, Any]:
        return {}

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        for request in requests:
            yield request, self._answer(request)

    def _answer(self, request: Request) -> Answer:
        import torch

        from relforge.models.gpu import exact_arithmetic

        tokenizer = self.processor.tokenizer
        words = tokenizer.encode(request.text, add_special_tokens=False)
        text = self.model.config.text_config
        tokens = [text.bos_token_id, *words, text.sep_token_id]
        if len(tokens) > text.max_position_embeddings:
            detail = f"{len(tokens)} tokens exceed the model's {text.max_position_embeddings}"
            return Answer("", "length", verdict="too_long", detail=detail)
        with torch.inference_mode(), exact_arithmetic(torch.float32):
            features = self._features(request.views[0])  # 1 x N x D
            ids = torch.tensor([tokens], device=features.device)
            logits = self.model.text_decoder(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                encoder_hidden_states=features,
                encoder_attention_mask=torch.ones(features.shape[:2], dtype=torch.long, device=ids.device),
            ).logits  # 1 x T x vocabulary
            chosen = logits[0, :-1].float().log_softmax(1).gather(1, ids[0, 1:, None])
        logprob = float(chosen.sum())
        return Answer(request.text, logprob=logprob, usage=Usage(len(tokens), 0), model_reported=self.name)

    def _features(self, view: View) -> Any:
        """Those of the last view are kept: statements about one view follow one another."""
        key = (view.source_hash, repr(sorted(view.recipe.items())))
        if self._last is None or self._last[0] != key:
            pixels = self.processor.image_processor(view.pixels, return_tensors="pt")["pixel_values"]
            features = self.model.vision_model(pixel_values=pixels.to(self.model.device)).last_hidden_state
            self._last = key, features
        return self._last[1]
