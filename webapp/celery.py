"""The Celery application: the web process sends by task name, the workers import `worker.tasks`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

app = Celery("darkroom")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    ["webapp.generation", "webapp.gallery", "webapp.credits", "webapp.operations"]
)
