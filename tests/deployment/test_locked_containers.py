"""What keeps containers starting, small and closed: who owns the volumes, what can be written, who
runs, what a check costs, what the web's image carries of the worker."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from django.conf import LazySettings
from django.core.management.base import CommandError

from tests.deployment.test_containers import OWN_SERVICES, PROJECT, compose, instructions, stages
from webapp.operations.worker_modules import ask_worker

HEALTHY = PROJECT / "deploy" / "healthy.sh"
WEB_IMAGE = "web"


def mounts(service: str) -> dict[str, str]:
    """Path in the container -> volume, of the named volumes alone."""
    found = (mount.split(":") for mount in compose()["services"][service]["volumes"])
    return {target: volume for volume, target, *_ in found if not volume.startswith(".")}


def folders_of_the_user() -> set[str]:
    """Those that the image makes for the user who runs in it."""
    made = (
        re.findall(r"install -d -o darkroom -g darkroom ([^&]*)", rest)
        for _w, rest in instructions()
    )
    return {path for texts in made for text in texts for path in text.split() if path[0] == "/"}


@pytest.mark.parametrize("service", OWN_SERVICES)
def test_a_volume_is_first_mounted_over_a_folder_of_the_containers_user(service: str) -> None:
    """Docker gives a new volume the owner of what it covers; of nothing, to root."""
    assert set(mounts(service)) - folders_of_the_user() == set()


def test_web_and_beat_share_static_files_and_everybody_media_models_and_mails() -> None:
    for name in OWN_SERVICES:
        shared = {"media", "models", "mail"}
        assert shared <= set(mounts(name).values()), name
    assert "static" in mounts("web").values()


def test_no_container_is_root_or_can_write_outside_of_volumes_and_memory() -> None:
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name not in OWN_SERVICES:  # of our own images `USER` says it
            assert service["user"] not in {"root", "0"}, name


@pytest.mark.parametrize("service", OWN_SERVICES)
def test_what_waits_in_memory_is_bounded_and_the_workers_notes_are_the_users(service: str) -> None:
    temporary = dict(one.split(":", 1) for one in compose()["services"][service]["tmpfs"])
    assert temporary.keys() == {"/tmp", "/var/lib/darkroom/workers"}  # noqa: S108
    assert all("size=" in options for options in temporary.values())
    assert "uid=10001,gid=10001" in temporary["/var/lib/darkroom/workers"]


def test_what_a_compiler_builds_lies_where_it_may_be_run() -> None:
    """A tmpfs of Docker's is noexec."""
    worker = stages()["worker"]
    variables = " ".join(rest for word, rest in worker if word == "ENV")
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        assert f"{name}=/home/darkroom/.cache/" in variables
    for service in ("worker", "worker-cpu"):
        assert mounts(service)["/home/darkroom/.cache"] == "cache"
    assert any(word == "RUN" and "g++" in rest for word, rest in worker)


def test_without_a_profile_nothing_asks_for_a_gpu_and_each_profile_has_its_worker() -> None:
    services = compose()["services"]
    gpu = [name for name, one in services.items() if "devices" in str(one.get("deploy"))]
    assert gpu == ["worker"]
    assert [services[name]["profiles"] for name in ("worker", "worker-cpu")] == [["gpu"], ["cpu"]]
    assert services["worker-cpu"]["environment"]["DARKROOM_DEVICE"] == "cpu"
    assert "/whl/cpu}" in services["worker-cpu"]["build"]["args"]["TORCH_INDEX"]


def test_webs_can_be_several_behind_one_port() -> None:
    services = compose()["services"]
    assert not {"ports", "container_name", "hostname"} & services["web"].keys()
    assert "web:8000" in (PROJECT / "deploy/nginx/compose.conf").read_text("utf-8")


def test_the_example_of_several_gpus_keeps_the_profile_of_its_worker() -> None:
    text = (PROJECT / "docs" / "gpu.md").read_text("utf-8")
    example = text.partition("## Several GPUs")[2].partition("```yaml\n")[2].partition("```")[0]
    assert yaml.safe_load(example.replace("!override", ""))["services"].keys() == {
        "worker",
        "worker-gpu1",
    }


