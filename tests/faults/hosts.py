"""Hosts of one studio, each at a loopback address of its own, and what they share: PgBouncer before
PostgreSQL, Valkey, S3, and nginx before their webs.

A host reaches what is shared through proxies of its own, and is reached through one: that is where
it is cut off from the others, as if its cable were pulled, while all of its processes go on.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import boto3
import psycopg
from moto.server import ThreadedMotoServer
from psycopg.conninfo import conninfo_to_dict

from tests.faults.cutting_proxy import Address
from tests.faults.hanging_proxy import HangingProxy
from tests.trial import PROJECT, TrialFailedError, free_port, own_environment
from webapp.embedded.paths import VarLayout
from webapp.embedded.servers import embedded_servers

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
BUCKET = "studio"
START_S, STOP_S = 120.0, 60.0
SERVERS_CONNECTIONS = 30
IDLE_S = 20  # a host that is cut off within a transaction holds its locks for no longer
CELERY = ("-m", "celery", "-A", "webapp.celery")
WORKER = (*CELERY, "worker", "-I", "worker.tasks", "--pool=threads", "--concurrency=4")


class Shared:
    """The servers that all hosts use; `pgbouncer`, `valkey` and `s3` are where they listen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pgbouncer: Address = ("127.0.0.1", free_port())
        self.valkey: Address = str(VarLayout(folder / "var").valkey_socket)
        self.s3: Address = ("127.0.0.1", free_port())
        self.database = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        """All of them, for as long as the block lasts."""
        with ExitStack() as stack:
            urls = stack.enter_context(embedded_servers(self.folder / "var"))
            self.database = urls.postgres
            stack.enter_context(self._pgbouncer(urls.postgres))
            stack.enter_context(self._bucket())
            yield

    @contextmanager
    def _pgbouncer(self, url: str) -> Iterator[None]:
        server = {key: str(value) for key, value in conninfo_to_dict(url).items()}
        words = " ".join(f"{key}={server[key]}" for key in ("host", "user") if server.get(key))
        (self.folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = {words}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.pgbouncer[1]}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {SERVERS_CONNECTIONS}\n"
            f"max_client_conn = 400\nidle_transaction_timeout = {IDLE_S}\n"
            f"logfile = {self.folder}/pgbouncer.log\n"
        )
        as_somebody = ["unshare", "--user", "--map-user=1000"] if os.geteuid() == 0 else []
        command = [*as_somebody, str(PGBOUNCER), "pgbouncer.ini"]
        with running(command, folder=self.folder, name="pgbouncer-out"):
            wait_for(("127.0.0.1", int(self.pgbouncer[1])))
            yield

    @contextmanager
    def _bucket(self) -> Iterator[None]:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=int(self.s3[1]), verbose=False)
        server.start()
        try:
            client = boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{self.s3[1]}",
                aws_access_key_id="studio",
                aws_secret_access_key="studio",
                region_name="us-east-1",
            )
            client.create_bucket(Bucket=BUCKET)
            yield
        finally:
            server.stop()


