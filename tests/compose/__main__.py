"""`make compose-test`: the stack of docker-compose.yml, by the Docker engine of this machine.

Builds both images (profile cpu), starts everything in a copy of the checkout under a project name
of its own, signs up, draws an image, checks the ledger, stops and starts each service, scales web
to two, compiles something in the worker's container, makes a backup, restores it into a second,
empty stack as docs/deploy.md says, and takes it all down.
`--stand-ins FOLDER` makes the base images of Debian's packages first (`bases.sh`), for a machine
that reaches no registry; with it, images are built on the host's network.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.trial import PROJECT, TrialFailedError, Visitor, free_port

NAME = "darkroom-compose-test"
BUILD_S, START_S, COMMAND_S = 3600, 900, 600
IMAGE_S = 300.0
LONG_RUNNING = ("postgres", "valkey", "beat", "worker-cpu", "web", "proxy")
ON_THE_HOSTS_NETWORK = """
services:
  migrate: {build: {network: host}}
  worker-cpu: {build: {network: host}}
"""
COMPILE = "import torch; print(torch.compile(lambda x: (x * 2).sin())(torch.ones(64)).sum().item())"
HEALTH_CPU = (
    "import resource, subprocess; subprocess.run(['bash', 'healthy.sh'], check=True);"
    "spent = resource.getrusage(resource.RUSAGE_CHILDREN); print(spent.ru_utime + spent.ru_stime)"
)
MANAGE = ("python", "manage.py")
KILLED = "137"
BACKUPS = "/var/lib/darkroom/backups"
# A second stack reads the first one's backups, as two hosts would by a disk that they share.
THEIR_BACKUPS = f"""
volumes:
  backups: {{external: true, name: {NAME}_backups}}
"""


class Stack:
    """One project of Compose's in `folder`, which has a copy of the checkout."""

    def __init__(self, folder: Path, *, name: str, port: int, files: tuple[str, ...]) -> None:
        self.folder = folder
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {**os.environ, "PORT": str(port)}
        self.files = [word for name in files for word in ("-f", name)]

    def compose(self, *words: str, timeout_s: float = COMMAND_S) -> str:
        """What `docker compose` printed; raises TrialFailedError if it failed."""
        command = ["docker", "compose", "-p", self.name, *self.files, *words]
        return run(command, self.folder, self.environment, timeout_s)

    def wait(self, service: str, wanted: str, *, count: int = 1) -> None:
        """Returns when so many containers of the service are `running` or `healthy`. Raises
        TrialFailedError, with what the service said, after `START_S`."""
        end = time.monotonic() + START_S
        asked = "{{.State}} {{.Health}}"
        while time.monotonic() < end:
            states = self.compose("ps", "--all", "--format", asked, service).splitlines()
            if sum(wanted in state.split() for state in states) == count == len(states):
                return
            time.sleep(2)
        said = self.compose("logs", "--tail", "30", service)
        raise TrialFailedError(f"{service} did not become {wanted}: {states}\n{said}")

    def wait_for_all(self) -> None:
        """Returns when everything that lasts is as it has to be."""
        for service in LONG_RUNNING:
            lives = service in {"beat", "proxy"}
            self.wait(service, "running" if lives else "healthy")


