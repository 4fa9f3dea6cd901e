"""The runner that the engine drives: diffusers models on one device."""

import logging
import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import cast

import diffusers
import torch

from worker.config import EngineConfig
from worker.engine.errors import OutOfMemory
from worker.engine.request import ImageRequest, ModelSource, RenderedImage, Timings
from worker.engine.runner import CallTime, OnStep, RunnerGauges, ShouldStop
from worker.engine.runner import Denoising as AnyDenoising
from worker.pipelines import denoising, loras, plain
from worker.pipelines.architectures import ARCHITECTURES
from worker.pipelines.compile import CompiledCalls, should_compile
from worker.pipelines.decoding import decode
from worker.pipelines.denoising import (
    Adapter,
    DenoiserInputs,
    Denoising,
    DrawnBy,
    Predict,
    Prediction,
    predict_eagerly,
)
from worker.pipelines.devices import choose_device, describe_device, name_device, slow_format
from worker.pipelines.fitting import TOGETHER, Manner
from worker.pipelines.graphs import Graphs, call_of
from worker.pipelines.loader import (
    LoadedModel,
    check_weights,
    choose_dtype,
    manners_of,
)
from worker.pipelines.memory import (
    CudaProbe,
    MeasuredCall,
    RowMeter,
    is_out_of_memory,
    memory_in_use,
    release_memory,
)
from worker.pipelines.prompt_cache import COUNTS
from worker.pipelines.residency import ResidentModels, largest_model
from worker.pipelines.stages import StageClock
from worker.pipelines.step_times import TimedStep, clock_for

logger = logging.getLogger(__name__)


def _load_adapter(path: str) -> Adapter:
    module, _, name = path.partition(":")
    adapter: Adapter = getattr(import_module(module), name)()
    return adapter


# family -> its adapter; the others are drawn whole, by `plain`
ADAPTERS: dict[str, Adapter] = {
    architecture.slug: _load_adapter(architecture.adapter)
    for architecture in ARCHITECTURES.values()
    if architecture.is_stepped
}
# Any of them: half precision has two bytes in either format.
STEPPED = next(iter(ADAPTERS))


@dataclass(frozen=True, slots=True)
class DiffusersGauges(RunnerGauges):
    """`compiled`: see `DiffusersRunner.compile_state`; `graphs`: see `Graphs.state`. `model_room`:
    bytes that one model may take of the device, in one of `manners`, with numbers of `itemsize`
    bytes."""

    compiled: str = "off"
    graphs: str = "off"
    model_room: int = 0
    manners: tuple[Manner, ...] = ()
    itemsize: int = 0


