"""Compiled denoiser calls: the repeated blocks through `torch.compile`, warmed up aside.

Each model has a twin of its denoiser that shares every weight and has its repeated blocks
compiled ("regional compilation" in torch's recipes), so that the eager original stays as it is,
for exact requests, for LoRAs and for whatever is not compiled yet. Compiled code is made for fixed
shapes. Rows are padded up to a bucket, so that there are few shapes; a shape met for the first
time is compiled in a background thread while the original serves.

On CUDA, calls that come often are captured as CUDA graphs.
"""

import atexit
import copy
import logging
import queue
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from worker.config import EngineConfig
from worker.engine.request import ModelSource
from worker.pipelines.denoising import (
    Adapter,
    DenoiserInputs,
    Denoising,
    Prediction,
    predict_eagerly,
)
from worker.pipelines.graphs import GraphedCalls
from worker.pipelines.loader import LoadedModel
from worker.pipelines.memory import is_out_of_memory

logger = logging.getLogger(__name__)

BUCKETS: Final = (1, 2, 4, 8, 16)  # rows
# Every shape of every block class takes one entry of torch's cache; past its limit it gives up.
_MOST_SHAPES: Final = 1024
_LAST_COMPILE_S: Final = 10.0
_TOLD_LETTERS: Final = 200  # compilers tell a lot


def bucket_of(rows: int) -> int | None:
    """The smallest bucket that `rows` fit into; None where they are too many."""
    return next((bucket for bucket in BUCKETS if bucket >= rows), None)


def whole_bucket(rows: int) -> int:
    """The largest bucket that `rows` fill."""
    return max(bucket for bucket in BUCKETS if bucket <= rows)


def pad_rows(inputs: DenoiserInputs, rows: int) -> DenoiserInputs:
    """`inputs` with the last row repeated until there are `rows`."""
    missing = rows - len(inputs.latents)
    if missing == 0:
        return inputs

    def pad(tensor: Tensor) -> Tensor:
        return torch.cat([tensor, tensor[-1:].expand(missing, *tensor.shape[1:])])

    padded = {name: pad(tensor) for name, tensor in inputs.conditioning.items()}
    return DenoiserInputs(pad(inputs.latents), pad(inputs.times), padded)


def should_compile(config: EngineConfig, device: torch.device) -> bool:
    """True where the setting, or on "auto" the device, asks for compiled calls."""
    return config.compile == "on" or (config.compile == "auto" and device.type == "cuda")


@dataclass(slots=True, eq=False)
class Twin:
    """A model whose denoiser shares the original's weights and is compiled.

    `ready` and `asked` hold signatures: a batch key and a bucket. `stay` counts the model's stays
    on the device: what a background thread sees of a model that left meanwhile means nothing.
    """

    original: LoadedModel
    model: LoadedModel
    denoiser: nn.Module
    graphs: GraphedCalls
    ready: set[Hashable] = field(default_factory=set)
    asked: set[Hashable] = field(default_factory=set)
    stay: int = 0
    is_compiled: bool = False
    failure: str = ""


def build_twin(model: LoadedModel) -> Twin | None:
    """Return the model's twin, not compiled yet; None where its denoiser repeats no blocks.

    To be called before a LoRA is laid over the model: the twin never has any.
    """
    name = "transformer" if getattr(model.pipeline, "transformer", None) is not None else "unet"
    original: nn.Module = getattr(model.pipeline, name)
    if not _repeated_blocks(original):
        return None
    shared = {id(tensor): tensor for tensor in (*original.parameters(), *original.buffers())}
    denoiser: nn.Module = copy.deepcopy(original, shared)
    pipeline = copy.copy(model.pipeline)
    setattr(pipeline, name, denoiser)
    return Twin(model, replace(model, pipeline=pipeline), denoiser, GraphedCalls(model.device))


def _repeated_blocks(denoiser: nn.Module) -> list[nn.Module]:
    """As diffusers' `compile_repeated_blocks` finds them; where a class names none, those that it
    says must stay whole are the same kind of thing."""
    names = getattr(denoiser, "_repeated_blocks", None) or getattr(
        denoiser, "_no_split_modules", None
    )
    return [module for module in denoiser.modules() if type(module).__name__ in (names or ())]


