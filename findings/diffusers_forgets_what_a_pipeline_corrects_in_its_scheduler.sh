#!/usr/bin/env bash
# diffusers 0.42.1: what a pipeline corrects in its scheduler is lost with the next `from_config`.
#
# Guess: StableDiffusionPipeline finds steps_offset and clip_sample missing in a model's scheduler file,
# warns, and puts both right in the scheduler's configuration; another sampler is then made of that
# configuration as the documentation says, `DDIMScheduler.from_config(pipe.scheduler.config)`, and has
# them too. Seen: it has not, whatever its class. A configuration remembers which values came from
# defaults, `from_config` leaves those out, and nobody takes the corrected ones off that list. So DDIM
# begins each step one time early and clips latents to -1..1 at every step, without a warning, for the
# constructor that would warn is not called again; a file that says the wrong values itself is corrected
# for good.
#
# So Darkroom passes on a value that differs from its class's default, whatever the list says, and sets
# both for each sampler (`worker/pipelines/samplers.py`, `tests/pipelines/test_schedule_settings.py`).
#
# Installs pinned public packages into a temporary folder and runs them without the product; fails when
# the behaviour is another one. (PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu takes the small
# build of torch.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  diffusers==0.42.1 transformers==5.23.0 torch==2.13.0 numpy==2.4.6
cd "$folder"
cat > swap.py <<'PYTHON'
import warnings

from diffusers import DDIMScheduler, StableDiffusionPipeline

PARTS = ("vae", "text_encoder", "tokenizer", "unet", "safety_checker", "feature_extractor")
WRONG = {"steps_offset": 0, "clip_sample": True}


def swapped(file):
    """Offset and clipping after the pipeline was built, and after its scheduler was made anew."""
    parts = dict.fromkeys(PARTS)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        pipe = StableDiffusionPipeline(
            scheduler=DDIMScheduler.from_config(file), requires_safety_checker=False, **parts
        )
    anew = DDIMScheduler.from_config(pipe.scheduler.config)
    return [(one.config.steps_offset, one.config.clip_sample) for one in (pipe.scheduler, anew)]


said = {"a file that leaves them out": swapped({}), "a file that says them": swapped(WRONG)}
for file, (corrected, anew) in said.items():
    print(f"{file}: corrected to {corrected}, made anew {anew}")
right, wrong = (1, False), (0, True)
assert list(said.values()) == [[right, wrong], [right, right]]
PYTHON
"$folder/venv/bin/python" swap.py