class DiffusersRunner:
    """Implements `worker.engine.runner.Runner`. Only one thread may use it."""

    def __init__(self, config: EngineConfig) -> None:
        """Raises `EngineError` if the configured device is not there, or has no fp8."""
        self._config = config
        self._device = choose_device(config)
        check_weights(config, self._device)
        if slow := slow_format(config.dtype, self._device):
            logger.warning("%s", slow)
        self._models = ResidentModels(config, self._device, on_leave=self._model_leaves)
        self._graphs = Graphs(self._device)
        self._probe = self._memory_probe()
        self._meter = RowMeter(self._probe)
        self._clock = clock_for(self._device)
        self._compiled = CompiledCalls() if should_compile(config) else None
        if config.threads is not None:
            torch.set_num_threads(config.threads)

    def enter_thread(self) -> None:
        if self._device.index is not None:  # else torch's own choice, which is the first
            torch.cuda.set_device(self._device)

    def is_resident(self, model: ModelSource) -> bool:
        return self._models.holds(model)

    def has_room_for(self, model: ModelSource) -> bool:
        return self._models.has_room_for(model)

    def make_resident(self, model: ModelSource) -> None:
        """See `Runner.make_resident`. What the model needs for previews is made ready too."""
        if self._models.holds(model):
            self._models.resident(model)
            return
        _accept_known_warnings()
        with self._out_of_memory_told():
            loaded = self._models.get(model)
            self._prepare_ways(loaded)
            if self._config.preview_every:
                loaded.preview()
        is_plain = loaded.is_fixed and loaded.parts is None
        if self._compiled is not None and self.can_step(model) and is_plain:
            self._compiled.adopt(loaded)
        self._meter.forget_limits()

    def make_way(self, model: ModelSource) -> bool:
        have_left = self._models.make_way(model)
        if have_left:
            self._meter.forget_limits()
        return have_left

    def can_step(self, model: ModelSource) -> bool:
        return model.family in ADAPTERS

    def begin(self, request: ImageRequest) -> Denoising:
        _accept_known_warnings()
        self.make_resident(request.model)
        with self._out_of_memory_told():
            model = self._models.resident(request.model)
            loras.apply(model, request.loras)
            return ADAPTERS[request.model.family].begin(model, request)

    def step(
        self, batch: Sequence[AnyDenoising], *, shape: Hashable = None
    ) -> list[Exception | None]:
        drawn = [self._taken_up(denoising) for denoising in batch]
        rows = sum(denoising.rows for denoising in drawn)
        first = drawn[0]
        with (
            self._out_of_memory_told(),
            self._meter.measuring(first.key, rows) as call,
            self._clock.timing(shape, rows) as timed,
        ):
            if first.model.parts is not None:
                first.model.parts.ready_to_step()
            loras.apply(first.model, first.request.loras)  # part of the key: everybody's
            return denoising.step(drawn, self._predicting(call, timed))

    def step_times(self) -> list[CallTime]:
        return [step for step in self._clock.times() if step.shape is not None]

    def idle(self) -> bool:
        return self._compiled is not None and self._compiled.compile_next()

    def row_limit(self, key: Hashable) -> int | None:
        return self._meter.limit(key)

    def start_preview(self, denoising: AnyDenoising) -> Callable[[], bytes | None]:
        drawn = self._taken_up(denoising)
        preview = drawn.model.preview()
        return preview.start(drawn.adapter.grid(drawn)) if preview else lambda: None

    def start_finish(self, denoising: AnyDenoising) -> Callable[[], RenderedImage]:
        drawn = self._taken_up(denoising)
        with self._out_of_memory_told():
            arriving, way = decode(drawn)
        made_by = fingerprint(drawn.model, drawn.request, drawn.drawn_by)
        made_by |= {"decoded": way, "encoded": drawn.encoded or ""}
        # What depends on the memory that was free is promised to nobody.
        if {way, drawn.encoded} - {"whole", None}:
            made_by["exact"] = "no"
        name, timesteps = drawn.request.request_id, drawn.timesteps

        def complete() -> RenderedImage:
            times = tuple(round(float(time), 3) for time in timesteps)
            return RenderedImage(
                name, timings=Timings(), fingerprint=made_by, times=times, **asdict(arriving())
            )

        return complete

    def finish(self, denoising: AnyDenoising) -> RenderedImage:
        """The finished image, waited for."""
        return self.start_finish(denoising)()

    def render(
        self, request: ImageRequest, *, on_step: OnStep, should_stop: ShouldStop
    ) -> RenderedImage:
        _accept_known_warnings()
        clock = StageClock(request.steps, on_step=on_step, should_stop=should_stop)
        self.make_resident(request.model)
        model = self._models.resident(request.model)
        with self._out_of_memory_told():
            loras.apply(model, request.loras)
            rendering = plain.render(
                model, request, clock, preview_every=self._config.preview_every
            )
        return RenderedImage(
            request_id=request.request_id,
            timings=clock.timings(),
            fingerprint=fingerprint(model, request),
            **asdict(rendering),
        )

    def gauges(self) -> DiffusersGauges:
        self.enter_thread()
        used, total = memory_in_use(self._device)
        return DiffusersGauges(
            device=name_device(self._device),
            resident=self._models.names(),
            memory_used=used,
            memory_total=total,
            prompt_cache_hits=COUNTS.hits,
            prompt_cache_misses=COUNTS.misses,
            compiled=self.compile_state(),
            graphs=self._graphs.state(),
            model_room=largest_model(total, self._config),
            manners=self._manners(),
            itemsize=choose_dtype(self._config, self._device, STEPPED).itemsize,
        )

    def _manners(self) -> tuple[Manner, ...]:
        """Those in which some model may be loaded: nothing waits beside memory that is shared."""
        manners = manners_of(STEPPED, self._config, self._device)
        is_shared = self._device.type != "cuda"
        return tuple(each for each in manners if each in TOGETHER or not is_shared)

    def describe(self) -> str:
        """One line for the log: what it draws on, and how."""
        used, total = memory_in_use(self._device)
        dtypes = {family: choose_dtype(self._config, self._device, family) for family in ADAPTERS}
        device = describe_device(self._device, dtypes=dtypes, free=total - used, total=total)
        return f"{device}, graphs {self._graphs.state()}, compiling {self.compile_state()}"

    def compile_state(self) -> str:
        """ "off", or see `CompiledCalls.state`; any thread may ask."""
        return self._compiled.state() if self._compiled is not None else "off"

    def _taken_up(self, denoising: AnyDenoising) -> Denoising:
        """The denoising with its model as it is on the device now: it may have been loaded anew
        since the last step."""
        drawn = cast(Denoising, denoising)
        drawn.model = self._models.resident(drawn.request.model)
        return drawn

    def _predicting(self, call: MeasuredCall, timed: TimedStep) -> Predict:
        def predict(batch: Sequence[Denoising], inputs: DenoiserInputs) -> Prediction:
            prediction = self._compiled_answer(batch, inputs) or self._answer(batch, inputs)
            timed.way = prediction.way
            if prediction.way is None:
                self._meter.room_changed()
            # A replayed graph allocates nothing.
            call.rows = prediction.call_rows if prediction.way in {"compiled", "eager"} else None
            return prediction

        return predict

    def _compiled_answer(
        self, batch: Sequence[Denoising], inputs: DenoiserInputs
    ) -> Prediction | None:
        """None if no compiled code answers."""
        if self._compiled is None or (call := self._compiled.call_for(batch, inputs)) is None:
            return None
        try:
            prediction = self._graphs.predict(call)
        # Whatever the compiler's code raises, the original still serves.
        except Exception as error:
            if is_out_of_memory(error):
                raise
            self._graphs.leave(call.model)
            self._compiled.give_up(call.model, error)
            return None
        return replace(prediction, answer=prediction.answer[: len(inputs.latents)])

    def _answer(self, batch: Sequence[Denoising], inputs: DenoiserInputs) -> Prediction:
        """The original's, from a graph of it if that may be: exact requests are drawn op by op,
        and LoRAs come and go, as weights that are cast do."""
        first = batch[0]
        if first.request.exact or first.request.loras or not first.model.is_fixed:
            return predict_eagerly(batch, inputs)
        signature = (first.key, len(inputs.latents))
        return self._graphs.predict(call_of(first.adapter, first.model, signature, inputs))

    def _prepare_ways(self, model: LoadedModel) -> None:
        """Say who makes way for this model's VAE: other models first, then its own other parts,
        then graphs."""
        source, parts = model.source, model.parts
        model.vae_ways.reliefs = (lambda: self.make_way(source), self._free_graphs)
        if parts is not None:
            parts.on_leave = lambda: self._graphs.leave(source)
            model.vae_ways.reliefs = (
                lambda: self.make_way(source),
                parts.make_way,
                self._free_graphs,
            )
        model.vae_ways.available = self._probe.available if self._probe is not None else None

    def _model_leaves(self, model: LoadedModel) -> None:
        model.prompts.clear()
        model.vae_ways.forget()
        self._graphs.leave(model.source)
        if self._compiled is not None:
            self._compiled.leave(model.source)

    def _memory_probe(self) -> CudaProbe | None:
        if self._device.type != "cuda":
            return None
        return CudaProbe(self._device, held_by_graphs=lambda: self._graphs.held_bytes)

    def _free_graphs(self) -> bool:
        """False if there was none."""
        return self._graphs.free()

    @contextmanager
    def _out_of_memory_told(self) -> Iterator[None]:
        """Turns an allocation that failed into `OutOfMemory`, and gives back what can be."""
        failure = None
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            logger.warning("out of memory: %s", error)
            failure = OutOfMemory(detail=str(error))
        if failure is not None:
            # Outside the handler: the error's traceback holds the tensors that must go.
            self._free_graphs()
            release_memory()
            raise failure


