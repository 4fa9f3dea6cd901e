"""Who asks for what, and when: drawn from a seed, so that every system gets the same requests."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from worker.engine.request import ImageRequest, ModelSource

STEPS = (20, 30, 50)
SAMPLERS = ("ddim", "euler", "euler_a", "dpmpp_2m_karras", "unipc")
GUIDANCE = (1.0, 5.0, 7.5)
SUBJECTS = ("a fox", "a lighthouse", "two boats", "an old library", "a mountain hut")
MOODS = ("at dusk", "in the rain", "storybook illustration", "in winter light")
NEGATIVE = "people, text"
CANCELLED_SHARE = 0.1
DUMPER = "dumper"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that comes `at_s` seconds into the load, and is cancelled `cancel_after_s` later
    unless that is None."""

    at_s: float
    request: ImageRequest
    cancel_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Mix:
    """Draws requests for `model` at `side_px` x `side_px`; the same seed draws the same ones."""

    model: ModelSource
    side_px: int
    seed: int
    steps: tuple[int, ...] = STEPS

    def draw(self, count: int, *, load: str, owners: int = 8) -> list[ImageRequest]:
        """`count` requests of `owners` people in turn; `load` names what they are for."""
        chance = random.Random(f"{self.seed} {load}")
        return [
            self.request(
                f"{load}-{number}",
                owner=f"user-{number % owners}",
                steps=chance.choice(self.steps),
                guidance=chance.choice(GUIDANCE),
                sampler=chance.choice(SAMPLERS),
                prompt=f"{chance.choice(SUBJECTS)} {chance.choice(MOODS)}, number {number}",
                seed=chance.getrandbits(32),
            )
            for number in range(count)
        ]

    def arrivals(
        self, count: int, *, load: str, per_s: float, cancel_within_s: float
    ) -> list[Arrival]:
        """A Poisson stream of `per_s` requests a second; one in ten is cancelled, at an even
        chance at any time up to `cancel_within_s` after it came."""
        chance = random.Random(f"{self.seed} {load} arrivals")
        at_s, arrivals = 0.0, []
        for request in self.draw(count, load=load):
            at_s += chance.expovariate(per_s)
            is_cancelled = chance.random() < CANCELLED_SHARE
            patience_s = chance.uniform(0, cancel_within_s)
            arrivals.append(Arrival(at_s, request, patience_s if is_cancelled else None))
        return arrivals

    def warm_up(self) -> list[ImageRequest]:
        """One request for each sampler with guidance and one without: every kind of denoiser call
        that the other draws lead to."""
        return [
            self.request(f"warm-up-{sampler}-{guidance:g}", sampler=sampler, guidance=guidance)
            for sampler in SAMPLERS
            for guidance in GUIDANCE[:2]
        ]

    def dump(self, count: int, *, load: str) -> list[ImageRequest]:
        """One person's `count` images of one prompt with one set of parameters, as they come
        from one form: what coalescing is best at."""
        return [
            self.request(f"{load}-dump-{number}", owner=DUMPER, seed=number)
            for number in range(count)
        ]

    def request(
        self,
        request_id: str,
        *,
        owner: str = "user-0",
        steps: int | None = None,
        guidance: float = 5.0,
        sampler: str = "euler",
        prompt: str = "a fox at dusk, storybook illustration",
        seed: int = 0,
    ) -> ImageRequest:
        """One request, with the middle of every range unless told otherwise."""
        return ImageRequest(
            request_id=request_id,
            owner_id=owner,
            model=self.model,
            prompt=prompt,
            negative_prompt=NEGATIVE,
            width_px=self.side_px,
            height_px=self.side_px,
            steps=self.steps[len(self.steps) // 2] if steps is None else steps,
            guidance_scale=guidance,
            seed=seed,
            sampler=sampler,
        )


def is_dumped(request: ImageRequest) -> bool:
    """Whether the request belongs to the person who asks for many images at once."""
    return request.owner_id == DUMPER


def by_owner(requests: Sequence[ImageRequest]) -> dict[str, list[ImageRequest]]:
    """The requests of each owner, in their order."""
    owners: dict[str, list[ImageRequest]] = {}
    for request in requests:
        owners.setdefault(request.owner_id, []).append(request)
    return owners
