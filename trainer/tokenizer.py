"""Tokenizers of models that are trained from scratch: byte pairs for label texts, words for captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertTokenizer, PreTrainedTokenizerFast

_ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
_BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_BLIP_SPECIAL = ("[DEC]", "[ENC]")
"""BLIP adds its two tokens behind BERT's vocabulary; captions start with [DEC]."""


def train_tokenizer(labels: Iterable[str], vocabulary: int = 1000) -> PreTrainedTokenizerFast:
    """Byte-level BPE over label texts, as RoBERTa has it: every text can be encoded without unknown tokens.

    Args:
        labels: texts to learn merges from, sorted before use so that their order does not matter.
        vocabulary: maximum number of tokens; 256 bytes and 4 special ones are always among them.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=_ROBERTA_SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(set(labels)), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def build_word_tokenizer(captions: Iterable[str], max_tokens: int = 400) -> BertTokenizer:
    """WordPiece over whole words: BERT's special tokens, every character, words by falling frequency
    (ties by spelling), then BLIP's two tokens. A word that is left out is spelled by its characters, so
    that no caption of the training set holds an unknown token.

    Args:
        captions: texts to count words in; their order does not matter.
        max_tokens: size of the vocabulary, special tokens and characters included.

    Raises:
        ValueError: `max_tokens` is too small for the characters.
    """
    normalise, split = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in captions:
        counts.update(word for word, _ in split.pre_tokenize_str(normalise.normalize_str(text)))
    characters = sorted({character for word in counts for character in word})
    vocabulary = [*_BERT_SPECIAL, *characters, *(f"##{character}" for character in characters)]
    free = max_tokens - len(vocabulary) - len(_BLIP_SPECIAL)
    if free < 0:
        raise ValueError(
            f"vocabulary: {max_tokens} tokens cannot hold {len(characters)} characters; "
            f"allow more than {max_tokens - free}"
        )
    ranked = sorted((-count, word) for word, count in counts.items() if len(word) > 1)
    vocabulary += [word for _, word in ranked[:free]] + list(_BLIP_SPECIAL)
    return BertTokenizer(
        vocab={word: number for number, word in enumerate(vocabulary)},
        do_lower_case=True,
        bos_token="[DEC]",
        additional_special_tokens=["[ENC]"],
    )
