"""All that a model is built from but its weights; what `config.json` of a model folder holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerBase

from relforge.models.blocks.backbone import build_backbone
from relforge.models.blocks.text import TextEncoder
from relforge.models.size_limits import check_memory, check_numbers
from relforge.models.training.predicate_groups import PredicateGroups
from relforge.models.zoo import check_stored_family, family


@dataclass
class Blueprint:
    """How to build a model.

    Args:
        kind: a name of the zoo.
        sizes: widths, depths, switches; the dataclass that the zoo's entry names.
        backbone: a key of `BACKBONES`, or `{"family": "resnet" | "swin", ...}` with its builder's arguments;
            None where the model has none of these.
        text_encoder: the Hugging Face config of the text encoder, as a dictionary with `model_type`; None
            for closed labels.
        classes: object names the model was trained on, the default of its users; may be empty.
        relations: relation names the model was trained on; needed for closed labels.
        interactions: (relation, object) pairs that whole images are labelled with; empty where the model's
            targets are pairs.
        predicate_groups: whose queries learn which predicates; None where any query learns any.
    """

    kind: str
    sizes: Any
    backbone: str | Mapping[str, Any] | None
    text_encoder: Mapping[str, Any] | None
    classes: Sequence[str] = field(default_factory=tuple)
    relations: Sequence[str] = field(default_factory=tuple)
    interactions: Sequence[tuple[str, str]] = field(default_factory=tuple)
    predicate_groups: PredicateGroups | None = None

    def build(self, tokenizer: PreTrainedTokenizerBase | None) -> nn.Module:
        """A model with random weights.

        Args:
            tokenizer: of the text encoder; None where there is none.

        Raises:
            ValueError: an unknown model or backbone, or a text encoder without a tokenizer.
            ModelTooLarge: sizes that no machine could hold.
        """
        stated = {"sizes": asdict(self.sizes), "backbone": self.backbone, "text_encoder": self.text_encoder}
        check_numbers(stated)
        check_memory(lambda: self._build(tokenizer), f"this {self.kind} model")
        return self._build(tokenizer)

    def _build(self, tokenizer: PreTrainedTokenizerBase | None) -> nn.Module:
        entry = family(self.kind)
        encoder = None
        if self.text_encoder is not None:
            if tokenizer is None:
                raise ValueError(f"a {self.kind} model needs the tokenizer of its text encoder")
            encoder = wrap_text_encoder(
                AutoModel.from_config(AutoConfig.for_model(**self.text_encoder)), tokenizer
            )
        return entry.build(
            self.sizes,
            backbone=None if self.backbone is None else build_backbone(self.backbone),
            text_encoder=encoder,
            classes=self.classes,
            relations=self.relations,
            interactions=self.interactions,
        )

    def to_config(self) -> dict[str, Any]:
        """The blueprint as it is written to `config.json`."""
        groups = self.predicate_groups
        return {
            "model": self.kind,
            "sizes": asdict(self.sizes),
            "backbone": self.backbone,
            "text_encoder": None if self.text_encoder is None else dict(self.text_encoder),
            "classes": list(self.classes),
            "relations": list(self.relations),
            "interactions": [list(pair) for pair in self.interactions],
            **({} if groups is None else {"predicate_groups": groups.to_config()}),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, trusted: str | None = None) -> Blueprint:
        """The blueprint of a `config.json`; `relations`, `interactions` and
        `predicate_groups` may be absent.

        Args:
            config: content of the file.
            trusted: `package.module:NAME` of the user's own, which the file may name as its family.

        Raises:
            UntrustedFamily: it names other code.
            KeyError, TypeError, ValueError: it does not describe a model.
        """
        check_stored_family(config["model"], trusted)
        groups = config.get("predicate_groups")
        return cls(
            config["model"],
            family(config["model"]).sizes(**config["sizes"]),
            config["backbone"],
            config["text_encoder"],
            tuple(config["classes"]),
            tuple(config.get("relations", ())),
            tuple((relation, object_) for relation, object_ in config.get("interactions", ())),
            None if groups is None else PredicateGroups.from_config(groups),
        )


def wrap_text_encoder(body: nn.Module, tokenizer: PreTrainedTokenizerBase) -> TextEncoder:
    """A Hugging Face encoder and its tokenizer as a model's text encoder."""
    return TextEncoder(
        body, lambda label: tokenizer(label)["input_ids"], pad=int(tokenizer.pad_token_id or 0)
    )
