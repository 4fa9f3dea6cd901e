"""What diffusers says of a text-to-image pipeline that no adapter knows: `python -m
worker.pipelines.other FOLDER...`.

Prints a line of JSON for each: usable, and either sentence or native_size_px and defaults. Reads
folders that `inspect` has found whole, their configurations alone; what is told is what the
pipeline's own class says of itself.
"""

import inspect
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import diffusers
import transformers
from diffusers.configuration_utils import FrozenDict

from worker.engine.errors import InvalidRequest, ModelUnavailable
from worker.pipelines import plain
from worker.pipelines.classes import check_installed, pipeline_class
from worker.recognition.headers import read_json

USUAL_SIDE_PX: Final = 1024
# Of every image, beside the guidance.
ASKED: Final = ("prompt", "width", "height", "num_inference_steps", "generator", "output_type")
LIBRARIES: Final = {"diffusers": diffusers, "transformers": transformers}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a model begins with: its usual side and the multiple that sides are of, both in pixels;
    None for what its pipeline leaves open."""

    side_px: int
    grid_px: int
    uses_negative_prompt: bool
    steps: int | None
    guidance_scale: float | None


def describe(path: Path) -> Defaults:
    """What the model in the folder `path` begins with. Raises `ModelUnavailable` with what is in
    the way of drawing with it."""
    index = read_json(path / "model_index.json") or {}
    found = pipeline_class(str(index.get("_class_name")))
    pipe = _around_configurations(found, path, index)
    accepted = inspect.signature(found.__call__).parameters
    try:
        plain.check_taken([*ASKED, plain.guidance_argument(accepted)], accepted)
    except InvalidRequest as error:
        sentence = f"{found.__name__} cannot be drawn with here. {error.sentence}"
        raise ModelUnavailable(sentence) from error
    return Defaults(
        side_px=_side_px(pipe, accepted),
        grid_px=plain.size_multiple(pipe),
        uses_negative_prompt=plain.takes_negative_prompt(accepted),
        steps=_number(accepted["num_inference_steps"].default),
        guidance_scale=_number(accepted[plain.guidance_argument(accepted)].default),
    )


def _number(value: object) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _side_px(pipe: Any, accepted: plain.Parameters) -> int:
    """The height that the pipeline draws if it is asked for none: it says so in its signature, or
    reckons it from its denoiser's configuration."""
    if said := _number(accepted["height"].default):
        return int(said)
    sample_size = plain.config_of(plain.denoiser_of(pipe)).get("sample_size")
    size = _number(getattr(pipe, "default_sample_size", None)) or _number(sample_size) or 0
    return int(size * getattr(pipe, "vae_scale_factor", 8)) or USUAL_SIDE_PX


# The pipeline without its weights


class _Configuration:
    """Stands where a pipeline looks for a component: its configuration, and nothing loaded."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = FrozenDict(config)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["config"][name]
        except KeyError:
            raise AttributeError(name) from None


def _around_configurations(found: Any, path: Path, index: dict[str, Any]) -> Any:
    """A pipeline of that class with configurations for its components, so that it reckons its
    sizes from them as ever."""
    wanted = dict(inspect.signature(found.__init__).parameters)
    wanted.pop("self")
    needed = {name for name, each in wanted.items() if each.default is each.empty}
    for name in sorted(needed - set(found._optional_components)):
        if not _is_there(index.get(name)):
            raise ModelUnavailable(f"{path.name} lacks its component {name}.")
    try:
        given = {
            name: _part(path, name, index.get(name))
            for name in wanted
            if name in needed or name in index
        }
        return found(**given)
    except ModelUnavailable:
        raise
    # Libraries raise whatever they like on configurations that don't fit together.
    except Exception as error:
        sentence = f"The configurations in {path.name} do not fit {found.__name__}."
        raise ModelUnavailable(sentence, detail=f"{type(error).__name__}: {error}") from error


def _is_there(entry: object) -> bool:
    """False for what is not listed, and for a pair of nulls, which means "none"."""
    return all(entry) if isinstance(entry, list) else entry is not None


def _part(path: Path, name: str, entry: object) -> Any:
    """Its configuration for a part that has weights in diffusers, None for one that has them in
    transformers (pipelines do without until they draw); a tokenizer or a plain value as it is."""
    if not isinstance(entry, list):
        return entry
    library, class_name = entry
    if not all(entry) or library not in LIBRARIES:
        return None
    part_class = getattr(LIBRARIES[library], class_name, None)
    if part_class is None:
        version = LIBRARIES[library].__version__
        sentence = f"{path.name} has a {name} that {library} {version} does not know: {class_name}."
        raise ModelUnavailable(sentence)
    check_installed(class_name, part_class)
    if issubclass(part_class, transformers.PreTrainedModel):
        return None
    if library != "diffusers":
        return part_class.from_pretrained(path / name, local_files_only=True)
    return _Configuration(_defaults_of(part_class) | _configuration(path / name))


def _defaults_of(part_class: Any) -> dict[str, Any]:
    accepted = inspect.signature(part_class.__init__).parameters.values()
    return {each.name: each.default for each in accepted if each.default is not each.empty}


def _configuration(folder: Path) -> dict[str, Any]:
    names = ("config.json", "scheduler_config.json")
    return next(filter(None, (read_json(folder / name) for name in names)), {})


def main(arguments: list[str]) -> int:
    """Print a line of what is told of each folder given; return 0, or 2 when called wrongly."""
    if not arguments:
        print("usage: python -m worker.pipelines.other FOLDER...", file=sys.stderr)
        return 2
    for folder in arguments:
        print(json.dumps({"path": folder} | _told(Path(folder))))
    return 0


def _told(folder: Path) -> dict[str, Any]:
    try:
        said = asdict(describe(folder))
    except ModelUnavailable as error:
        return {"usable": False, "sentence": error.sentence}
    side_px = said.pop("side_px")
    known = {name: value for name, value in said.items() if value is not None}
    return {"usable": True, "native_size_px": side_px, "defaults": known}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
