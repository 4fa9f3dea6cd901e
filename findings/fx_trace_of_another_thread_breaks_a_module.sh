#!/usr/bin/env bash
# torch 2.13.0: while one thread traces any function with torch.fx, a plain module that another thread
# calls fails, though nobody traces that module and it shares nothing with what is traced.
#
# Guess: tracing concerns the thread that traces. Seen: `torch.fx.symbolic_trace` patches
# `torch.nn.Module.__call__` for the whole process for as long as it traces, and hands whatever module
# is called meanwhile to its own tracer: NameError("module is not installed as a submodule"). A
# server that compiles in the background (`torch.compile` traces so, too) beside a thread that draws
# fails images now and then, when both meet. A later torch isolates the threads (pytorch #187589).
#
# So nothing is compiled beside a step: `worker/pipelines/compile.py`.
#
# Installs pinned public packages into a temporary folder and runs them without the product; fails
# when the behaviour is another one. (PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu takes
# the small build of torch.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.13.0 numpy==2.4.6
cd "$folder"
cat > traces.py <<'PYTHON'
import threading

import torch
import torch.fx

layer = torch.nn.Linear(2, 2)
inside, go = threading.Event(), threading.Event()


def slow(x):
    inside.set()
    go.wait(30)
    return x


def called():
    try:
        layer(torch.ones(1, 2))
        return "answers"
    except Exception as error:
        return type(error).__name__


tracing = threading.Thread(target=lambda: torch.fx.symbolic_trace(slow))
before = called()
tracing.start()
inside.wait(30)
meanwhile = called()
go.set()
tracing.join()
print(f"before: {before}, meanwhile: {meanwhile}, after: {called()}")
PYTHON
said=$("$folder/venv/bin/python" traces.py)
echo "a module called by one thread, another one traces something else: $said"
[ "$said" = "before: answers, meanwhile: NameError, after: answers" ]
