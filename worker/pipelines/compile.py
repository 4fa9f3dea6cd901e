"""Compiled denoiser calls: the repeated blocks through `torch.compile`, when the engine is idle.

Off unless set. torch.fx patches `nn.Module` in the whole process while it traces (torch 2.13), so
that a step taken meanwhile by another thread fails or goes into the wrong graph; and the compiler
is Python, which slows the engine's thread by two to three times. So nothing is ever compiled
beside a step: shapes that were met are compiled by the engine's own thread, one at a time, when
nobody waits. Whoever asks meanwhile waits for the shape under way.

Each model has a twin of its denoiser that shares every weight and has its repeated blocks
compiled ("regional compilation" in torch's recipes), so that the eager original stays as it is,
for exact requests, for LoRAs and for whatever is not compiled yet. Compiled code is made for fixed
shapes. Rows are padded up to a bucket when that fills most of it, so that there are few shapes.
"""

import copy
import logging
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch
from torch import Tensor, nn

from worker.config import EngineConfig
from worker.engine.request import ModelSource
from worker.pipelines.denoising import DenoiserInputs, Denoising
from worker.pipelines.graphs import DenoiserCall, call_of
from worker.pipelines.loader import LoadedModel
from worker.pipelines.memory import is_out_of_memory

logger = logging.getLogger(__name__)

BUCKETS: Final = (1, 2, 4, 6, 8, 12, 16, 24, 32)  # rows
# A row that only fills up costs a busy device as much as any other: padding may not cost more than
# compiled code gains, 10 to 25 % by what others published.
LEAST_FILLED: Final = 0.85
# Every shape of every block class takes one entry of torch's cache; past its limit it gives up.
_MOST_SHAPES: Final = 1024
_TOLD_LETTERS: Final = 200  # compilers tell a lot


def bucket_of(rows: int) -> int | None:
    """The smallest bucket that `rows` fit into; None when they leave too much of it empty, or are
    too many."""
    bucket = next((bucket for bucket in BUCKETS if bucket >= rows), None)
    return bucket if bucket is not None and rows / bucket >= LEAST_FILLED else None


def pad_rows(inputs: DenoiserInputs, rows: int) -> DenoiserInputs:
    """`inputs` with the last row repeated until there are `rows`."""
    missing = rows - len(inputs.latents)
    if missing == 0:
        return inputs

    def pad(tensor: Tensor) -> Tensor:
        return torch.cat([tensor, tensor[-1:].expand(missing, *tensor.shape[1:])])

    padded = {name: pad(tensor) for name, tensor in inputs.conditioning.items()}
    return DenoiserInputs(pad(inputs.latents), pad(inputs.times), padded)


def should_compile(config: EngineConfig) -> bool:
    """True when the setting asks for compiled calls: no measurement has shown yet on which device
    they gain what they cost, so "auto" does not."""
    return config.compile == "on"


@dataclass(slots=True, eq=False)
class Twin:
    """A model whose denoiser shares the original's weights and is compiled.

    `ready` holds signatures (a batch key and a bucket), `asked` those that were met, with inputs
    to compile for.
    """

    original: LoadedModel
    model: LoadedModel
    denoiser: nn.Module
    ready: set[Hashable] = field(default_factory=set)
    asked: OrderedDict[Hashable, DenoiserCall] = field(default_factory=OrderedDict)
    is_compiled: bool = False
    failure: str = ""


def build_twin(model: LoadedModel) -> Twin | None:
    """Return the model's twin, not compiled yet; None if its denoiser repeats no blocks.

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
    return Twin(model, replace(model, pipeline=pipeline), denoiser)


def _repeated_blocks(denoiser: nn.Module) -> list[nn.Module]:
    """As diffusers' `compile_repeated_blocks` finds them; if a class names none, those that it
    says must stay whole are the same kind of thing."""
    names = getattr(denoiser, "_repeated_blocks", None) or getattr(
        denoiser, "_no_split_modules", None
    )
    return [module for module in denoiser.modules() if type(module).__name__ in (names or ())]


class CompiledCalls:
    """The twins of all models, and what is compiled of them. Used by the engine thread alone."""

    def __init__(self, *, backend: str = "inductor") -> None:
        self._backend = backend
        self._twins: dict[ModelSource, Twin] = {}

    def state(self) -> str:
        """One of idle, waiting (for a moment without work), ready and "failed: " with the reason.
        Any thread may ask."""
        twins = list(self._twins.values())
        failures = [twin.failure for twin in twins if twin.failure]
        if failures:
            return f"failed: {failures[0]}"
        if any(twin.asked for twin in twins):
            return "waiting"
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

    def leave(self, model: ModelSource) -> None:
        """The model's weights are about to leave the device."""
        if model in self._twins:
            self._twins[model].asked.clear()

    def call_for(self, batch: Sequence[Denoising], inputs: DenoiserInputs) -> DenoiserCall | None:
        """The batch's call by compiled code, padded; None if there is none of its shape, which
        is then compiled when the engine is idle. Its answer has the bucket's rows.

        Exact requests and LoRAs are served by the original as it is.
        """
        first, bucket = batch[0], bucket_of(len(inputs.latents))
        twin = self._twins.get(first.request.model)
        is_plain = not (first.request.exact or first.request.loras)
        if twin is None or twin.failure or bucket is None or not is_plain:
            return None
        signature = (first.key, bucket)
        call = replace(
            call_of(first.adapter, twin.model, signature, pad_rows(inputs, bucket)),
            is_compiled=True,
        )
        if signature in twin.ready:
            return call
        if signature not in twin.asked:
            twin.asked[signature] = replace(call, inputs=call.inputs.copied())
        return None

    def compile_next(self) -> bool:
        """Compile the shape that was met first; False if none waits.

        Whatever the compiler raises, the original still serves.
        """
        twin = next((twin for twin in self._twins.values() if twin.asked), None)
        if twin is None:
            return False
        signature, call = next(iter(twin.asked.items()))
        try:
            self._compile(twin, call)
        # Compilers raise whatever they like.
        except Exception as error:
            if not is_out_of_memory(error):  # else it is asked for again when it is met again
                self.give_up(call.model, error)
        else:
            twin.ready.add(signature)
        twin.asked.pop(signature, None)
        return True

    def give_up(self, model: ModelSource, error: Exception) -> None:
        """The model's compiled code failed, or could not be made: the original serves from now."""
        twin = self._twins[model]
        twin.asked.clear()
        twin.failure = f"{type(error).__name__}: {' '.join(str(error).split())[:_TOLD_LETTERS]}"
        logger.warning("%s is drawn without compiled code: %s", model.slug, twin.failure)
        logger.debug("what the compiler said", exc_info=error)

    @torch.no_grad()
    def _compile(self, twin: Twin, call: DenoiserCall) -> None:
        # Here and not above: the first import of the compiler takes seconds.
        import torch._dynamo
        import torch._inductor.config

        if not twin.is_compiled:
            for block in _repeated_blocks(twin.denoiser):
                block.compile(backend=self._backend, fullgraph=True, dynamic=False)
            twin.is_compiled = True
        limits = torch._dynamo.config.patch(
            recompile_limit=_MOST_SHAPES, accumulated_recompile_limit=_MOST_SHAPES
        )
        is_cuda = call.inputs.latents.device.type == "cuda"
        # Beside a CPU engine compiling must not take the other cores by processes of its own.
        helpers = torch._inductor.config.patch({} if is_cuda else {"compile_threads": 1})
        with limits, helpers:
            call.answer()