class Host:
    """One host: its web, its worker, its beat, its models' folder, and its way to the others."""

    def __init__(self, name: str, number: int, shared: Shared) -> None:
        self.name = name
        self.address = f"127.0.1.{number}"
        self.folder = shared.folder / name
        self.models = self.folder / "models"
        self.web_port, self.inner_port = free_port(), free_port()
        upstreams = (shared.pgbouncer, shared.valkey, shared.s3)
        self.ways = [HangingProxy(upstream=one, listen=(self.address, 0)) for one in upstreams]
        self.front: HangingProxy | None = None
        self.models.mkdir(parents=True)

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are told. A session's key is every host's."""
        database, valkey, s3 = (one.address for one in self.ways)
        return own_environment(
            self.folder / "var",
            {
                "DATABASE_URL": f"postgresql://any@{database[0]}:{database[1]}/darkroom",
                "DARKROOM_PGBOUNCER": "true",
                "REDIS_URL": f"redis://{valkey[0]}:{valkey[1]}/0",
                "DARKROOM_S3_BUCKET": BUCKET,
                "DARKROOM_S3_ENDPOINT": f"http://{s3[0]}:{s3[1]}",
                "DARKROOM_S3_ACCESS_KEY": "studio",
                "DARKROOM_S3_SECRET_KEY": "studio",
                "AWS_DEFAULT_REGION": "us-east-1",
                "DARKROOM_MODELS": str(self.models),
                "DARKROOM_SECRET_KEY": "the same on every host, and 50 characters long or more",
                "DARKROOM_TRUSTED_PROXIES": "1",
                "DARKROOM_LEASE_S": "10",
                "DARKROOM_DEVICE": "cpu",
                "DARKROOM_TORCH_THREADS": "1",
            },
        )

    @contextmanager
    def on_the_network(self) -> Iterator[None]:
        """Its proxies, and whoever listens before its web."""
        with ExitStack() as stack:
            for way in self.ways:
                stack.enter_context(way)
            self.come_back()
            yield
            self.cut_off()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Its three processes, for as long as the block lasts."""
        words = {
            "web": ("-m", "webapp.serve", "--host", self.address, "--port", str(self.inner_port)),
            "worker": (*WORKER, "-n", f"worker@{self.name}"),
            "beat": (*CELERY, "beat", "--schedule", str(self.folder / "schedule"), "--pidfile="),
        }
        with ExitStack() as stack:
            for name, arguments in words.items():
                command = [sys.executable, *arguments]
                process = running(command, folder=self.folder, name=name, env=self.environment)
                stack.enter_context(process)
            wait_for((self.address, self.inner_port))
            yield

    def manage(self, *arguments: str) -> str:
        """What a management command printed on this host; raises TrialFailedError with its
        complaint."""
        done = subprocess.run(
            [sys.executable, str(PROJECT / "manage.py"), *arguments],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )
        if done.returncode:
            raise TrialFailedError((done.stdout + done.stderr).strip()[-3000:])
        return done.stdout

    def cut_off(self) -> None:
        """From now on nothing comes from the host, or to it."""
        for way in self.ways:
            way.hang()
        if self.front is not None:
            self.front.__exit__(None, None, None)
        self.front = None

    def come_back(self) -> None:
        """Ends that; what was held back goes on."""
        for way in self.ways:
            way.resume()
        inner = (self.address, self.inner_port)
        self.front = HangingProxy(upstream=inner, listen=(self.address, self.web_port))
        self.front.__enter__()


@contextmanager
def nginx_before(hosts: list[Host], folder: Path) -> Iterator[str]:
    """The address of compose.conf's nginx, whose webs are those of the hosts."""
    port = free_port()
    deploy = PROJECT / "deploy" / "nginx"
    text = (deploy / "compose.conf").read_text("utf-8")
    webs = " ".join(f"server {one.address}:{one.web_port} fail_timeout=5s;" for one in hosts)
    for old, new in (
        ("listen 8000;", f"listen 127.0.0.1:{port};"),
        ("set $studio web:8000;", "set $studio webs;"),
        ("    server {", f"    upstream webs {{ {webs} }}\n    server {{"),
        ("/tmp/", f"{folder}/"),  # noqa: S108 - before a path of ours
        ("/etc/darkroom/", f"{deploy}/"),
        ("    resolver 127.0.0.11 valid=5s ipv6=off;\n", ""),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with running(command, folder=folder, name="nginx"):
        wait_for(("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(
    command: list[str], *, folder: Path, name: str, env: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """The process, which logs to `NAME.log` in the folder, until the block ends."""
    with (folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder if env is None else PROJECT,
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)


def wait_for(address: tuple[str, int]) -> None:
    """Returns once somebody listens there; raises TrialFailedError."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(address, timeout=1).close()
            return
        time.sleep(0.1)
    raise TrialFailedError(f"nobody listens at {address}")


def rows(shared: Shared, query: str, *values: object) -> list[tuple[object, ...]]:
    """What the database says, asked directly."""
    with psycopg.connect(shared.database) as database:
        return database.execute(query.encode(), values).fetchall()
