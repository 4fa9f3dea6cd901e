"""How many holds a second one account takes: `python -m tests.bench.holds` in a trial's
environment prints JSON. Sixteen connections ask for more than the account can pay for.
"""

import json
import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from threading import Barrier
from typing import TYPE_CHECKING

from tests.bench.bench import Bench
from tests.bench.figures import Figure
from tests.trial import TrialFailedError

if TYPE_CHECKING:
    from webapp.accounts.models import User

CONNECTIONS = 16
TOO_MANY = 160
PRICE_UCR = 200_000
HOLDS_PER_S = 300.0


def measure_holds(bench: Bench) -> Iterator[Figure]:
    """Holds a second on one account; raises TrialFailedError if it was oversold."""
    trial = bench.trial("holds", {"DARKROOM_STARTING_CREDITS": "640"})
    with trial.running():
        facts = json.loads(trial.run("-m", "tests.bench.holds"))
    if facts["holds"] != facts["affordable"] or facts["held_ucr"] != facts["holds"] * PRICE_UCR:
        raise TrialFailedError(f"the account was not held exactly: {facts}")
    note = f"{facts['holds']} holds from {CONNECTIONS} connections, none oversold, fsync on"
    rate = facts["holds"] / facts["seconds"]
    yield Figure("holds_per_s", rate, HOLDS_PER_S, at_least=True, note=note)


def main() -> None:
    """Measures and prints `holds`, `seconds`, `affordable` and the account's `held_ucr`."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    import django

    django.setup()
    from webapp.accounts.models import User
    from webapp.credits.models import Account

    user = User.objects.create_user(f"holds-{uuid.uuid4().hex}@example.org", uuid.uuid4().hex)
    affordable = Account.objects.get(user=user).available_ucr // PRICE_UCR
    seconds, held = hold_from_all(user, attempts=(affordable + TOO_MANY) // CONNECTIONS)
    facts = {
        "holds": len(held),
        "seconds": seconds,
        "affordable": affordable,
        "held_ucr": Account.objects.get(user=user).held_ucr,
    }
    release_all(held)
    print(json.dumps(facts))


def hold_from_all(user: "User", *, attempts: int) -> tuple[float, list[uuid.UUID]]:
    """(seconds, images held for), all connections at once and open before the clock starts."""
    ready = Barrier(CONNECTIONS + 1)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        work = [pool.submit(hold_many, user, attempts, ready) for _ in range(CONNECTIONS)]
        ready.wait()
        started = time.monotonic()
        held = [image_id for one in work for image_id in one.result()]
    return time.monotonic() - started, held


def hold_many(user: "User", attempts: int, ready: Barrier) -> list[uuid.UUID]:
    """The images that this connection could hold for."""
    from django.db import connection

    from webapp.core.errors import NotEnoughCredits
    from webapp.credits.ledger import hold_for_images

    held = []
    connection.ensure_connection()
    ready.wait()
    try:
        for image_id in (uuid.uuid4() for _ in repeat(None, attempts)):
            try:
                hold_for_images(user=user, amounts_ucr={image_id: PRICE_UCR})
            except NotEnoughCredits:
                continue
            held.append(image_id)
    finally:
        connection.close()
    return held


def release_all(image_ids: list[uuid.UUID]) -> None:
    """Leaves a clean ledger behind."""
    from django.db import transaction

    from webapp.credits.ledger import release

    with transaction.atomic():
        for image_id in image_ids:
            release(image_id=image_id)


if __name__ == "__main__":
    main()
