"""Maintenance that Celery beat asks for, most of it every few seconds."""

import logging

from celery import shared_task
from django.db import OperationalError

from webapp.generation import doorbell, services
from webapp.generation.models import DiscardedFile, QueueShare
from webapp.generation.storage import delete_files
from webapp.generation.uploads import delete_unused_uploads

logger = logging.getLogger(__name__)

FILES_AT_ONCE = 500


@shared_task(name="webapp.generation.tasks.sweep")
def sweep() -> None:
    """Returns ended leases, rings for what is queued, deletes discarded files."""
    try:
        services.return_ended_leases()
        ring_for_queued()
        delete_discarded_files()
    except OperationalError as error:
        logger.error("the sweep is put off, the database does not answer: %s", error)


@shared_task(name="webapp.generation.tasks.sweep_uploads")
def sweep_uploads() -> None:
    """Removes pictures that were handed in and that no request has named for a day."""
    try:
        delete_unused_uploads()
    except OperationalError as error:
        logger.error("uploads are swept later, the database does not answer: %s", error)


def ring_for_queued() -> None:
    """Rings for every model that has something queued: a doorbell may have been lost."""
    waiting = QueueShare.objects.filter(queued__gt=0).values_list("model__slug", flat=True)
    for slug in waiting.distinct():
        doorbell.ring_if_silent(model_slug=slug)


def delete_discarded_files() -> None:
    """Deletes files whose rows are gone; a line goes only after its file."""
    for line in DiscardedFile.objects.order_by("pk")[:FILES_AT_ONCE]:
        delete_files(line.name)
        line.delete()
