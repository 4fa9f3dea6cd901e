"""`make demo`: a whole studio in a temporary folder, one stranger, one image, then it stops.

Sign-up and the request go over HTTP, the ledger is checked by `manage.py check_credits`. Exit 0
if the image was stored and the ledger is clean.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from tests.trial import PROJECT, Trial, TrialFailedError, Visitor
from webapp.embedded.private import open_private

KEPT = PROJECT / "var" / "demo" / "picture.png"
IMAGE_TIMEOUT_S = 180.0
PROMPT = "a smiling face on a purple background"
NEGATIVE_PROMPT = "white background"


def main() -> int:
    """0 if the demo went through; 1, with the reason on stderr, if not."""
    try:
        with tempfile.TemporaryDirectory(prefix="darkroom-demo-") as folder:
            run_demo(Trial(Path(folder)))
    except TrialFailedError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    return 0


def run_demo(trial: Trial) -> None:
    """The whole story, told as it goes; raises TrialFailedError."""
    print("Starting a studio of its own (PostgreSQL, Valkey, web, worker) ...", flush=True)
    with trial.running():
        visitor = trial.sign_up("demo")
        print(f"A stranger signed up and has {visitor.balance()} credits.", flush=True)
        draw_one(visitor)
        print(f"Balance:  {visitor.balance()} credits")
        if visitor.balance() != "199.80":
            raise TrialFailedError("one image should have cost 0.20 of 200 credits")
        print(trial.manage("check_credits").strip(), flush=True)
    print("Stopped. Only the image is left.")


def draw_one(visitor: Visitor) -> None:
    """Asks for one image, waits for it and keeps it; raises TrialFailedError."""
    started = time.monotonic()
    asked = visitor.request_images(prompt=PROMPT, negative_prompt=NEGATIVE_PROMPT, seed="7")
    (image,) = visitor.wait_until_ended(asked, timeout_s=IMAGE_TIMEOUT_S).values()
    seconds = time.monotonic() - started
    if image["state"] != "stored":
        raise TrialFailedError(f"the image {image['state']}: {image['failure']}")
    print(f"Image:    {keep_picture(visitor, image['id'])}")
    print(f"Seconds:  {seconds:.1f} from the click to the gallery")


def keep_picture(visitor: Visitor, image_id: str) -> Path:
    """Downloads the image, which is kept for a look, and returns where. Raises TrialFailedError if
    it is no PNG whose text names the prompt."""
    png = visitor.get(f"/images/{image_id}/file/", accept="image/png")
    if not png.startswith(b"\x89PNG") or PROMPT.encode() not in png:
        raise TrialFailedError("the stored file is not a PNG that carries its prompt")
    KEPT.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(open_private(KEPT, os.O_TRUNC), "wb") as file:
        file.write(png)
    return KEPT


if __name__ == "__main__":
    sys.exit(main())
