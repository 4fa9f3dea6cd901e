"""Maintenance that beat does."""

import logging

from celery import shared_task
from django.db import OperationalError

from webapp.gallery.bulk import empty_bins as empty

logger = logging.getLogger(__name__)

BATCHES = 40


@shared_task(name="webapp.gallery.tasks.empty_bins")
def empty_bins() -> None:
    """Removes what was binned 30 days ago or deleted for good, up to 20,000 images a time."""
    try:
        removed = empty(batches=BATCHES)
    except OperationalError as error:
        logger.error("the bins are emptied later, the database does not answer: %s", error)
        return
    if removed:
        logger.info("removed %d images from the bins", removed)
