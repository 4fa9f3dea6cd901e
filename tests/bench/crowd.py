"""People who look at the studio, and the news that workers send them; in a trial's environment.

`python -m tests.bench.crowd enter 500` makes them and prints their session keys as JSON.
`python -m tests.bench.crowd tell` sends each of them steps of images, first evenly, then all at
once, and prints when each was sent (`time.monotonic()`, which all processes share).
"""

import base64
import json
import os
import random
import sys
import time
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from webapp.accounts.models import User

NAME = "crowd-"
PREVIEW_BYTES = 6 * 1024  # what worker.pipelines.previews makes at most
EVENTS_HZ = 160.0  # sixteen images at once, ten steps a second each
STEADY_S = 10.0
BURSTS, BURST_EVERY_S = 8, 1.5
Sent = dict[str, float]  # image id -> moment


def main() -> None:
    """Does what the first argument says."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    import django

    django.setup()
    from webapp.accounts.models import User

    if sys.argv[1] == "enter":
        print(json.dumps([enter(number) for number in range(int(sys.argv[2]))]))
        return
    people = list(User.objects.filter(email__startswith=NAME).order_by("pk"))
    print(json.dumps({"steady": tell_evenly(people), "at_once": tell_at_once(people)}))


def enter(number: int) -> str:
    """The session key of a new person; without a password, whose hash would take its time."""
    from django.test import Client

    from webapp.accounts.models import User

    client = Client()
    client.force_login(User.objects.create_user(f"{NAME}{number}@example.org", None))
    return client.cookies["sessionid"].value


def tell_evenly(people: list["User"]) -> Sent:
    """One person after the other, in an open loop: a step is due whether or not the one before
    it took its time."""
    sent: Sent = {}
    begun = time.monotonic()
    for number in range(round(EVENTS_HZ * STEADY_S)):
        time.sleep(max(0.0, begun + number / EVENTS_HZ - time.monotonic()))
        tell(people[number % len(people)], sent)
    return sent


def tell_at_once(people: list["User"]) -> Sent:
    """Everybody, as fast as one worker can, again and again."""
    sent: Sent = {}
    for _burst in range(BURSTS):
        time.sleep(BURST_EVERY_S)
        for person in people:
            tell(person, sent)
    return sent


def tell(person: "User", sent: Sent) -> None:
    """A step of an image with its preview, by the door that workers use."""
    from webapp.generation.events import publish_progress

    image_id = str(uuid.uuid4())
    preview = base64.b64encode(random.randbytes(PREVIEW_BYTES)).decode()
    event = {
        "id": image_id,
        "generation": image_id,
        "stage": "denoising",
        "step": 7,
        "steps": 30,
        "preview": f"data:image/webp;base64,{preview}",
    }
    sent[image_id] = time.monotonic()
    publish_progress(user_id=person.pk, event=event)


if __name__ == "__main__":
    main()
