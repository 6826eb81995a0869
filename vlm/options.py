"""The options that all stages with a vision-language model have, checked, and the client they describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from relforge.models.device import check_device_dtype
from relforge.vlm.append import open_folder
from relforge.vlm.budget import Ledger, Price, read_price
from relforge.vlm.cache import Cache
from relforge.vlm.cached import CachedClient
from relforge.vlm.client import Client
from relforge.vlm.endpoint import Endpoint
from relforge.vlm.hosts import check_endpoint, check_key_name, check_send_images, host_of
from relforge.vlm.probe import Wanted

SCHEMA_MODES = ("auto", "server", "prompt")


@dataclass(frozen=True)
class VlmOptions:
    """Who answers, how fast, for how much, and where the answers are kept.

    Args:
        model: name that the endpoint knows the model by, or, in process, a folder or hub name. What answered
            is stored beside it.
        endpoint: URL of an OpenAI-compatible API, ending in /v1; None: the model runs in the worker.
        api_key_env: name of the environment variable that holds the key, on the worker; None: no key is sent.
        send_images: where images may be sent: `loopback` (this machine), `private` (private networks too) or
            `anywhere`. What the host's name resolves to decides.
        server: label of who runs the model, for when several give different answers; part of what an answer
            is kept under.
        schema: who sees to it that an answer follows a JSON schema: the `server`, the `prompt` alone, or
            `auto`: the server where it really does.
        in_flight: requests on their way at once, of each worker.
        requests_per_minute: of all workers together; None: no limit.
        tokens_per_minute: of all workers together, images included; None: no limit.
        timeout_s: seconds for one attempt.
        retries: attempts after the first, before the shard is put off.
        max_cost: what this stage may cost in this run folder, in the currency of `price`; the run stops at
            the end of a shard, and goes on where it is raised. None: no limit.
        price: of a million tokens, `{input: 1.25, output: 5}`.
        cache: folder or URI of the kept answers; None: `cache/vlm` in the run folder. Several runs may share
            one.
        cache_only: never ask; an answer that is not kept stops the run.
        revision: of a hub name, in process.
        device: in process: `auto`, `cpu`, `cuda`, ...
        dtype: in process: `auto` (bfloat16 on a GPU, float32 elsewhere), `float32` or `bfloat16`.
        seed: run seed; with image, request and sample it decides the seed that is sent.
        run_folder: of the run.
        workers: that share the limits a minute.

    Raises:
        ValueError: an option that cannot be; names it and the fix.
    """

    model: str
    endpoint: str | None = None
    api_key_env: str | None = None
    send_images: str = "loopback"
    server: str = ""
    schema: str = "auto"
    in_flight: int = 8
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout_s: float = 120.0
    retries: int = 5
    max_cost: float | None = None
    price: Mapping[str, float] | None = None
    cache: str | None = None
    cache_only: bool = False
    revision: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    seed: int = 0
    run_folder: str = ""
    workers: int = 1

    neutral_options: ClassVar[tuple[str, ...]] = (
        *("endpoint", "api_key_env", "send_images", "in_flight", "requests_per_minute", "tokens_per_minute"),
        *("timeout_s", "retries", "max_cost", "price", "cache", "cache_only", "device", "run_folder"),
        "workers",
    )

    def __post_init__(self) -> None:
        if self.endpoint is not None:
            check_endpoint(self.endpoint)
        check_device_dtype(self.device, self.dtype)
        check_key_name(self.api_key_env)
        check_send_images(self.send_images)
        if self.schema not in SCHEMA_MODES:
            raise ValueError(f"schema is {self.schema!r}; choose one of {', '.join(SCHEMA_MODES)}")
        for name, least in (("in_flight", 1), ("retries", 0), ("workers", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; use {least} or more")
        for name in ("requests_per_minute", "tokens_per_minute", "timeout_s", "max_cost"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}; it must be above 0")
        if self.schema == "server" and self.endpoint is None:
            raise ValueError("schema: server is of an endpoint; in process, the prompt alone asks for JSON")
        price = self.prices
        if self.max_cost is not None and price.cost(1, 1) == 0:
            raise ValueError("max_cost needs price: {input: ..., output: ...}, of a million tokens")

    @property
    def prices(self) -> Price:
        """What tokens cost; zero where no price is given."""
        return read_price(self.price)

    @property
    def announcement(self) -> str:
        """What the user is told at the start of a run; empty where images stay on private ground."""
        if self.endpoint is None or self.send_images != "anywhere" or self.cache_only:
            return ""
        return f"images will be sent to {host_of(self.endpoint)} (send_images: anywhere)"

    def files(self) -> Sequence[str]:
        """Files that decide the answers: those of a model in process."""
        return self._local(Wanted()).files() if self.endpoint is None else ()

    def build_client(self, stage: str, wanted: Wanted) -> Client:
        """The client, with its cache and its ledger; nothing is loaded, asked or written yet.

        Args:
            stage: name of the stage, for the limit of its cost and the names of files.
            wanted: what the stage's requests need.
        """
        ledger = Ledger(stage, self.prices, self.max_cost, self.run_folder)
        client = self._local(wanted) if self.endpoint is None else self._remote(self.endpoint, wanted, ledger)
        folder = self.cache or (default_cache(self.run_folder) if self.run_folder else "")
        if not folder:
            return client
        return CachedClient(
            client,
            Cache(open_folder(folder), stage),
            ledger,
            model=self.model,
            server=self.server,
            weights=client.files() if self.endpoint is None else (),
            seed=self.seed,
            schema_mode=self.schema,
            wanted={"words": wanted.words, "json": wanted.json},
            cache_only=self.cache_only,
        )

    def _local(self, wanted: Wanted) -> Client:
        from relforge.vlm.likelihood import LikelihoodClient
        from relforge.vlm.local import LocalClient

        if wanted.words == "systemone":
            raise ValueError("score: systemone is of an endpoint; in process, use score: logprobs")
        if wanted.words == "likelihood":
            return LikelihoodClient(self.model, self.revision, self.device)
        return LocalClient(self.model, self.seed, (), self.revision, self.device, self.dtype)

    def _remote(self, url: str, wanted: Wanted, ledger: Ledger) -> Client:
        return Endpoint(
            url,
            self.model,
            ledger,
            wanted=wanted,
            seed=self.seed,
            schema=self.schema,
            api_key_env=self.api_key_env,
            send_images=self.send_images,
            in_flight=self.in_flight,
            requests_per_minute=self._share(self.requests_per_minute),
            tokens_per_minute=self._share(self.tokens_per_minute),
            timeout_s=self.timeout_s,
            retries=self.retries,
        )

    def _share(self, limit: float | None) -> float | None:
        return None if limit is None else limit / self.workers


def default_cache(run_folder: str) -> str:
    """Where a run keeps answers unless `cache` says so."""
    return f"{run_folder.rstrip('/')}/cache/vlm"