def _accept_known_warnings() -> None:
    """Let samplers' sigmas pass: diffusers hands NumPy 2 tensors that know none of its new ways.
    And old files of schedulers, which it puts right itself.

    The numbers are right. Set for each request, since test runners reset the filters.
    """
    for message in ("__array__ implementation doesn't accept a copy", "__array_wrap__ must accept"):
        warnings.filterwarnings("ignore", message=message, category=DeprecationWarning)
    old_file = "The configuration file of this scheduler"
    warnings.filterwarnings("ignore", message=old_file, category=FutureWarning)


def fingerprint(
    model: LoadedModel, request: ImageRequest, drawn_by: Set[DrawnBy] = frozenset()
) -> dict[str, str]:
    """Return what an image depends on beside its request.

    device, gpu, torch, diffusers, dtype; weights: "full", or "fp8" if the denoiser's are stored in
    that: exact requests repeat what such weights draw; exact: "yes", or "no" if the request was not
    or there was no memory to decode or encode in one piece at full precision; compiled: "yes", "no"
    or "partly", for some steps; graphs: the same, of steps replayed from a CUDA graph; call_rows:
    the row counts of the denoiser calls, such as "2,4", empty if the model's own pipeline made
    them; lora_strength_untold: the LoRAs whose files don't say it. Of an image drawn step by step
    `decoded` and `encoded` are added: see `VaeWays`.
    """
    is_cuda = model.device.type == "cuda"
    return {
        "device": model.device.type,
        "gpu": torch.cuda.get_device_name(model.device) if is_cuda else "",
        "torch": str(torch.__version__),
        "diffusers": str(diffusers.__version__),
        "dtype": str(model.dtype).removeprefix("torch."),
        "weights": model.weights,
        "exact": "yes" if request.exact else "no",
        "compiled": _share({call.compiled for call in drawn_by}),
        "graphs": _share({call.graphed for call in drawn_by}),
        "call_rows": ",".join(str(rows) for rows in sorted({call.call_rows for call in drawn_by})),
        "lora_strength_untold": model.loras.of_untold_strength(),
    }


def _share(ways: Set[bool]) -> str:
    if True not in ways:
        return "no"
    return "partly" if False in ways else "yes"
