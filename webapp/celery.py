"""The Celery application: the web process sends by task name, the workers import `worker.tasks`."""

import os
from typing import Any

from celery import Celery
from celery.signals import import_modules, task_prerun

from webapp.core.tracing import begin_tracing
from webapp.core.trail import take_up_trail
from webapp.embedded.private import keep_files_private
from webapp.postgres import limits

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

app = Celery("darkroom")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    ["webapp.generation", "webapp.gallery", "webapp.credits", "webapp.operations"]
)


# Not on import: pages and commands import this application, too, to send by it. A worker and beat
# import their tasks first of all, before beat opens its schedule's file.
@import_modules.connect
def _begin(**_how: Any) -> None:
    keep_files_private()
    limits.limit_answers(limits.WORKER_S)
    begin_tracing(service="darkroom-worker")


@task_prerun.connect
def _belong_to_the_sender(task: Any, **_how: Any) -> None:
    take_up_trail(task.request)
