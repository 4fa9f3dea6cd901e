"""AUTOMATIC1111's `parameters` text: how an image says what it was made with.

    prompt
    Negative prompt: negative prompt
    Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x768, Model: ..., Version: ...

Values that hold a comma, a colon or a line break are JSON-quoted, as the other tools do it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

_NEGATIVE = "Negative prompt: "
# `key: value` with a bare or a JSON-quoted value, as other tools read the last line.
_FIELD = re.compile(r'\s*([^:,]+): ("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"(\d+)x(\d+)")
_FEWEST_FIELDS = 3
# The two samplers' A1111 names carry the schedule in a field of its own.
_SCHEDULE_SUFFIXES = ("Karras", "Exponential", "Beta")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What an image was made with. `sampler` is the display name, such as "DPM++ 2M Karras";
    `more` is what not every tool writes, by its name in the text, such as "Denoising strength"."""

    prompt: str
    negative_prompt: str
    steps: int
    sampler: str
    guidance_scale: float
    seed: int
    width_px: int
    height_px: int
    model: str
    version: str
    model_hash: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


def write_parameters(parameters: Parameters) -> str:
    """Return the text; what is empty is left out."""
    lines = [parameters.prompt]
    if parameters.negative_prompt:
        lines.append(_NEGATIVE + parameters.negative_prompt)
    fields = _fields(parameters)
    lines.append(", ".join(f"{name}: {_quote(value)}" for name, value in fields.items() if value))
    return "\n".join(lines)


def read_parameters(text: str) -> Parameters:
    """Return what `text` says. Raises ValueError when it is not such a text."""
    body, _, last_line = text.rpartition("\n")
    fields = {name: _unquote(value) for name, value in _FIELD.findall(last_line)}
    size = _SIZE.fullmatch(fields.get("Size", ""))
    if len(fields) < _FEWEST_FIELDS or size is None:
        raise ValueError("The text does not end in a line of generation parameters.")
    prompt, negative_prompt = _split_prompts(body)
    try:
        said = Parameters(
            prompt=prompt,
            negative_prompt=negative_prompt,
            steps=int(fields["Steps"]),
            sampler=f"{fields['Sampler']} {fields.get('Schedule type', '')}".rstrip(),
            guidance_scale=float(fields["CFG scale"]),
            seed=int(fields["Seed"]),
            width_px=int(size[1]),
            height_px=int(size[2]),
            model=fields.get("Model", ""),
            version=fields.get("Version", ""),
            model_hash=fields.get("Model hash", ""),
        )
    except KeyError as error:
        raise ValueError(f"The generation parameters lack {error}.") from error
    return replace(said, more={n: fields[n] for n in fields if n not in _fields(said)})


def _fields(parameters: Parameters) -> dict[str, str]:
    sampler, schedule = _split_sampler(parameters.sampler)
    return {
        "Steps": str(parameters.steps),
        "Sampler": sampler,
        "Schedule type": schedule,
        "CFG scale": f"{parameters.guidance_scale:.10g}",
        "Seed": str(parameters.seed),
        "Size": f"{parameters.width_px}x{parameters.height_px}",
        "Model hash": parameters.model_hash,
        "Model": parameters.model,
        **parameters.more,
        "Version": parameters.version,
    }


def _split_sampler(name: str) -> tuple[str, str]:
    for schedule in _SCHEDULE_SUFFIXES:
        if name.endswith(f" {schedule}"):
            return name.removesuffix(f" {schedule}"), schedule
    return name, ""


def _split_prompts(body: str) -> tuple[str, str]:
    """The last line that starts with the marker begins the negative prompt."""
    if body.startswith(_NEGATIVE):
        return "", body.removeprefix(_NEGATIVE)
    prompt, marker, negative_prompt = body.rpartition(f"\n{_NEGATIVE}")
    return (prompt, negative_prompt) if marker else (body, "")


def _quote(value: str) -> str:
    needs_quotes = any(sign in value for sign in ',:\n"')
    return json.dumps(value, ensure_ascii=False) if needs_quotes else value


def _unquote(value: str) -> str:
    if not value.startswith('"'):
        return value.strip()
    unquoted: str = json.loads(value)
    return unquoted
