"""A BLIP captioner with two auxiliary heads that train its vision tower; the heads are not saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

from relforge.data.caption_batches import CaptionBatch
from relforge.models.size_limits import check_memory, check_numbers


class Captioner(nn.Module):
    """BLIP, and on its image features a head for the words of the captions and one for the boxes' classes.

    Captions alone train a vision transformer slowly: the published BLIP starts from one that was
    trained on ImageNet's labels. Here the labels are the words of an image's captions (class token) and the
    classes whose boxes cover each patch.

    Args:
        vision, text: keys of transformers' `BlipVisionConfig` and `BlipTextConfig`.
        tokenizer: from `build_word_tokenizer`.
        shares: C, share of the images' area that each class covers (`CaptionData.class_shares`); empty: no
            head for classes.

    Raises:
        ModelTooLarge: sizes that no machine could hold.
    """

    def __init__(
        self,
        vision: Mapping[str, Any],
        text: Mapping[str, Any],
        tokenizer: BertTokenizer,
        shares: Tensor,
    ) -> None:
        super().__init__()
        # transformers draws vision weights with a standard deviation of 1e-10 by default
        initial = {"initializer_range": 0.02}
        no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        ids = {
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "encoder_hidden_size": vision["hidden_size"],
        }
        config = BlipConfig(
            vision_config={**initial, **vision},
            text_config={**initial, **no_dropout, **text, **ids},
        )
        check_numbers({"vision": vision, "text": text})
        check_memory(lambda: BlipForConditionalGeneration(config), "this captioner")
        self.blip = BlipForConditionalGeneration(config)
        self.words = nn.Linear(vision["hidden_size"], len(tokenizer))
        self.patches = nn.Linear(vision["hidden_size"], len(shares)) if len(shares) else None
        # a cup covers a thousandth of what a tree does: unweighted, its loss would be negligible
        self.register_buffer("rarity", shares.clamp(min=1e-4).rsqrt().clamp(max=30.0))  # C

    def vision_losses(self, batch: CaptionBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """`words` and `patches` of the vision tower alone, computed on half of each image's patches.

        Patches with a class are kept before others, at random within both kinds.
        """
        tower = self.blip.vision_model
        tokens = tower.embeddings(batch.images)  # B x (1 + P) x D
        order = torch.rand(tokens.shape[0], tokens.shape[1] - 1, generator=generator).to(tokens.device)
        if batch.patches is not None:
            order = order - batch.patches.amax(-1)
        kept = order.argsort(1)[:, : order.shape[1] // 2]  # B x P/2
        index = kept[..., None].expand(-1, -1, tokens.shape[-1])
        tokens = torch.cat([tokens[:, :1], tokens[:, 1:].gather(1, index)], 1)
        features = tower.post_layernorm(tower.encoder(inputs_embeds=tokens).last_hidden_state)
        targets = batch.patches
        if targets is not None:
            targets = targets.gather(1, kept[..., None].expand(-1, -1, targets.shape[-1]))
        return self._label_losses(features, batch.ids, targets)

    def caption_losses(self, batch: CaptionBatch) -> dict[str, Tensor]:
        """`captions` (mean over tokens), `words` and `patches` (sums over labels, means over images or
        patches)."""
        features = self.blip.vision_model(pixel_values=batch.images).last_hidden_state  # B x (1 + P) x D
        logits = self.blip.text_decoder(
            input_ids=batch.ids,
            position_ids=batch.positions,
            attention_mask=_attention_mask(batch.caption),
            encoder_hidden_states=features,
            use_cache=False,
        ).logits  # B x L x V
        same_caption = (batch.caption[:, 1:] == batch.caption[:, :-1]) & (batch.caption[:, 1:] >= 0)
        targets = batch.ids[:, 1:].masked_fill(~same_caption, -100)
        captions = F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten())
        return {"captions": captions, **self._label_losses(features, batch.ids, batch.patches)}

    def _label_losses(self, features: Tensor, ids: Tensor, patches: Tensor | None) -> dict[str, Tensor]:
        """Of the words in `ids` (B x L) on the class token, of the classes of `patches` (B x P x C)."""
        words = torch.zeros(len(ids), self.words.out_features, device=ids.device).scatter_(1, ids, 1.0)
        of_words = F.binary_cross_entropy_with_logits(self.words(features[:, 0]), words, reduction="none")
        terms = {"words": of_words.sum(-1).mean()}
        if self.patches is not None and patches is not None:
            of_patches = F.binary_cross_entropy_with_logits(
                self.patches(features[:, 1:]), patches, reduction="none", pos_weight=self.rarity
            )
            terms["patches"] = of_patches.sum(-1).mean()
        return terms


def _attention_mask(caption: Tensor) -> Tensor:
    """B x 1 x L x L, added to attention scores: a token attends to those before it in its own caption."""
    length = caption.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=caption.device).tril()
    visible = (caption[:, :, None] == caption[:, None, :]) & before
    return torch.zeros(visible.shape, device=caption.device).masked_fill(~visible, -1e9)[:, None]
