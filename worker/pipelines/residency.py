"""Which models are on the device, which wait in memory beside it, and which make way.

A model leaves the device when another needs its room and it was used least recently. Beside a
CUDA device it then waits in page-locked memory, from where it is back in a second; the one that
waited longest is dropped. A device that shares the machine's memory has no second level.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from worker.config import EngineConfig
from worker.engine.errors import EngineError, ModelUnavailable, OutOfMemory
from worker.engine.request import ModelSource
from worker.pipelines.fitting import SPARE_BYTES, Plan, Room
from worker.pipelines.host_copy import free_host_blocks
from worker.pipelines.loader import LoadedModel, load_model, plan_model
from worker.pipelines.memory import (
    device_memory,
    is_out_of_memory,
    machine_memory,
    release_memory,
    weight_bytes,
)

logger = logging.getLogger(__name__)

# The rest is for images under way, and for the machine's other programs.
CUDA_SHARE: Final = 0.7
SHARED_MEMORY_SHARE: Final = 0.4
HOST_SHARE: Final = 0.25
# What waits of a model that is itself on the device: its text encoders.
PARTS_SHARE: Final = 0.75

OnChange = Callable[[LoadedModel], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes for weights on the device and beside it, and how many models may be on the device."""

    device: int
    host: int = 0
    models: int | None = None


def budget_of(config: EngineConfig, device: torch.device) -> Budget:
    """What `config` allows on `device`; if it says nothing, shares of its memory, and no more
    than is free now: other programs, or another worker, may hold the rest."""
    memory = device_memory(device)
    if device.type == "cuda":
        share, beside = CUDA_SHARE, int(machine_memory() * HOST_SHARE)
    else:
        share, beside = SHARED_MEMORY_SHARE, 0
    on_device = min(int(memory.total * share), max(0, memory.ours - SPARE_BYTES))
    return Budget(
        device=on_device if config.model_memory is None else config.model_memory,
        host=beside if config.host_model_memory is None or not beside else config.host_model_memory,
        models=config.resident_models,
    )


def largest_model(total: int, config: EngineConfig) -> int:
    """Bytes that one model may ever take of a device of `total` bytes."""
    most = total - SPARE_BYTES
    return most if config.model_memory is None else min(most, config.model_memory)


