"""Figures of much data, from a process that has servers of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from tests.bench.figures import Figure
from tests.trial import PROJECT, TrialFailedError, own_environment
from webapp.embedded.servers import embedded_servers

APART_S = 1800.0


def measure_apart(module: str) -> Iterator[Figure]:
    """The figures that `python -m <module>` prints as JSON on its last line, beside
    empty servers; raises TrialFailedError if it fails."""
    with (
        tempfile.TemporaryDirectory(prefix="darkroom-bench-") as folder,
        embedded_servers(Path(folder)) as urls,
    ):
        # The application's role is no superuser. These data are thrown away, and making them line
        # by line, as triggers and foreign keys want it, would take ten minutes.
        with psycopg.connect(urls.postgres, user="postgres", autocommit=True) as superuser:
            superuser.execute("GRANT SET ON PARAMETER session_replication_role TO darkroom")
            superuser.execute("GRANT pg_checkpoint TO darkroom")
        yield from run_apart(module, Path(folder), {"DARKROOM_DATABASE_POOL": "no"})


def run_apart(module: str, var: Path, settings: Mapping[str, str]) -> Iterator[Figure]:
    """The same of a process that needs no servers."""
    done = _run(module, own_environment(var, settings))
    if done.returncode:
        raise TrialFailedError(f"{module} could not measure: {done.stdout[-2000:]}")
    for fields in json.loads(done.stdout.splitlines()[-1]):
        yield Figure(**fields)


def _run(module: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            [sys.executable, "-m", module],
            cwd=PROJECT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=APART_S,
        )
    except subprocess.TimeoutExpired as error:
        raise TrialFailedError(f"{module} did not end within {APART_S:g} s") from error
