"""Fetch a model from the Hugging Face hub, as a deliberate step of its own.

    python -m worker.pipelines.download describe HUB_ID [--revision R] [--half]
    python -m worker.pipelines.download fetch HUB_ID --into DIR [--revision R] [--half]
                                              [--configuration-only]

`describe` prints one line of JSON: licence, gated, bytes_total, files. `fetch` prints a line
`{"bytes_done": ..., "bytes_total": ...}` as it goes. Both print `{"error": ...}` to standard
error and return 1 when the model cannot be had.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError
from huggingface_hub.utils.tqdm import tqdm

from worker.recognition.folders import OPTIONAL_COMPONENTS

OnProgress = Callable[[int, int], None]

# `.model` is the sentence-piece vocabulary of T5.
_CONFIGURATION_SUFFIXES = frozenset({".json", ".txt", ".model"})
_WEIGHTS_SUFFIX = ".safetensors"
_SECONDS_BETWEEN_LINES = 0.5
_HALF, _NON_EMA = "fp16", "non_ema"


class DownloadError(Exception):
    """The model cannot be had; the message says why in one sentence."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a hub model that is worth having."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Description:
    """What a download would bring. `gated`: the hub asks for an account that accepted terms."""

    hub_id: str
    revision: str
    licence: str | None
    gated: bool
    bytes_total: int
    files: list[RemoteFile]


def describe_model(
    hub_id: str,
    revision: str | None = None,
    *,
    half: bool = False,
    configuration_only: bool = False,
) -> Description:
    """Return the files that the model needs, with `revision` resolved to a commit.

    `half` prefers 16-bit weights if the model has them. Raises `DownloadError`.
    """
    try:
        info = HfApi().model_info(hub_id, revision=revision, files_metadata=True)
    except (HfHubHTTPError, HFValidationError, httpx2.HTTPError, OSError) as error:
        raise _refusal(hub_id, error) from error
    remote = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if "model_index.json" not in remote:
        raise DownloadError(f"{hub_id} is not a model in diffusers format.")
    wanted = choose_files(remote, half=half)
    if configuration_only:
        wanted = [path for path in wanted if not path.endswith(_WEIGHTS_SUFFIX)]
    elif not any(path.endswith(_WEIGHTS_SUFFIX) for path in wanted):
        raise DownloadError(f"{hub_id} has no safetensors weights.")
    files = [RemoteFile(path, remote[path]) for path in wanted]
    total = sum(file.size_bytes for file in files)
    licence = info.card_data.get("license") if info.card_data else None
    return Description(hub_id, info.sha or "main", licence, bool(info.gated), total, files)


def choose_files(paths: Iterable[str], *, half: bool) -> list[str]:
    """Return which of a repository's files its pipeline loads, sorted.

    Configuration and tokenizers of every component, and one precision of safetensors weights for
    each. Leaves out pickles, other frameworks, checkpoints beside the components and the safety
    checker.
    """
    needed = {"model_index.json"}
    weights: dict[str, list[str]] = {}  # component -> weight files in any precision
    for path in map(PurePosixPath, paths):
        if len(path.parts) != 2 or path.parts[0] in OPTIONAL_COMPONENTS:
            continue
        if path.suffix == _WEIGHTS_SUFFIX:
            weights.setdefault(path.parts[0], []).append(str(path))
        elif path.suffix in _CONFIGURATION_SUFFIXES:
            needed.add(str(path))
    for files in weights.values():
        needed.update(_one_precision(files, half=half))
    return sorted(needed)


def download_model(
    hub_id: str,
    revision: str | None,
    target_dir: Path,
    on_progress: OnProgress,
    *,
    half: bool = False,
    configuration_only: bool = False,
) -> Path:
    """Return `target_dir` with the model in it; it appears only when it is complete.

    `on_progress(bytes_done, bytes_total)` is called as bytes arrive and after each file. What an
    interrupted download had finished is kept beside `target_dir` and not fetched again. Raises
    `DownloadError`.
    """
    if target_dir.exists():
        raise DownloadError(f"{target_dir.name} already exists.")
    plan = describe_model(hub_id, revision, half=half, configuration_only=configuration_only)
    partial = target_dir.with_name(f".{target_dir.name}.partial")
    _check_room(partial, plan.bytes_total)
    done = 0
    on_progress(done, plan.bytes_total)
    for file in plan.files:
        _download_file(plan, file, partial, _offset(on_progress, done, plan.bytes_total))
        done += file.size_bytes
        on_progress(done, plan.bytes_total)
    shutil.rmtree(partial / ".cache", ignore_errors=True)  # the hub client's own notes
    partial.rename(target_dir)
    return target_dir


