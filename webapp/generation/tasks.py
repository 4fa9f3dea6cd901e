"""Maintenance that beat does, most of it every few seconds. One that hangs, on a storage or on
Valkey, keeps none of the others."""

import logging

from celery import shared_task
from django.db import OperationalError

from webapp.core.neighbours import StorageAway
from webapp.generation import orphans
from webapp.generation.queueing.sweeping import Sweeper, ring_for_queued
from webapp.generation.request.uploads import delete_unused_uploads

logger = logging.getLogger(__name__)

sweeper = Sweeper()


@shared_task(name="webapp.generation.tasks.sweep")
def sweep() -> None:
    """Puts images whose lease has ended back into the queue; what the database does not answer is
    logged, and done the next time, as in all of these."""
    try:
        sweeper.sweep()
    except OperationalError as error:
        logger.error("the sweep is put off, the database does not answer: %s", error)


@shared_task(name="webapp.generation.tasks.ring")
def ring() -> None:
    """Wakes workers for every model that has something queued: a doorbell may have been lost."""
    try:
        ring_for_queued()
    except OperationalError as error:
        logger.error("nobody is rung for, the database does not answer: %s", error)


@shared_task(name="webapp.generation.tasks.sweep_files")
def sweep_files() -> None:
    """Deletes files whose rows are gone."""
    try:
        orphans.delete_discarded_files()
    except (OperationalError, StorageAway) as error:
        logger.error("files are deleted later: %s", error)


@shared_task(name="webapp.generation.tasks.sweep_orphans")
def sweep_orphans() -> None:
    """Deletes files that no row names, in some of the folders."""
    try:
        orphans.sweep_some()
    except (OperationalError, StorageAway) as error:
        logger.error("files of nobody are looked for later: %s", error)


@shared_task(name="webapp.generation.tasks.sweep_uploads")
def sweep_uploads() -> None:
    """Removes images that were uploaded and that no request has named for a day."""
    try:
        delete_unused_uploads()
    except OperationalError as error:
        logger.error("uploads are swept later, the database does not answer: %s", error)
