"""The runner as the engine asks it: with the errors of questions kept from ending its thread."""

import logging
from collections.abc import Callable
from typing import TypeVar

from worker.engine.device_errors import is_device_lost
from worker.engine.errors import OutOfMemory
from worker.engine.request import ImageRequest, ModelSource, RenderedImage
from worker.engine.runner import Denoising, OnStep, Runner, RunnerGauges, ShouldStop

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class AskedRunner:
    """Answers in place of a runner that cannot, unless the device is lost: that is raised.

    What runs out of memory gets one more try, once other models have made way.
    """

    def __init__(self, runner: Runner, *, on_lost: Callable[[BaseException], None]) -> None:
        self._runner = runner
        self._on_lost = on_lost

    def has_room_for(self, model: ModelSource) -> bool:
        """See `Runner.has_room_for`; False if the model's size cannot be told."""
        question = f"the size of {model.slug} is not known, loading it will say why"
        return self._ask(lambda: self._runner.has_room_for(model), question, instead=False)

    def row_limit(self, denoising: Denoising) -> int | None:
        """See `Runner.row_limit`; None if the device's memory cannot be asked."""
        question = "how many rows fit is not known"
        return self._ask(lambda: self._runner.row_limit(denoising.key), question, instead=None)

    def gauges(self) -> RunnerGauges:
        """See `Runner.gauges`, for any thread: empty ones if the device cannot be asked, and a
        lost device is told to `on_lost`, as a worker must not fall silent over its figures."""
        try:
            return self._runner.gauges()
        except Exception as error:
            logger.warning("the device tells no figures: %s", error)
            if is_device_lost(error):
                self._on_lost(error)
            return RunnerGauges()

    def begin(self, request: ImageRequest) -> Denoising:
        """See `Runner.begin`; out of memory, once more after other models made way. Raises what
        that raises."""
        return self._with_room(request, lambda: self._runner.begin(request))

    def start_finish(
        self, request: ImageRequest, denoising: Denoising
    ) -> Callable[[], RenderedImage]:
        """See `Runner.start_finish`; brings the model back if it made way meanwhile."""

        def start() -> Callable[[], RenderedImage]:
            if not self._runner.is_resident(request.model):
                self._runner.make_resident(request.model)
            return self._runner.start_finish(denoising)

        return self._with_room(request, start)

    def render(
        self, request: ImageRequest, *, on_step: OnStep, should_stop: ShouldStop
    ) -> RenderedImage:
        """See `Runner.render`; out of memory, once more after other models made way. Raises what
        that raises."""

        def render() -> RenderedImage:
            return self._runner.render(request, on_step=on_step, should_stop=should_stop)

        return self._with_room(request, render)

    def make_way(self, request: ImageRequest, error: OutOfMemory) -> None:
        """See `Runner.make_way`; what came of it goes to the log."""
        slug, name = request.model.slug, request.request_id
        question = f"no room was made for {slug}"
        have_left = self._ask(lambda: self._runner.make_way(request.model), question, instead=False)
        others = "other models left" if have_left else "no other model was there"
        logger.warning("request %s ran out of memory, %s: %s", name, others, error.detail)

    def _with_room(self, request: ImageRequest, act: Callable[[], Answer]) -> Answer:
        try:
            return act()
        except OutOfMemory as error:
            failure = OutOfMemory(detail=error.detail)
        # Outside the handler: the error's traceback holds what must go.
        self.make_way(request, failure)
        return act()

    def _ask(self, question: Callable[[], Answer], told: str, *, instead: Answer) -> Answer:
        try:
            return question()
        except Exception as error:
            if is_device_lost(error):
                raise
            logger.warning("%s: %s: %s", told, type(error).__name__, error)
            return instead
