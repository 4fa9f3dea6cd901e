"""What beat does, and the mails that pages leave to a worker."""

import logging

from celery import shared_task
from django.db import OperationalError

from webapp.credits import allowances, low_balance, requests

logger = logging.getLogger(__name__)


@shared_task(name="webapp.credits.tasks.give_allowances")
def give_allowances() -> None:
    """Every hour: this month's allowance for whoever did not get it yet."""
    try:
        given = allowances.give_allowances()
    except OperationalError as error:
        logger.error("the allowances are put off, the database does not answer: %s", error)
        return
    if given:
        logger.info("%d people got their monthly allowance", given)


@shared_task(name="webapp.credits.tasks.tell_low_balances")
def tell_low_balances() -> None:
    """Every minute: a mail for whoever has little left."""
    try:
        low_balance.tell_low_balances()
    except OperationalError as error:
        logger.error("mails are put off, the database does not answer: %s", error)


@shared_task(name="webapp.credits.tasks.tell_decision")
def tell_decision(request_id: int) -> None:
    """Mails the answer to a request for credits, unless the request is gone or has none."""
    requests.tell_decision(request_id=request_id)
