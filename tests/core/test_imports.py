"""The web process stays small: nothing that it imports brings a deep-learning library along."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys, django
django.setup()
from django.urls import get_resolver
def resolve(patterns):
    for pattern in patterns:
        resolve(getattr(pattern, "url_patterns", ()))
        pattern.callback if hasattr(pattern, "callback") else None
resolve(get_resolver().url_patterns)
import webapp.asgi, webapp.celery
webapp.celery.app.loader.import_default_modules()
heavy = {"torch", "diffusers", "transformers", "numpy", "worker"}
print(",".join(sorted(heavy & set(sys.modules))))
"""


def test_the_web_process_never_imports_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=PROJECT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "webapp.settings"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert done.stdout.strip() == ""
