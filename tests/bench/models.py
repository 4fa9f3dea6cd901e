"""What a LoRA and another model cost an image, at the starter model's size."""

import shutil
import statistics
from collections.abc import Iterator

from tests.bench.bench import Bench
from tests.bench.connection import Connection, News, read_row
from tests.bench.figures import Figure
from tests.trial import PROJECT, Trial

REPETITIONS = 12
LORA_X, SWITCH_X = 1.15, 1.2
ASKED = {
    "quoted_each_ucr": "200000",
    "prompt": "a red apple",
    "width": "128",
    "height": "128",
    "steps": "20",
    "guidance_scale": "4",
    "sampler": "ddim",
}
SECONDS = """SELECT (timings_s ->> 'denoise_s')::float,
    EXTRACT(EPOCH FROM finished_at - started_at)::float FROM generation_image WHERE id = %s"""


def measure_models(bench: Bench) -> Iterator[Figure]:
    """A studio that offers the starter model twice, and a LoRA for it."""
    trial = bench.trial("models", {"DARKROOM_STARTING_CREDITS": "640"})
    with trial.running():
        for slug in ("first", "second"):
            folder = trial.folder / slug
            shutil.copytree(PROJECT / "worker/starter/pipeline", folder)
            (folder / "vocabulary.json").unlink()  # it draws whatever the prompt says
            trial.manage("models", "add", str(folder), "--slug", slug, "--size", "128", "--enable")
        lora = trial.folder / "random.safetensors"
        trial.run("-m", "tests.bench.tiny_lora", str(trial.folder / "first"), str(lora))
        trial.manage("models", "add", str(lora), "--enable")
        draw = Drawer(trial)
        yield of_lora(draw)
        yield of_switching(draw)
        print(trial.manage("check_credits").strip(), flush=True)


class Drawer:
    """One person, who draws one image at a time."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.connection = Connection(trial, trial.sign_up("drawer"))
        self.news = News(trial)

    def draw(self, model: str, *, tag: str = "") -> tuple[float, float]:
        """(seconds of denoising, seconds from the claim to the stored image)."""
        asked = ASKED | {"model": model, "prompt": f"{ASKED['prompt']} {tag}"}
        _generation, image = self.connection.request_image(asked)
        self.news.wait_until_stored(image)
        denoising_s, all_s = read_row(self.trial, SECONDS, image)
        return denoising_s, all_s


def of_lora(drawer: Drawer) -> Figure:
    """Denoising with a LoRA over denoising without, in turns."""
    plain, worn = [], []
    for number in range(1 + REPETITIONS):
        without, _all = drawer.draw("first")
        with_lora, _all = drawer.draw("first", tag="<lora:random:0.5>")
        if number:  # the first is read from its file
            plain.append(without)
            worn.append(with_lora)
    before, after = statistics.median(plain), statistics.median(worn)
    note = f"denoising, {after:.2f} s with a LoRA of every attention layer, {before:.2f} s without"
    return Figure("lora_ratio", after / before, LORA_X, note=note)


def of_switching(drawer: Drawer) -> Figure:
    """The first image of a model after one of another over the next of the same, both loaded."""
    first, next_one = [], []
    for number in range(1 + REPETITIONS):
        for model in ("first", "second"):
            _denoising, switched_s = drawer.draw(model)
            _denoising, warm_s = drawer.draw(model)
            if number:
                first.append(switched_s)
                next_one.append(warm_s)
    before, after = statistics.median(next_one), statistics.median(first)
    note = f"{after:.2f} s after an image of another model, {before:.2f} s after one of its own"
    return Figure("switch_ratio", after / before, SWITCH_X, note=note)
