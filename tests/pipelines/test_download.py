"""Downloading brings what the pipeline needs, from a hub on this machine, and nothing else."""

import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from webapp.catalog.services import add_hub_model
from webapp.core.errors import InvalidInput
from worker.config import EngineConfig
from worker.engine.request import ModelSource
from worker.pipelines.download import _parser, choose_files, download_model
from worker.pipelines.loader import load_model

HUB_ID = "somebody/tiny"
COMMIT = "a" * 40


class Hub(http.server.ThreadingHTTPServer):
    """Speaks the hub's protocol for one model: its description and its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gated = False
        self.served: list[str] = []
        super().__init__(("127.0.0.1", 0), _HubHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def description(self) -> dict[str, object]:
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        names = {str(file.relative_to(self.folder)): file.stat().st_size for file in files}
        return {
            "id": HUB_ID,
            "sha": COMMIT,
            "gated": "auto" if self.gated else False,
            "cardData": {"license": "apache-2.0"},
            "siblings": [{"rfilename": name, "size": size} for name, size in names.items()],
            "tags": [],
        }


class _HubHandler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def _answer(self) -> bytes:
        path = self.path.partition("?")[0]
        prefix = f"/{HUB_ID}/resolve/{COMMIT}/"
        if path.startswith(f"/api/models/{HUB_ID}"):
            return self._send(200, json.dumps(self.server.description()).encode())
        if not path.startswith(prefix):
            return self._send(404, b"", **{"X-Error-Code": "RepoNotFound"})
        if self.server.gated:
            return self._send(403, b"", **{"X-Error-Code": "GatedRepo"})
        name = path.removeprefix(prefix)
        if self.command == "GET":
            self.server.served.append(name)
        return self._send(200, (self.server.folder / name).read_bytes())

    def _send(self, status: int, body: bytes, **headers: str) -> bytes:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        return body

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(tiny_model_dir: Path) -> Iterator[Hub]:
    hub = Hub(tiny_model_dir)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    hub.shutdown()
    thread.join()
    hub.server_close()


def run(hub: Hub | str, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`hub`: one of ours, or an address."""
    url = hub if isinstance(hub, str) else hub.url
    command = [sys.executable, "-m", "worker.pipelines.download", *arguments]
    env = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(cache), "HF_TOKEN": ""}
    env.pop("HF_HUB_OFFLINE", None)
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=env, timeout=300
    )


def test_describing_tells_licence_gate_size_and_files(hub: Hub, tmp_path: Path) -> None:
    result = run(hub, tmp_path, "describe", HUB_ID)
    assert result.returncode == 0, result.stderr
    described = json.loads(result.stdout)
    assert (described["licence"], described["gated"]) == ("apache-2.0", False)
    assert described["revision"] == COMMIT
    assert described["bytes_total"] == sum(file["size_bytes"] for file in described["files"])
    assert "unet/diffusion_pytorch_model.safetensors" in {
        file["path"] for file in described["files"]
    }
    assert hub.served == []


def test_a_fetched_model_loads_and_progress_was_told(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "fetched"
    result = run(hub, tmp_path / "cache", "fetch", HUB_ID, "--into", str(target))
    assert result.returncode == 0, result.stderr
    progress = [json.loads(line) for line in result.stdout.splitlines()]
    done = [line["bytes_done"] for line in progress]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == progress[-1]["bytes_total"] > 3_000_000
    assert not list(tmp_path.glob(".fetched*"))
    source = ModelSource("fetched", "sd", "folder", str(target))
    assert load_model(source, EngineConfig(device="cpu"))


def test_progress_is_told_while_a_file_arrives(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        hub.url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    seen: list[int] = []
    download_model(HUB_ID, None, tmp_path / "m", lambda done, _total: seen.append(done))
    assert seen == sorted(seen)
    files = sum(1 for file in (tmp_path / "m").rglob("*") if file.is_file())
    assert len(set(seen)) > files  # more often than once per file


def test_the_configuration_alone_brings_no_weights(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "model.config"
    run(hub, tmp_path / "cache", "fetch", HUB_ID, "--into", str(target), "--configuration-only")
    assert (target / "unet" / "config.json").is_file()
    assert not list(target.rglob("*.safetensors"))


def test_a_gated_model_says_what_to_do_and_leaves_no_model_behind(hub: Hub, tmp_path: Path) -> None:
    hub.gated = True
    target = tmp_path / "fetched"
    result = run(hub, tmp_path / "cache", "fetch", HUB_ID, "--into", str(target))
    assert result.returncode == 1
    assert "accept its terms" in json.loads(result.stderr.splitlines()[-1])["error"]
    assert not target.exists()


def test_a_model_that_does_not_exist_is_an_error_in_one_sentence(hub: Hub, tmp_path: Path) -> None:
    result = run(hub, tmp_path, "describe", "somebody/nothing")
    assert result.returncode == 1
    assert "cannot be downloaded" in json.loads(result.stderr.splitlines()[-1])["error"]


def test_a_hub_that_cannot_be_reached_is_named_with_what_to_do_instead(tmp_path: Path) -> None:
    """huggingface_hub 1.x lets the errors of httpx2 through, which are no OSError."""
    nobody = "http://127.0.0.1:9"
    done = run(nobody, tmp_path, "describe", HUB_ID)
    assert done.returncode == 1
    told = json.loads(done.stderr.splitlines()[-1])["error"]
    assert told.startswith(f"{nobody} can't be reached: ")
    assert told.endswith("copy the model here and add its folder: manage.py models add FOLDER")


STABLE_DIFFUSION = [
    "README.md",
    "model_index.json",
    "v1-5-pruned.safetensors",
    "v1-5-pruned.ckpt",
    "feature_extractor/preprocessor_config.json",
    "safety_checker/model.safetensors",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/pytorch_model.bin",
    "tokenizer/merges.txt",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_flax_model.msgpack",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
]


@pytest.mark.parametrize(
    ("half", "precise", "left_out"), [(False, "", ".fp16"), (True, ".fp16", "")]
)
def test_one_precision_of_each_component_is_chosen(half: bool, precise: str, left_out: str) -> None:
    chosen = choose_files(STABLE_DIFFUSION, half=half)
    assert f"unet/diffusion_pytorch_model{precise}.safetensors" in chosen
    assert f"unet/diffusion_pytorch_model{left_out}.safetensors" not in chosen
    # The VAE comes in one precision only.
    assert "vae/diffusion_pytorch_model.safetensors" in chosen
    assert {"model_index.json", "tokenizer/merges.txt", "unet/config.json"} <= set(chosen)


def test_pickles_other_frameworks_and_the_safety_checker_stay_behind() -> None:
    chosen = choose_files(STABLE_DIFFUSION, half=False)
    assert all(path.endswith((".safetensors", ".json", ".txt")) for path in chosen)
    assert not any("safety_checker" in path or "v1-5" in path for path in chosen)
    assert not any("non_ema" in path for path in chosen)


def test_whoever_adds_a_hub_id_of_another_architecture_is_told_how_it_is_downloaded() -> None:
    with pytest.raises(InvalidInput) as refused:
        add_hub_model(hub_id=HUB_ID, slug="", name="", family="other")
    told = re.search("python -m worker.pipelines.download (.*?), then", refused.value.sentence)
    assert told is not None
    options = _parser().parse_args(told[1].split())
    assert (options.command, options.hub_id, options.into) == ("fetch", HUB_ID, Path("FOLDER"))
