"""The settings of a training run, as its YAML file has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, TypeVar, get_origin, get_type_hints

from relforge.data.batches import BatchOptions
from relforge.models.files import PUBLISHED_SUFFIXES
from relforge.nearest import find_nearest
from relforge.stages.closed_labels import load_labels
from relforge.trainer.optimiser import Optimisation

S = TypeVar("S")
NEW_MODEL = ("kind", "backbone", "text", "sizes", "words")
"""What `model` says of a new model."""
OF_FILE = ("tokenizer", "gate")
"""What it says of a published file to start from."""
STARTED_MODEL = ("kind", "start", "pairs", "words", "keep_random", *NEW_MODEL[1:])
"""What it says where there is one to start from: detectors of boxes hold neither sizes nor texts of pairs."""


@dataclass(frozen=True)
class Settings:
    """A training run, as its YAML file has it.

    Args:
        out: folder of snapshots, the log and the finished model (`out/model`).
        data: see `relforge.data.sources.load_relations`.
        model: `kind` (a name of the zoo) and `sizes` (fields of that model's sizes), `backbone` and `text` as
            in `Blueprint`; `text` may also name a Hugging Face encoder (roberta-base by default). Or `start`:
            a model to start from, as `relforge.models.published.load_pretrained` takes it. With another
            `kind` beside it, the parts that both kinds have are taken over, as when ParSeD starts from an
            R-Tagger (RLIPv2, Table 4). `pairs` keeps that many of its pair queries; `sizes` may give an
            R-Tagger `pair_geometry` and `pair_pixels`, which add nothing at first. A `.pth` may have
            `tokenizer` and `gate` beside it. A detector of boxes (a folder of recipe `detector` or of
            transformers, or a `.pth`) needs `kind`, `sizes` and `text` for what it does not hold, and may
            have `keep_random`: prefixes of parts that do not start from it. `words` is the path of word
            vectors, for models that know words (OCN).
        seed: of everything random: weights, order of the images, augmentation, label lists.
        epochs, steps: length of the run; `steps` takes precedence.
        batch, optimisation: fields of `BatchOptions` and `Optimisation`.
        labels: `open` (a list of names drawn for each batch), `closed` (all names of the data in its order,
            as fine-tuning has them), or a closed label list by its name (`vg150`, `open_images`) or file, to
            which the names of the data are mapped (`relforge.data.closed_names`). None: closed for models
            with heads of their own, open for models that read texts; `open` is for the latter alone.
        losses: options of the model's losses, such as `relations: focal` or `weights: {labels: 2}`.
        noise: options of the pairs that the model is given (R-Tagger: fields of `Noise`).
        assign: fields of `AssignOptions`: groups of predicates with queries of their own, several queries for
            a target (SpeaQ); for models that match by cost.
        published: reproduce the published training where it differs from its paper: file-order cap, gradient
            through pseudo-label targets, the cut of query tables without regard to roles.
        half: store the finished model's weights as float16, half the size.
        threads: that load batches ahead; None: 8, or the cores of a process where they are fewer.
        save_every, log_every: steps.
    """

    neutral_options: ClassVar = ("threads",)  # changing these leaves a stopped training as it is

    out: str
    data: list[dict[str, Any]]
    model: dict[str, Any]
    seed: int = 0
    epochs: float = 20
    steps: int | None = None
    batch: BatchOptions = field(default_factory=BatchOptions)
    optimisation: Optimisation = field(default_factory=Optimisation)
    labels: str | None = None
    losses: dict[str, Any] = field(default_factory=dict)
    noise: dict[str, Any] = field(default_factory=dict)
    assign: dict[str, Any] = field(default_factory=dict)
    published: bool = False
    half: bool = False
    threads: int | None = None
    save_every: int = 500
    log_every: int = 20

    def length(self, steps_per_epoch: float) -> int:
        """Steps of the run."""
        return self.steps if self.steps is not None else max(1, round(self.epochs * steps_per_epoch))


def settings_from(values: Mapping[str, Any]) -> Settings:
    """Settings from a mapping.

    Raises:
        ValueError: an unknown or missing key, naming it and the choices.
    """
    settings = read_settings(values, Settings, BatchOptions)
    model = settings.model
    allowed: tuple[str, ...] = NEW_MODEL
    if "start" in model:
        of_file = OF_FILE if str(model["start"]).endswith(PUBLISHED_SUFFIXES) else ()
        allowed = (*STARTED_MODEL, *of_file)
    choose_from(model, allowed, "model.")
    if not isinstance(model.get("keep_random", []), list):
        raise ValueError(f"model.keep_random: expected a list of prefixes, found {model['keep_random']!r}")
    if settings.labels not in (None, "open", "closed"):
        try:
            load_labels(str(settings.labels))
        except ValueError as error:
            raise ValueError(f"labels: {settings.labels!r} is not open or closed, and {error}") from error
    return settings


def read_settings(values: Mapping[str, Any], kind: type[S], batch: type) -> S:
    """A recipe's settings, of whichever recipe.

    Args:
        kind: dataclass with the fields `out`, `data`, `model`, `batch`, `optimisation` and its own.
        batch: dataclass of its field `batch`.

    Raises:
        ValueError: an unknown or missing key, naming it and the choices; a section of another form.
    """
    values = dict(values)
    known(values, kind, "")
    missing = [key for key in ("out", "data", "model") if key not in values]
    if missing:
        raise ValueError(f"a training recipe needs {', '.join(missing)}")
    _check_forms(values, kind)
    threads = values.get("threads")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ValueError(f"threads: {threads!r} is no number of threads, at least 1")
    parts: dict[str, Any] = {"batch": batch, "optimisation": Optimisation}
    for key, part in parts.items():
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in values.get(key, {}).items()}
        known(given, part, f"{key}.")
        values[key] = part(**given)
    return kind(**values)


def _check_forms(values: Mapping[str, Any], kind: type) -> None:
    """Refuse a section that is no mapping, and a list of data without an entry."""
    for name, form in get_type_hints(kind).items():
        if name not in values:
            continue
        if get_origin(form) is dict or is_dataclass(form):
            if not isinstance(values[name], Mapping):
                raise ValueError(f"{name}: expected a mapping, found {values[name]!r}")
        elif get_origin(form) is list:
            entries = values[name]
            if not (isinstance(entries, list) and entries and all(isinstance(e, Mapping) for e in entries)):
                raise ValueError(f"{name}: expected a list of at least one mapping, found {entries!r}")


def known(values: Mapping[str, Any], kind: Any, prefix: str) -> None:
    """Refuse keys that are no field of the dataclass `kind`."""
    choose_from(values, [f.name for f in fields(kind)], prefix)


def choose_from(values: Mapping[str, Any], names: Sequence[str], prefix: str) -> None:
    """Refuse keys that are not among `names`: nothing would read them."""
    for key in values:
        if key not in names:
            near = find_nearest(str(key), names)
            guess = f"did you mean {prefix}{near}? " if near else ""
            raise ValueError(
                f"unknown setting {prefix}{key}; {guess}choose from {', '.join(prefix + n for n in names)}"
            )
