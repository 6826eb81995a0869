"""A BLIP captioner with the two heads that teach its vision tower to see; they are not saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BlipConfig, BlipForConditionalGeneration

from relforge.data.caption_batches import CaptionBatch


class Captioner(nn.Module):
    """BLIP, and on its image features a head for the words of the captions and one for the boxes' classes.

    A vision transformer learns to see slowly from captions alone: the published BLIP starts from one that
    was trained on ImageNet's labels. Here the labels are the words that a picture's captions use (class
    token) and the classes whose boxes lie over each patch.

    Args:
        vision, text: keys of transformers' `BlipVisionConfig` and `BlipTextConfig`.
        tokenizer: from `words_tokenizer`.
        shares: of the pictures' area that each class covers (`CaptionData.class_shares`); empty: no such
            head.
    """

    def __init__(
        self, vision: Mapping[str, Any], text: Mapping[str, Any], tokenizer: Any, shares: Tensor
    ) -> None:
        super().__init__()
        # transformers draws vision weights with a standard deviation of 1e-10 unless told otherwise
        spread = {"initializer_range": 0.02}
        still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        ids = {
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "encoder_hidden_size": vision["hidden_size"],
        }
        config = BlipConfig(
            vision_config={**spread, **vision},
            text_config={**spread, **still, **text, **ids},
        )
        self.blip = BlipForConditionalGeneration(config)
        self.words = nn.Linear(vision["hidden_size"], len(tokenizer))
        self.patches = nn.Linear(vision["hidden_size"], len(shares)) if len(shares) else None
        # a cup covers a thousandth of what a tree does: without a weight, nothing would be learned of it
        self.register_buffer("rarity", shares.clamp(min=1e-4).rsqrt().clamp(max=30.0))  # C

    def seeing_losses(self, batch: CaptionBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """What the vision tower learns first, `words` and `patches`, from half of each picture's patches.

        Patches that show something are kept before others, at random within both kinds.
        """
        tower = self.blip.vision_model
        tokens = tower.embeddings(batch.images)  # B x (1 + P) x D
        order = torch.rand(tokens.shape[0], tokens.shape[1] - 1, generator=generator).to(tokens.device)
        if batch.patches is not None:
            order = order - batch.patches.amax(-1)
        kept = order.argsort(1)[:, : order.shape[1] // 2]  # B x P/2
        index = kept[..., None].expand(-1, -1, tokens.shape[-1])
        tokens = torch.cat([tokens[:, :1], tokens[:, 1:].gather(1, index)], 1)
        seen = tower.post_layernorm(tower.encoder(inputs_embeds=tokens).last_hidden_state)
        shown = batch.patches
        if shown is not None:
            shown = shown.gather(1, kept[..., None].expand(-1, -1, shown.shape[-1]))
        return self._labels(seen, batch.ids, shown)

    def losses(self, batch: CaptionBatch) -> dict[str, Tensor]:
        """`captions` (mean over tokens), `words` and `patches` (sums over labels, means over pictures or
        patches)."""
        seen = self.blip.vision_model(pixel_values=batch.images).last_hidden_state  # B x (1 + P) x D
        logits = self.blip.text_decoder(
            input_ids=batch.ids,
            position_ids=batch.positions,
            attention_mask=_mask(batch.caption),
            encoder_hidden_states=seen,
            use_cache=False,
        ).logits  # B x L x V
        follows = (batch.caption[:, 1:] == batch.caption[:, :-1]) & (batch.caption[:, 1:] >= 0)
        targets = batch.ids[:, 1:].masked_fill(~follows, -100)
        captions = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten())
        return {"captions": captions, **self._labels(seen, batch.ids, batch.patches)}

    def _labels(self, seen: Tensor, ids: Tensor, shown: Tensor | None) -> dict[str, Tensor]:
        said = torch.zeros(len(ids), self.words.out_features, device=ids.device).scatter_(1, ids, 1.0)
        words = F.binary_cross_entropy_with_logits(self.words(seen[:, 0]), said, reduction="none")
        terms = {"words": words.sum(-1).mean()}
        if self.patches is not None and shown is not None:
            patches = F.binary_cross_entropy_with_logits(
                self.patches(seen[:, 1:]), shown, reduction="none", pos_weight=self.rarity
            )
            terms["patches"] = patches.sum(-1).mean()
        return terms


def _mask(caption: Tensor) -> Tensor:
    """B x 1 x L x L, added to attention scores: a token sees those before it in its own caption."""
    length = caption.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=caption.device).tril()
    visible = (caption[:, :, None] == caption[:, None, :]) & before
    return torch.zeros(visible.shape, device=caption.device).masked_fill(~visible, -1e9)[:, None]