def run(command: list[str], folder: Path, environment: Mapping[str, str], limit_s: float) -> str:
    """Its standard output; raises TrialFailedError with the end of what it said."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TrialFailedError(f"{' '.join(command[:4])}: {error}") from error
    if done.returncode:
        raise TrialFailedError(f"{' '.join(command)}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


@contextmanager
def running(*, stand_ins: str, keeps_images: bool) -> Iterator[Stack]:
    """The stack, built and started in a folder of its own; afterwards nothing of it is left."""
    if stand_ins:
        bases = ["sh", str(PROJECT / "tests/compose/bases.sh"), stand_ins]
        run(bases, PROJECT, os.environ, BUILD_S)
    more = {"host.yml": ON_THE_HOSTS_NETWORK} if stand_ins else {}
    with fresh_clone(NAME, more=more, keeps_images=keeps_images) as stack:
        tell("building", lambda: stack.compose("build", timeout_s=BUILD_S))
        tell("starting", lambda: stack.compose("up", "-d", timeout_s=START_S))
        yield stack


@contextmanager
def fresh_clone(name: str, *, more: Mapping[str, str], keeps_images: bool) -> Iterator[Stack]:
    """A project with nothing but its secrets and `more` compose files (name -> text); afterwards
    its containers and volumes are gone, and its images unless it `keeps_images`."""
    with tempfile.TemporaryDirectory(prefix="darkroom-compose-") as parent:
        folder = Path(parent) / "darkroom"
        copy_checkout(folder)
        run(["sh", "deploy/init.sh"], folder, os.environ, COMMAND_S)
        (folder / ".env").write_text("COMPOSE_PROFILES=cpu\nDARKROOM_LOG_LEVEL=INFO\n")
        for file, text in more.items():
            (folder / file).write_text(text)
        files = ("docker-compose.yml", *more)
        stack = Stack(folder, name=name, port=free_port(), files=files)
        try:
            yield stack
        finally:
            gone = ("down", "--volumes", "--timeout", "60")
            stack.compose(*gone, *(() if keeps_images else ("--rmi", "all")))


def copy_checkout(folder: Path) -> None:
    """What a clone would have, with what is not committed yet."""
    listed = run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        PROJECT,
        os.environ,
        COMMAND_S,
    )
    for name in listed.splitlines():
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)


def tell(what: str, do: Callable[[], object]) -> None:
    """Does it and prints how long it took."""
    began = time.monotonic()
    do()
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


def draw(visitor: Visitor) -> None:
    """Raises TrialFailedError unless one image is stored."""
    asked = visitor.request_images(prompt="a smiling face on a purple background", seed="7")
    (image,) = visitor.wait_until_ended(asked, timeout_s=IMAGE_S).values()
    if image["state"] != "stored":
        raise TrialFailedError(f"the image {image['state']}: {image['failure']}")


def try_all(stack: Stack) -> None:
    """The whole story; raises TrialFailedError."""
    tell("everything is well", stack.wait_for_all)
    follow_the_link(stack)
    visitor = Visitor(stack.url)
    visitor.sign_up(email="visitor@example.org")
    tell("an image was drawn", lambda: draw(visitor))
    print(f"balance: {visitor.balance()}")
    check_books(stack)
    for service in LONG_RUNNING:
        tell(f"{service} restarted", partial(restart, stack, service))
    tell("an image was drawn after that", lambda: draw(visitor))
    stack.compose("up", "-d", "--scale", "web=2", "--no-recreate")
    stack.wait("web", "healthy", count=2)
    for _request in range(10):
        visitor.get("/gallery/")
    print("web runs twice behind one port")
    check_insides(stack)
    made = stack.compose("exec", "-T", "web", "python", "manage.py", "backup", "--to", BACKUPS)
    print(made.strip().splitlines()[-1], flush=True)
    check_books(stack)
    tell("the backup was restored into another stack", lambda: restore_elsewhere(stack, visitor))


def follow_the_link(stack: Stack) -> None:
    """Raises TrialFailedError unless `migrate` printed a link that offers the first administrator's
    form."""
    link = re.search(r"http\S+(/setup/\S+)", stack.compose("logs", "--no-log-prefix", "migrate"))
    if not link or b'name="password"' not in Visitor(stack.url).get(link[1]):
        raise TrialFailedError("`docker compose logs migrate` has no link for the administrator")
    print("the link for the first administrator works")


def restore_elsewhere(old: Stack, visitor: Visitor) -> None:
    """What docs/deploy.md says under "Backup and restore", into a fresh clone, while the old stack
    stands still. Raises TrialFailedError unless the visitor, still signed in, has the same balance
    and images, another one is drawn, and the ledger is clean."""
    balance, image = visitor.balance(), newest_image(visitor)
    (name,) = old.compose("exec", "-T", "web", "ls", BACKUPS).split()
    old.compose("stop")
    more = {"backups.yml": THEIR_BACKUPS}
    with fresh_clone(f"{NAME}-again", more=more, keeps_images=True) as fresh:
        fresh.compose("up", "-d", "postgres", "valkey")
        key = f"{BACKUPS}/{name}/secrets/secret_key"
        kept = fresh.compose("run", "--rm", "-T", "web", "cat", key)
        (fresh.folder / "secrets/secret_key").write_text(kept)
        restore = ("run", "--rm", "-T", "web", "python", "manage.py", "restore")
        print(fresh.compose(*restore, f"{BACKUPS}/{name}").strip(), flush=True)
        fresh.compose("up", "-d", timeout_s=START_S)
        fresh.wait_for_all()
        visitor.base_url = fresh.url
        if (visitor.balance(), newest_image(visitor)) != (balance, image):
            raise TrialFailedError("the balance or the newest image is another one after a restore")
        draw(visitor)
        check_books(fresh)


def newest_image(visitor: Visitor) -> bytes:
    """The bytes of the first image in the gallery; raises TrialFailedError if it has none."""
    found = re.search(r'"/images/([0-9a-f-]{36})/', visitor.get("/gallery/").decode())
    if not found:
        raise TrialFailedError("the gallery is empty")
    return visitor.get(f"/images/{found[1]}/file/")


def restart(stack: Stack, service: str) -> None:
    """Stops one service, starts it again and waits until all is well. Raises TrialFailedError if
    it did not end by itself in the time that the compose file gives it."""
    stack.compose("stop", service)
    if KILLED in stack.compose("ps", "--all", "--format", "{{.ExitCode}}", service).split():
        raise TrialFailedError(f"{service} did not stop by itself and was killed")
    stack.compose("start", service)
    stack.wait_for_all()


def check_books(stack: Stack) -> None:
    """Raises TrialFailedError if the ledger is not clean."""
    said = stack.compose("exec", "-T", "web", "python", "manage.py", "check_credits")
    print(said.strip().splitlines()[-1], flush=True)


def check_insides(stack: Stack) -> None:
    """Who runs in each container, what a check costs, whether a compiler works. Raises
    TrialFailedError."""
    for service in LONG_RUNNING:
        if stack.compose("exec", "-T", service, "id", "-u").strip() == "0":
            raise TrialFailedError(f"{service} runs as root")
    spent_s = float(stack.compose("exec", "-T", "web", "python", "-c", HEALTH_CPU))
    print(f"the web's health check: {spent_s:.4f} CPU seconds")
    if spent_s > 0.1:
        raise TrialFailedError("the web's health check costs more than 0.1 CPU seconds")
    stack.compose("exec", "-T", "worker-cpu", "python", "-c", COMPILE)
    if "on  * starter" not in stack.compose("exec", "-T", "worker-cpu", *MANAGE, "models", "list"):
        raise TrialFailedError("the worker's container does not list the starter model as on offer")
    print("torch.compile works in the worker's container")


def main() -> int:
    """0 if all went through; 1, with the reason on stderr, if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.compose", description=__doc__)
    parser.add_argument("--stand-ins", default="", metavar="FOLDER")
    parser.add_argument("--keep-images", action="store_true")
    wanted = parser.parse_args()
    try:
        with running(stand_ins=wanted.stand_ins, keeps_images=wanted.keep_images) as stack:
            try_all(stack)
    except TrialFailedError as error:
        print(f"make compose-test failed: {error}", file=sys.stderr)
        return 1
    print("Taken down.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
