"""A captioner's own vocabulary, in BERT's file format and BLIP's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tokenizers import normalizers, pre_tokenizers
from transformers import BertTokenizer

_FRONT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_BACK = ("[DEC]", "[ENC]")  # BLIP adds its two tokens behind BERT's: captions start with [DEC]


def words_tokenizer(captions: Iterable[str], most: int = 400) -> BertTokenizer:
    """WordPiece over whole words: BERT's special tokens, every character, words by falling frequency
    (ties by spelling), then BLIP's two tokens. A word that is left out is spelled by its characters, so
    that no caption of the training set holds an unknown.

    Args:
        captions: texts to count words in; their order does not matter.
        most: tokens at most, the special ones and characters among them.

    Raises:
        ValueError: `most` does not even hold the characters.
    """
    normalise, split = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in captions:
        counts.update(word for word, _ in split.pre_tokenize_str(normalise.normalize_str(text)))
    letters = sorted({letter for word in counts for letter in word})
    vocabulary = [*_FRONT, *letters, *(f"##{letter}" for letter in letters)]
    room = most - len(vocabulary) - len(_BACK)
    if room < 0:
        raise ValueError(
            f"vocabulary: {most} tokens cannot hold {len(letters)} characters; allow more than {most - room}"
        )
    ranked = sorted((-count, word) for word, count in counts.items() if len(word) > 1)
    vocabulary += [word for _, word in ranked[:room]] + list(_BACK)
    return BertTokenizer(
        vocab={word: number for number, word in enumerate(vocabulary)},
        do_lower_case=True,
        bos_token="[DEC]",
        additional_special_tokens=["[ENC]"],
    )