def _one_precision(files: list[str], *, half: bool) -> list[str]:
    plain = [file for file in files if _HALF not in file and _NON_EMA not in file]
    halves = [file for file in files if _HALF in file and _NON_EMA not in file]
    return halves if halves and (half or not plain) else plain


def _check_room(partial: Path, bytes_total: int) -> None:
    partial.mkdir(parents=True, exist_ok=True)
    present = sum(file.stat().st_size for file in partial.rglob("*") if file.is_file())
    missing = bytes_total - present
    if shutil.disk_usage(partial).free < missing:
        raise DownloadError(f"The disk has no room for another {missing / 1e9:.1f} GB.")


def _download_file(
    plan: Description, file: RemoteFile, into: Path, on_bytes: Callable[[int], None]
) -> None:
    bar = _bar_reporting(on_bytes)
    try:
        hf_hub_download(
            plan.hub_id, file.path, revision=plan.revision, local_dir=into, tqdm_class=bar
        )
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise _refusal(plan.hub_id, error) from error


def _offset(on_progress: OnProgress, done: int, total: int) -> Callable[[int], None]:
    return lambda arrived: on_progress(done + arrived, total)


def _bar_reporting(on_bytes: Callable[[int], None]) -> type[tqdm]:
    """Return a progress bar class for the hub client that draws nothing and reports the bytes."""

    class Reporter(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.arrived = int(options.get("initial") or 0)
            super().__init__(*args, **(options | {"disable": True}))  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            self.arrived += int(n or 0)
            on_bytes(self.arrived)

    return Reporter


def _refusal(hub_id: str, error: Exception) -> DownloadError:
    if isinstance(error, GatedRepoError):
        return DownloadError(f"{hub_id} asks you to accept its terms on the hub and set HF_TOKEN.")
    why = next(iter(str(error).splitlines()), type(error).__name__)
    if isinstance(error, httpx2.TransportError):
        return DownloadError(
            f"{constants.ENDPOINT} can't be reached: {why}. Try again later, or copy the model here"
            " and add its folder: manage.py models add FOLDER"
        )
    return DownloadError(f"{hub_id} cannot be downloaded: {why}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker.pipelines.download")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("describe", "fetch"):
        command = commands.add_parser(name)
        command.add_argument("hub_id")
        command.add_argument("--revision")
        command.add_argument("--half", action="store_true", help="prefer 16-bit weights")
        command.add_argument("--configuration-only", action="store_true", help="leave weights out")
        if name == "fetch":
            command.add_argument("--into", type=Path, required=True, metavar="DIR")
    return parser


class _ProgressPrinter:
    """Prints a line of JSON at most twice a second, and always the first and the last."""

    def __init__(self) -> None:
        self._printed_at = 0.0

    def __call__(self, bytes_done: int, bytes_total: int) -> None:
        now = time.monotonic()
        if bytes_done < bytes_total and now - self._printed_at < _SECONDS_BETWEEN_LINES:
            return
        self._printed_at = now
        print(json.dumps({"bytes_done": bytes_done, "bytes_total": bytes_total}), flush=True)


def main(arguments: list[str]) -> int:
    """Run one command; return 0, or 1 with `{"error": ...}` on standard error."""
    options = _parser().parse_args(arguments)
    choice = {"half": options.half, "configuration_only": options.configuration_only}
    try:
        if options.command == "describe":
            print(json.dumps(asdict(describe_model(options.hub_id, options.revision, **choice))))
        else:
            report = _ProgressPrinter()
            download_model(options.hub_id, options.revision, options.into, report, **choice)
    except DownloadError as error:
        print(json.dumps({"error": str(error)}), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
