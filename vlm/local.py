"""A model in this process: any image-text-to-text model of transformers that has a chat template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relforge.models.device import check_device_dtype, resolve_device_dtype
from relforge.models.files import resolve_model
from relforge.vlm.chat import encode_message, has_template, move
from relforge.vlm.client import Answer, Request, Usage, VlmError
from relforge.vlm.image_features import remember_image
from relforge.vlm.seed import derive_seed

if TYPE_CHECKING:
    from torch import Tensor


class LocalClient:
    """Answers one request a forward pass, so that no answer depends on the others.

    Args:
        model: folder or hub name.
        seed: of the run; with the request it seeds torch's generators before each answer.
        words: single tokens that the model has to have, see `Request.words`.
        revision: of a hub name.
        device: `auto`, `cpu`, `cuda`, ...
        dtype: `auto` (bfloat16 on a GPU, float32 elsewhere), `float32` or `bfloat16`.
    """

    def __init__(
        self,
        model: str,
        seed: int = 0,
        words: Sequence[str] = (),
        revision: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
    ) -> None:
        check_device_dtype(device, dtype)
        self.name, self.seed, self.words, self.revision = model, seed, tuple(words), revision
        self.device, self.dtype = device, dtype
        self.model: Any = None
        self.processor: Any = None
        self.tokens: dict[str, int] = {}

    def files(self) -> Sequence[str]:
        return resolve_model(self.name, self.revision).files

    def setup(self) -> None:
        """Load the model.

        Raises:
            FileNotFoundError: no such model.
            VlmError: it has no chat template, or a word is not a single token of it.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        device, dtype = resolve_device_dtype(self.device, self.dtype)
        path = resolve_model(self.name, self.revision).path
        self.processor = AutoProcessor.from_pretrained(path, trust_remote_code=False)
        if not has_template(self.processor):
            raise VlmError(
                f"model {self.name}: it has no chat template, so it cannot be asked; use a chat model, or "
                "`score: likelihood` where it writes captions"
            )
        self.tokens = {word: self._token(word) for word in self.words}
        model = AutoModelForImageTextToText.from_pretrained(path, dtype=dtype, trust_remote_code=False)
        self.model = model.eval().to(device)
        remember_image(self.model)

    def notes(self) -> Mapping[str, Any]:
        """No schema is enforced in process; the prompt alone asks for JSON."""
        return {"schema": "prompt"}

    def ask(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer]]:
        for request in requests:
            yield request, self._answer(request)

    def _answer(self, request: Request) -> Answer:
        import torch

        from relforge.models.gpu import exact_arithmetic

        images = [view.pixels for view in request.views]
        encoded = encode_message(self.processor, images, request.text, request.system)
        inputs = move(encoded, self.model.device, self.model.dtype)
        given = inputs["input_ids"].shape[1]
        room = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if room and given + request.sampling.max_tokens > room:
            detail = (
                f"{given} tokens and an answer of {request.sampling.max_tokens} exceed the model's {room}"
            )
            return Answer("", "length", verdict="too_long", detail=f"{detail}; use smaller views")
        torch.manual_seed(derive_seed(self.seed, request))
        with torch.inference_mode(), exact_arithmetic(self.model.dtype):
            made = self.model.generate(**inputs, generation_config=self._settings(request))
        tokens = made.sequences[0, given:]
        logits = torch.stack([step[0].float() for step in made.logits])  # T x vocabulary
        logprobs = logits.log_softmax(1)
        ends = self._end_tokens()
        return Answer(
            self.processor.tokenizer.decode(tokens, skip_special_tokens=True),
            "stop" if int(tokens[-1]) in ends else "length",
            logprob=float(logprobs.gather(1, tokens[:, None]).sum()),
            words=self._words(logprobs[0], request.words),
            usage=Usage(given, len(tokens)),
            model_reported=self.name,
        )

    def _settings(self, request: Request) -> Any:
        from transformers import GenerationConfig

        sampling, own = request.sampling, self.model.generation_config
        sampled: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            sampled = {"do_sample": True, "top_k": 0, "top_p": sampling.top_p}
            sampled["temperature"] = sampling.temperature
        # of the model's own settings the end counts and nothing that would change an answer
        return GenerationConfig(
            **sampled,
            max_new_tokens=sampling.max_tokens,
            bos_token_id=own.bos_token_id,
            eos_token_id=own.eos_token_id,
            pad_token_id=own.pad_token_id if own.pad_token_id is not None else min(self._end_tokens() or {0}),
            output_logits=True,
            return_dict_in_generate=True,
        )

    def _end_tokens(self) -> set[int]:
        ends = self.model.generation_config.eos_token_id
        return set(ends) if isinstance(ends, list) else {ends} - {None}

    def _words(self, logprobs: Tensor, words: Sequence[str]) -> dict[str, float]:
        for word in words:
            if word not in self.tokens:
                self.tokens[word] = self._token(word)
        return {word: float(logprobs[self.tokens[word]].exp()) for word in words}

    def _token(self, word: str) -> int:
        """The word's only token.

        Raises:
            VlmError: it has several, so the first one's probability is not the word's.
        """
        found = self.processor.tokenizer.encode(word, add_special_tokens=False)
        if len(found) != 1 or found[0] == self.processor.tokenizer.unk_token_id:
            raise VlmError(
                f"model {self.name}: {word!r} is not a single token of it, so it has no probability of its "
                "own; use `score: sample`"
            )
        return int(found[0])
