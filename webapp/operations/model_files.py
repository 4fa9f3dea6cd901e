"""What the worker says of models' files, many in one process, and which of them are the same."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError

from webapp.catalog.architectures import OTHER
from webapp.catalog.manifests import take_manifest
from webapp.operations.worker_modules import ask_worker_lines

# What is drawn with, beside parts of a pipeline and what is laid over one.
MODELS: Final = ("checkpoint", "pipeline")
LORA: Final = "lora"
# To read files whole takes as long as their disk does.
DIGEST_S: Final = 24 * 3600.0

# What is said of one file or folder (`worker.pipelines.inspect`).
Said = dict[str, Any]


def inspect_files(
    paths: Sequence[Path], *, walk: bool = False, with_digest: bool = False
) -> list[Said]:
    """What is said of each path, and, with `walk`, of all that lie below it. A copy of one that
    stands before it has its path as `same_as`. Raises CommandError if the worker can't say."""
    switches = ["--walk"] * walk + ["--sha256"] * with_digest
    limit_s = DIGEST_S if with_digest else None
    here = [str(path.absolute()) for path in paths]
    said = ask_worker_lines("inspect", *switches, "--", *here, limit_s=limit_s)
    _ask_pipelines(said)
    _tell_copies(said)
    return said


def inspect_file(path: Path) -> Said:
    """What is said of one path. Raises CommandError with the worker's sentence if neither a model
    nor a LoRA can be made of it."""
    (said,) = inspect_files([path])
    if not said["usable"]:
        raise CommandError(said["sentence"])
    if said["kind"] not in (*MODELS, LORA):
        raise CommandError(f"{path.name} is a {said['kind']}, which is no model by itself.")
    return said


def _ask_pipelines(said: list[Said]) -> None:
    """Of pipelines without an adapter diffusers itself is asked, all at once, for seconds."""
    asked = {one["path"]: one for one in said if one["usable"] and one["family"] == OTHER}
    if not asked:
        return
    for told in ask_worker_lines("other", *asked):
        asked[told["path"]].update(told)


def _tell_copies(said: list[Said]) -> None:
    """Files of the same header and size may still hold other weights: a manifest tells."""
    first: dict[str, list[Said]] = {}
    for one in said:
        if not one["identity"]:
            continue
        alike = first.setdefault(one["identity"], [])
        same = next((each for each in alike if _weights_of(each) == _weights_of(one)), None)
        if same is None:
            alike.append(one)
        else:
            one["same_as"] = same["path"]


def _weights_of(one: Said) -> list[str] | None:
    """Digests of its files; None if they can't be read."""
    if "weights" not in one:
        try:
            one["weights"] = sorted(take_manifest(Path(one["path"])).values())
        except OSError:
            one["weights"] = None
    kept: list[str] | None = one["weights"]
    return kept


def json_lines(said: Sequence[Said]) -> Iterator[str]:
    """Each as a line of JSON, without what is empty beyond the five that every line has."""
    always = ("path", "kind", "architecture", "usable", "sentence")
    for one in said:
        told = {key: one[key] for key in always}
        hidden = {*always, "weights", "form", "prefix"}
        told |= {key: value for key, value in one.items() if value and key not in hidden}
        yield json.dumps(told, ensure_ascii=False)


def table(said: Sequence[Said]) -> Iterator[str]:
    """A readable line for each, with its sentence."""
    for one in said:
        state = "yes" if one["usable"] else "no "
        what = " ".join(filter(None, (one["architecture"], one["variant"], one["dtype"])))
        copy = f" The same as {one['same_as']}." if "same_as" in one else ""
        name = Path(one["path"]).name
        yield f"{state} {one['kind']:12} {what:28} {name}: {one['sentence']}{copy}"