def room_on(device: torch.device, config: EngineConfig) -> Room:
    """What one model can have at best: if all others leave, and no more than `config` allows."""
    memory = device_memory(device)
    most = min(largest_model(memory.total, config), memory.ours - SPARE_BYTES // 2)
    beside = int(machine_memory() * PARTS_SHARE) if device.type == "cuda" else 0
    return Room(memory.total, most, beside)


class ResidentModels:
    """The models in memory, on two levels, least recently used first.

    `on_leave` is told of a model before its weights leave the device. Only `names` may be called
    by any thread.
    """

    def __init__(
        self,
        config: EngineConfig,
        device: torch.device,
        *,
        budget: Budget | None = None,
        room: Callable[[], Room] | None = None,
        on_leave: OnChange = lambda _model: None,
    ) -> None:
        self._config = config
        self._device = device
        self._budget = budget or budget_of(config, device)
        self._room = room or (lambda: room_on(device, config))
        self._on_leave = on_leave
        self._resident: OrderedDict[ModelSource, LoadedModel] = OrderedDict()
        self._beside: OrderedDict[ModelSource, LoadedModel] = OrderedDict()
        self._names: tuple[str, ...] = ()
        # Measured if loaded before, else by the headers of the files; 0 for what will be refused.
        self._sizes: dict[ModelSource, int] = {}

    def holds(self, source: ModelSource) -> bool:
        """True if the model is on the device."""
        return source in self._resident

    def names(self) -> tuple[str, ...]:
        """Slugs of the models on the device; any thread may ask."""
        return self._names

    def has_room_for(self, source: ModelSource) -> bool:
        """True if the model is here, or can be without another leaving."""
        return source in self._resident or not self._resident or self._fits(source)

    def resident(self, source: ModelSource) -> LoadedModel:
        """The model, which is on the device, now used last. Raises `EngineError` if it is not:
        whoever asks has forgotten to bring it back."""
        if source not in self._resident:
            raise EngineError(detail=f"the model {source.slug} is not on the device")
        self._resident.move_to_end(source)
        return self._resident[source]

    def get(self, source: ModelSource) -> LoadedModel:
        """Return the model, brought onto the device if need be.

        Raises `ModelUnavailable` when its files cannot be used or it is too large for the device,
        before any other model leaves, and `OutOfMemory` when there is no room even alone against
        all reckoning.
        """
        if source not in self._resident:
            plan = None if source in self._beside else self._planned(source)
            # Those that make way for it now must not push it out of where it waits.
            waiting = self._beside.pop(source, None)
            self._make_room(source)  # first: both at once may not fit
            self._resident[source] = self._bring(source, waiting, plan)
            self._sizes[source] = self._resident[source].device_bytes()
        self._resident.move_to_end(source)
        # The estimate may have been too low.
        while self._is_over_budget() and len(self._resident) > 1:
            self._let_one_leave()
        self._note_names()
        return self._resident[source]

    def make_way(self, source: ModelSource) -> bool:
        """Let all other models leave the device; True if one did. Their denoisings go on when they
        are back."""
        others = [other for other in self._resident if other != source]
        for other in others:
            self._let_leave(other)
        return bool(others)

    def _planned(self, source: ModelSource) -> Plan:
        plan = plan_model(source, self._config, self._room())
        self._sizes[source] = plan.device_bytes
        return plan

    def _bring(
        self, source: ModelSource, waiting: LoadedModel | None, plan: Plan | None
    ) -> LoadedModel:
        if waiting is not None and self._has_returned(waiting):
            return waiting
        plan = plan or self._planned(source)
        failure = None
        try:
            return load_model(source, self._config, plan)
        except OutOfMemory as error:
            if not self._resident:
                raise
            failure = error.detail
        # Outside the handler: the error's traceback holds what must go.
        logger.warning("no room for %s beside other models; they leave: %s", source.slug, failure)
        self.make_way(source)
        return load_model(source, self._config, plan)

    def _has_returned(self, model: LoadedModel) -> bool:
        """False if there was no room: its weights are dropped then, half moved as they are."""
        try:
            model.come_back()
            return True
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            logger.warning("no room for %s, which waited: %s", model.source.slug, error)
        self._drop(model)
        release_memory()
        return False

    def _make_room(self, source: ModelSource) -> None:
        while self._resident and not self._fits(source):
            self._let_one_leave()

    def _fits(self, source: ModelSource) -> bool:
        if self._budget.models is not None and len(self._resident) >= self._budget.models:
            return False
        return self._held(self._resident) + self._size_of(source) <= self._budget.device

    def _is_over_budget(self) -> bool:
        return self._held(self._resident) > self._budget.device

    def _size_of(self, source: ModelSource) -> int:
        if source not in self._sizes:
            try:
                self._planned(source)
            except ModelUnavailable:
                self._sizes[source] = 0  # refused when it is brought in: nobody has to leave for it
        return self._sizes[source]

    def _held(self, models: OrderedDict[ModelSource, LoadedModel]) -> int:
        return sum(self._sizes[source] for source in models)

    def _note_names(self) -> None:
        # Race: another thread that went through the dictionary itself would see it change.
        self._names = tuple(sorted(source.slug for source in self._resident))

    def _let_one_leave(self) -> None:
        self._let_leave(next(iter(self._resident)))

    def _let_leave(self, source: ModelSource) -> None:
        """Only the engine's thread may: it alone runs the weights that go."""
        model = self._resident.pop(source)
        self._note_names()
        self._sizes[source] = model.device_bytes()  # LoRAs may have come to it
        self._on_leave(model)
        if weight_bytes(model.pipeline) > self._budget.host:
            self._drop(model)
        else:
            self._put_beside(source, model)
        release_memory()

    def _put_beside(self, source: ModelSource, model: LoadedModel) -> None:
        while self._beside and self._held(self._beside) + self._sizes[source] > self._budget.host:
            self._drop(self._beside.popitem(last=False)[1])
        try:
            model.wait_beside()
        # Page-locked memory has limits of its own. The files are still there.
        except (RuntimeError, MemoryError) as error:
            logger.warning("%s cannot wait beside the device: %s", source.slug, error)
            self._drop(model)
            return
        self._beside[source] = model

    def _drop(self, model: LoadedModel) -> None:
        model.drop()
        free_host_blocks()
        logger.info("the model %s left memory", model.source.slug)
