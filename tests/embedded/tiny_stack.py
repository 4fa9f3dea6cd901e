"""A supervisor with tiny apps, run by the tests as a process of its own.

tiny_stack.py VAR SCENARIO...: each scenario names a service or a step below.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from webapp.embedded.errors import EmbeddedError
from webapp.embedded.output import announce, say
from webapp.embedded.paths import VarLayout
from webapp.embedded.postgres import prepare_postgres
from webapp.embedded.process import Service
from webapp.embedded.supervisor import Supervisor
from webapp.embedded.valkey import prepare_valkey

STOP_TIMEOUT_S = 60.0  # of a service that does not want to
SLEEP = "import time; time.sleep(600)"
GOODBYE = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); "
    "print('hello from {name}', flush=True); "
)
# Leaves the process group, as a daemon would.
GRANDCHILD = (
    "import subprocess, sys; "
    f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True); "
)
HELPER = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); "
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('no way', flush=True); "
)
CRASHES_TWICE = (
    "import pathlib, sys; file = pathlib.Path('crashes'); file.touch(); "
    "count = len(file.read_text()); file.write_text('x' * (count + 1)); "
    "print(f'attempt {count + 1}', flush=True); count < 2 and sys.exit(3); "
)


def main(var: str, *scenario: str) -> int:
    layout = VarLayout(Path(var))
    try:
        with Supervisor(layout) as supervisor:
            for word in scenario:
                run_step(supervisor, layout, word)
            announce("all are up")
            supervisor.watch()
    except EmbeddedError as error:
        announce(str(error))
        return 1
    say("stopped")
    return 0


def run_step(supervisor: Supervisor, layout: VarLayout, word: str) -> None:
    if word == "servers":
        supervisor.start([prepare_postgres(layout), prepare_valkey(layout)])
    elif word == "failing-step":
        supervisor.run_once(script(layout, word, "import sys; sys.exit('no such table')"))
    else:
        supervisor.start([service(layout, word)])


def service(layout: VarLayout, word: str) -> Service:
    scripts = {
        "first": GOODBYE.format(name="first") + SLEEP,
        "second": GOODBYE.format(name="second") + SLEEP,
        "parent": GOODBYE.format(name="parent") + GRANDCHILD + SLEEP,
        "helped": GOODBYE.format(name="helped") + HELPER + SLEEP,
        "stubborn": STUBBORN + SLEEP,
        "crasher": CRASHES_TWICE + SLEEP,
        "broken": "raise SystemExit('cannot import name')",
        "slow": SLEEP,
        "hanging": GOODBYE.format(name="hanging") + SLEEP,
    }
    found = script(layout, word, scripts[word])
    if word == "hanging":  # until it was started twice
        asked: list[int] = []

        def hang(pid: int) -> str:
            asked.append(pid)
            return "it says nothing" if len(set(asked)) == 1 else ""

        return replace(found, hang=hang, hang_every_s=0.3)
    if word in {"broken", "slow"}:
        return replace(found, ready=lambda _pid: False, ready_timeout_s=0.5)
    return replace(found, stop_timeout_s=STOP_TIMEOUT_S) if word == "stubborn" else found


def script(layout: VarLayout, name: str, text: str) -> Service:
    argv = (sys.executable, "-I", "-S", "-c", text)
    return Service(name=name, argv=argv, env=dict(os.environ), cwd=layout.var_dir)


if __name__ == "__main__":
    signal.alarm(60)  # a test that dies must not leave this running
    sys.exit(main(*sys.argv[1:]))
