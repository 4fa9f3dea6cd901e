"""The container files, checked as far as can be without a container engine: what they name is
there, what they refer to is declared, and what they start can be imported."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from webapp.embedded.binaries import POSTGRES_WHEEL, POSTGRES_WHEEL_BIN, wheel_folder

PROJECT = Path(settings.BASE_DIR)
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
OWN_SERVICES = ["beat", "migrate", "web", "worker", "worker-cpu"]
# Of the embedded servers and of `make up`, which containers have none of
EMBEDDED_ONLY = ("DARKROOM_HOST", "DARKROOM_POSTGRES_BIN", "DARKROOM_VALKEY_BIN")
FIXED = {
    "DARKROOM_VAR",
    "DATABASE_URL_FILE",
    "REDIS_URL_FILE",
    "DARKROOM_SECRET_KEY_FILE",
    "DARKROOM_TRUSTED_PROXIES",
}
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|WEBHOOK|KEY|DATABASE_URL|REDIS_URL")


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text("utf-8"))
    return loaded


def instructions() -> list[tuple[str, str]]:
    """(FROM, `python:... AS base`) and so on; continued lines are joined, comments left out."""
    text = (PROJECT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    parts = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _blank, rest in parts]


def stages() -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for word, rest in instructions():
        if word == "FROM":
            found[rest.rpartition(" AS ")[2]] = []
        list(found.values())[-1].append((word, rest))
    return found


def command_of(stage: str) -> list[str]:
    (command,) = [rest for word, rest in stages()[stage] if word == "CMD"]
    words: list[str] = json.loads(command)
    return words


SET_LINE = re.compile(r"[A-Z]\w*=|#OTEL_\w+=")


def known_settings() -> set[str]:
    lines = (PROJECT / ".env.example").read_text("utf-8").splitlines()
    # OpenTelemetry's are told, and set only by whoever wants them: an empty one is no default.
    names = {line.removeprefix("#").partition("=")[0] for line in lines if SET_LINE.match(line)}
    return names | {f"{name}_FILE" for name in names if SECRET.search(name)}


def test_every_service_has_an_image_and_every_target_a_stage() -> None:
    for name, service in compose()["services"].items():
        assert service.get("image"), name
        if "build" in service:
            assert service["build"]["target"] in stages(), name


def test_every_image_of_our_own_is_built_by_one_service() -> None:
    services = compose()["services"].values()
    ours = {one["image"] for one in services if one["image"].startswith("darkroom-")}
    assert sorted(ours) == sorted(one["image"] for one in services if "build" in one)


def test_a_worker_has_the_templates_of_the_mails_that_it_sends() -> None:
    copied = {rest.split()[0] for word, rest in stages()["worker"] if word == "COPY"}
    assert {"webapp", "migrations", "templates", "worker"} <= copied


def test_no_services_log_grows_for_ever() -> None:
    for name, service in compose()["services"].items():
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}, name


def test_services_wait_for_services_that_are_there() -> None:
    services = compose()["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in services, name
            assert how["condition"] in CONDITIONS, name
            if how["condition"] == "service_healthy":
                assert services[needed]["healthcheck"]["test"], needed


def test_volumes_and_secrets_are_declared_and_used() -> None:
    loaded = compose()
    services = loaded["services"].values()
    mounts = {mount.partition(":")[0] for one in services for mount in one.get("volumes", [])}
    volumes = {mount for mount in mounts if not mount.startswith("./")}
    assert all((PROJECT / folder).is_dir() for folder in mounts - volumes)
    secrets = {name for one in services for name in one.get("secrets", [])}
    assert volumes == set(loaded["volumes"])
    assert secrets == set(loaded["secrets"])


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_a_service_is_given_settings_that_exist(name: str) -> None:
    assert set(compose()["services"][name]["environment"]) <= known_settings()


def test_secrets_come_by_file_and_none_has_a_default() -> None:
    for name, service in compose()["services"].items():
        for variable, value in service.get("environment", {}).items():
            if variable.endswith("_FILE") and value:
                assert value.removeprefix("/run/secrets/") in service["secrets"], name
            elif SECRET.search(variable):
                assert value is None, (name, variable)


def test_only_the_proxy_is_reachable_and_only_from_this_host_at_first() -> None:
    services = compose()["services"]
    assert [name for name, one in services.items() if "ports" in one] == ["proxy"]
    assert services["proxy"]["ports"] == ["${DARKROOM_BIND:-127.0.0.1}:${PORT:-8000}:8000"]


def test_valkey_never_drops_a_doorbell_and_wants_a_password() -> None:
    script = compose()["services"]["valkey"]["command"][-1]
    assert "maxmemory-policy noeviction" in script
    assert "requirepass" in script


def test_the_worker_has_the_gpu_and_time_to_finish() -> None:
    worker = compose()["services"]["worker"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert int(worker["stop_grace_period"].removesuffix("s")) > 45


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_every_setting_of_the_example_reaches_the_containers_with_its_own_default(
    name: str,
) -> None:
    given = compose()["services"][name]["environment"]
    known = {one for one in known_settings() if not one.startswith(EMBEDDED_ONLY)}
    assert len(known) > 60
    assert known - set(given) == set()
    # None: from the shell or .env, else the setting's own default.
    assert {one for one in known if given[one] is not None} == FIXED | (
        {"DARKROOM_DEVICE"} if name == "worker-cpu" else set()
    )


def test_the_workers_health_is_asked_of_its_engine_and_in_a_bounded_time() -> None:
    check = compose()["services"]["worker"]["healthcheck"]
    assert check["test"] == ["CMD", "python", "-m", "worker.health"]
    assert int(check["timeout"].removesuffix("s")) <= 30
    (command,) = [rest for word, rest in stages()["worker"] if word == "CMD"]
    assert '"-n", "worker@%h"' in command, "the name that the check takes where none is given"


def test_the_example_of_several_gpus_gives_each_worker_its_own() -> None:
    text = (PROJECT / "docs" / "gpu.md").read_text("utf-8")
    example = text.partition("## Several GPUs")[2].partition("```yaml\n")[2].partition("```")[0]
    services = yaml.safe_load(example.replace("!override", ""))["services"]
    ids = [
        device["device_ids"]
        for one in services.values()
        for device in one["deploy"]["resources"]["reservations"]["devices"]
    ]
    assert ids == [["0"], ["1"]]
    assert services["worker-gpu1"]["extends"]["service"] in compose()["services"]


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    ignored = (PROJECT / ".dockerignore").read_text("utf-8").split()
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from="):
            for source in shlex.split(rest)[:-1]:
                assert (PROJECT / source).exists(), source
                assert source not in ignored, source


def test_data_and_secrets_stay_out_of_the_images() -> None:
    ignored = set((PROJECT / ".dockerignore").read_text("utf-8").split())
    assert {".git", ".venv", "var", "secrets"} <= ignored
    for path in ("secrets/secret_key", "var/media/one.png", ".env"):
        kept_out = subprocess.run(
            ["git", "check-ignore", "-q", path], cwd=PROJECT, check=False, timeout=300
        )
        assert kept_out.returncode == 0, path


@pytest.mark.parametrize("stage", ["web", "worker"])
def test_a_container_runs_as_an_ordinary_user(stage: str) -> None:
    users = [rest for word, rest in stages()[stage] if word == "USER"]
    assert users == ["darkroom"]


def test_a_container_stops_by_signal_and_not_through_a_shell() -> None:
    for stage in ("web", "worker"):
        assert command_of(stage)[0] != "sh"
    assert all(compose()["services"][name]["init"] for name in OWN_SERVICES)


def test_the_image_has_a_python_that_the_project_takes() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    (first, *_rest) = [rest for word, rest in instructions() if word == "FROM"]
    found = re.match(r"python:(\d+\.\d+)-slim", first)
    assert found is not None
    assert project["requires-python"] == f">={found.group(1)}"


def test_what_the_containers_start_can_be_imported() -> None:
    web, worker = command_of("web"), command_of("worker")
    assert web[:3] == ["python", "-m", "webapp.serve"]
    assert worker[:3] == ["celery", "-A", "webapp.celery"]
    tasks = worker[worker.index("-I") + 1]
    script = (
        "import webapp.serve, webapp.celery, importlib;"
        "assert callable(webapp.serve.application);"
        f"importlib.import_module({tasks!r})"
    )
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True, timeout=300)


@pytest.mark.parametrize(("service", "stage"), [("beat", "web"), ("migrate", "web")])
def test_a_services_own_command_is_one_that_its_image_has(service: str, stage: str) -> None:
    command = compose()["services"][service]["command"]
    copied = {part for word, rest in stages()[stage] if word == "COPY" for part in rest.split()}
    if command[0] == "python":
        assert command[1] in copied
        assert (PROJECT / "webapp/operations/management/commands" / f"{command[2]}.py").is_file()
    else:
        assert command[:3] == ["celery", "-A", "webapp.celery"]


def test_the_web_image_has_the_programs_that_write_and_load_backups(tmp_path: Path) -> None:
    assert ("COPY", "--from=dump-programs /opt/programs /usr/lib") in stages()["web"]
    wheel = wheel_folder(POSTGRES_WHEEL)
    assert wheel is not None
    # As the Dockerfile lays them out: they look for their library three folders up.
    programs = tmp_path / "postgresql" / "18" / "bin"
    programs.mkdir(parents=True)
    shutil.copytree(wheel.with_name(f"{POSTGRES_WHEEL}.libs"), tmp_path / f"{POSTGRES_WHEEL}.libs")
    for name in ("pg_dump", "pg_restore"):
        shutil.copy(wheel / POSTGRES_WHEEL_BIN / name, programs)
        told = subprocess.run(
            [programs / name, "--version"],
            env={},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert re.search(r" 18\.", told.stdout)
    (image,) = re.findall(r"postgres:(\d+)", compose()["services"]["postgres"]["image"])
    assert image == programs.parent.name
