"""How captions are sampled or searched: plain values, which a config is checked against without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Nucleus:
    """Sampling settings; the defaults are those of the published RLIPv2 captions.

    Args:
        top_p: keep the likeliest tokens until their probabilities reach this.
        top_k: keep at most this many; 0 keeps all. The published runs had transformers' default of 50 active.
        temperature: divides the logits.
        repetition_penalty: divides positive and multiplies negative logits of tokens already in the caption,
            prompt included.
        min_length / max_length: tokens of a caption, prompt and `[DEC]` included, `[SEP]` too.
    """

    top_p: float = 0.9
    top_k: int = 50
    temperature: float = 1.0
    repetition_penalty: float = 1.1
    min_length: int = 5
    max_length: int = 20

    def __post_init__(self) -> None:
        checks = {
            "top_p": (0 < self.top_p <= 1, "in (0, 1]"),
            "top_k": (self.top_k >= 0, "0 (off) or more"),
            "temperature": (self.temperature > 0, "above 0"),
            "repetition_penalty": (self.repetition_penalty > 0, "above 0"),
            "max_length": (self.max_length >= max(1, self.min_length), "at least min_length"),
        }
        for name, (fine, rule) in checks.items():
            if not fine:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {rule}")


@dataclass(frozen=True)
class Beams:
    """Beam settings; the defaults are those of the published single captions.

    Args:
        num_beams: hypotheses kept per image; the best one is returned.
        repetition_penalty: on the log-probabilities, 1.0 is off.
        min_length / max_length: tokens of a caption, prompt, `[DEC]` and `[SEP]` included.
    """

    num_beams: int = 3
    repetition_penalty: float = 1.0
    min_length: int = 5
    max_length: int = 20