class CompiledCalls:
    """Makes denoiser calls, compiled where that is ready. Used by the engine thread, with one
    background thread of its own."""

    def __init__(self, *, backend: str = "inductor") -> None:
        self._backend = backend
        self._twins: dict[ModelSource, Twin] = {}
        self._background = _Background()

    @property
    def is_warming(self) -> bool:
        """True while the background thread compiles: it uses the device too."""
        return self._background.is_busy

    def state(self) -> str:
        """One of idle, warming, ready and "failed: " with the reason. Any thread may ask."""
        twins = list(self._twins.values())
        failures = [twin.failure for twin in twins if twin.failure]
        if failures:
            return f"failed: {failures[0]}"
        if self.is_warming:
            return "warming"
        return "ready" if any(twin.ready for twin in twins) else "idle"

    def adopt(self, model: LoadedModel) -> None:
        """Make the twin of a model just loaded; nothing to do for one that came back."""
        known = self._twins.get(model.source)
        if known is not None and known.original is model:
            return
        twin = build_twin(model)
        if twin is None:
            logger.info("%s is not compiled: its denoiser repeats no blocks", model.source.slug)
            self._twins.pop(model.source, None)
        else:
            self._twins[model.source] = twin

    def leave(self, model: LoadedModel) -> None:
        """The model's weights are about to leave the device."""
        twin = self._twins.get(model.source)
        if twin is not None:
            twin.stay += 1
            twin.asked = set(twin.ready)
            twin.graphs.forget()

    def free_graphs(self) -> None:
        """Memory is short: let go of what captured graphs hold."""
        for twin in self._twins.values():
            twin.graphs.forget()

    def predict(self, batch: Sequence[Denoising], inputs: DenoiserInputs) -> Prediction:
        """See `Predict`. Exact requests and LoRAs are served by the original as it is.

        Compiled code that fails is given up for that model, and the original answers.
        """
        first, bucket = batch[0], bucket_of(len(inputs.latents))
        twin = self._twins.get(first.request.model)
        is_plain = not (first.request.exact or first.request.loras)
        if twin is None or twin.failure or bucket is None or not is_plain:
            return predict_eagerly(batch, inputs)
        signature = (first.key, bucket)
        if signature in twin.ready:
            answer = self._call(twin, first.adapter, signature, pad_rows(inputs, bucket))
            if answer is not None:
                return Prediction(answer[: len(inputs.latents)], bucket, compiled=True)
        elif signature not in twin.asked:
            twin.asked.add(signature)
            self._warm_up(twin, first.adapter, signature, pad_rows(_copied(inputs), bucket))
        return predict_eagerly(batch, inputs)

    def wait(self) -> None:
        """Return when nothing is left to compile."""
        self._background.wait()

    def _call(
        self, twin: Twin, adapter: Adapter, signature: Hashable, inputs: DenoiserInputs
    ) -> Tensor | None:
        """The twin's answer; None where it failed for another reason than memory."""

        def call(given: DenoiserInputs) -> Tensor:
            return adapter.predict(twin.model, given.latents, given.times, given.conditioning)

        try:
            return twin.graphs.call(signature, call, inputs, may_capture=not self.is_warming)
        # Whatever the compiler's code raises, the original still serves.
        except Exception as error:
            if is_out_of_memory(error):
                raise
            _give_up(twin, error)
            return None

    def _warm_up(
        self, twin: Twin, adapter: Adapter, signature: Hashable, inputs: DenoiserInputs
    ) -> None:
        stay = twin.stay

        def work() -> None:
            if twin.stay != stay or twin.failure:
                return
            try:
                self._compile(twin, adapter, inputs)
            # Compilers raise whatever they like.
            except Exception as error:
                # Race: the model left the device meanwhile, or there was no room beside the engine.
                if twin.stay == stay and not is_out_of_memory(error):
                    _give_up(twin, error)
                return
            if twin.stay == stay:
                twin.ready.add(signature)

        self._background.do(work)

    @torch.no_grad()
    def _compile(self, twin: Twin, adapter: Adapter, inputs: DenoiserInputs) -> None:
        # Here and not above: the first import of the compiler takes seconds.
        import torch._dynamo
        import torch._inductor.config

        if not twin.is_compiled:
            for block in _repeated_blocks(twin.denoiser):
                block.compile(backend=self._backend, fullgraph=True, dynamic=False)
            twin.is_compiled = True
        # torch keeps these settings per thread, and the engine thread never compiles.
        limits = torch._dynamo.config.patch(
            recompile_limit=_MOST_SHAPES, accumulated_recompile_limit=_MOST_SHAPES
        )
        is_cuda = inputs.latents.device.type == "cuda"
        # Beside a CPU engine compiling must not take the other cores by processes of its own.
        helpers = torch._inductor.config.patch({} if is_cuda else {"compile_threads": 1})
        with limits, helpers:
            adapter.predict(twin.model, inputs.latents, inputs.times, inputs.conditioning)


def _give_up(twin: Twin, error: Exception) -> None:
    twin.failure = f"{type(error).__name__}: {' '.join(str(error).split())[:_TOLD_LETTERS]}"
    slug = twin.original.source.slug
    logger.warning("%s is drawn without compiled code: %s", slug, twin.failure)
    logger.debug("what the compiler said", exc_info=error)


def _copied(inputs: DenoiserInputs) -> DenoiserInputs:
    """Tensors of their own: joined ones may be a request's, which goes on meanwhile."""
    conditioning = {name: tensor.clone() for name, tensor in inputs.conditioning.items()}
    return DenoiserInputs(inputs.latents.clone(), inputs.times.clone(), conditioning)


class _Background:
    """One thread that does one thing after the other, started with the first."""

    def __init__(self) -> None:
        self._work: queue.Queue[Callable[[], Any]] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="compile", daemon=True)
        self._is_closing = False

    @property
    def is_busy(self) -> bool:
        return self._work.unfinished_tasks > 0

    def do(self, work: Callable[[], Any]) -> None:
        if not self._thread.is_alive() and not self._is_closing:
            self._thread.start()
            atexit.register(self._close)
        self._work.put(work)

    def wait(self) -> None:
        self._work.join()

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                if not self._is_closing:
                    work()
            finally:
                self._work.task_done()

    def _close(self) -> None:
        """Let the compilation under way end, in C++ code as it may be, before the process does."""
        self._is_closing = True
        self._work.put(lambda: None)
        done = threading.Thread(target=self._work.join, daemon=True)
        done.start()
        done.join(_LAST_COMPILE_S)