class Answering(BaseHTTPRequestHandler):
    """Answers as the server that it belongs to was told to, and keeps what was asked."""

    def do_GET(self) -> None:
        self.server.asked = (self.path, self.headers["Host"])  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    one = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()
    thread.join(10)


def is_healthy(port: int) -> bool:
    done = subprocess.run(
        ["bash", HEALTHY, str(port)], check=False, timeout=60, capture_output=True
    )
    return done.returncode == 0


@pytest.mark.parametrize(("status", "expected"), [(200, True), (503, False), (400, False)])
def test_the_webs_check_is_healthy_for_200_alone(
    server: HTTPServer, status: int, expected: bool
) -> None:
    server.status = status  # type: ignore[attr-defined]
    assert is_healthy(server.server_port) is expected
    assert server.asked == ("/healthz/", "health")  # type: ignore[attr-defined]


def test_the_webs_check_fails_without_a_server() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert not is_healthy(probe.getsockname()[1])


def test_a_check_costs_no_more_than_a_tenth_of_a_cpu_second(server: HTTPServer) -> None:
    server.status = 200  # type: ignore[attr-defined]
    before = os.times()
    assert is_healthy(server.server_port)
    after = os.times()
    spent_s = after.children_user + after.children_system
    spent_s -= before.children_user + before.children_system
    assert spent_s < 0.1


def web_files(folder: Path) -> Path:
    """What the web's image has below its folder of the project, but for webapp and pages."""
    for word, rest in stages()[WEB_IMAGE]:
        *sources, target = rest.split()
        if word == "COPY" and target.startswith("worker"):
            (folder / target).mkdir(parents=True, exist_ok=True)
            for source in map(PROJECT.joinpath, sources):
                if source.is_dir():
                    no_cache = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(source, folder / target, ignore=no_cache, dirs_exist_ok=True)
                else:
                    shutil.copy(source, folder / target)
    return folder


def test_the_webs_image_carries_of_the_worker_what_looks_at_files_and_no_weights(
    tmp_path: Path,
) -> None:
    folder = web_files(tmp_path)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 500_000
    assert "starter/pipeline/model_index.json" in " ".join(map(str, files))
    refuse = "import sys; sys.modules.update(dict.fromkeys(['torch', 'diffusers', 'numpy'])); "
    model = PROJECT / "worker" / "starter" / "pipeline"
    script = f"from worker.pipelines.inspect import main; sys.exit(main([{str(model)!r}]))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"{refuse}sys.path.insert(0, {str(folder)!r}); {script}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert '"usable": true' in done.stdout


def test_the_webs_image_has_what_prepare_reads() -> None:
    copied = [rest.split()[:-1] for word, rest in stages()[WEB_IMAGE] if word == "COPY"]
    read = {"manage.py", "pyproject.toml", "webapp", "migrations", "templates", "static"}
    assert read <= {source for sources in copied for source in sources}


def test_the_first_secrets_are_private_and_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(PROJECT / "deploy" / "init.sh", tmp_path / "deploy")
    command = ["sh", str(tmp_path / "deploy" / "init.sh")]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    secrets = tmp_path / "secrets"
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    assert made.keys() == compose()["secrets"].keys()
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o644}
    assert len(made["secret_key"]) == 80
    assert (
        made["database_url"]
        == f"postgresql://darkroom:{made['postgres_password']}@postgres/darkroom"
    )
    assert re.search(r"^COMPOSE_PROFILES=(cpu|gpu)$", (tmp_path / ".env").read_text(), re.MULTILINE)
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == made


def test_what_the_webs_container_has_no_worker_for_is_said(
    tmp_path: Path, settings: LazySettings
) -> None:
    settings.BASE_DIR = web_files(tmp_path)
    with pytest.raises(CommandError, match="run it in a worker's container"):
        ask_worker("download", "describe", "owner/name")
