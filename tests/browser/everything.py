"""A studio that has one of everything that a page can show, and what its addresses take."""

import base64
import uuid
from dataclasses import dataclass
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.mfa.webauthn.internal.auth import WebAuthn
from django.apps import apps
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from tests.people import claim, finish, make_lora, make_model, make_user, picture_bytes, submit
from tests.prices import make_group, make_list
from webapp.accounts.invitations import InvitationTerms, make_invitation
from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.notices import tell_admins
from webapp.core.units import UCR_PER_CREDIT
from webapp.credits import codes, ledger
from webapp.credits.models import Transaction
from webapp.credits.requests import ask_for_credits
from webapp.gallery.collections import create_collection
from webapp.gallery.sharing import share_image
from webapp.generation import events
from webapp.generation.models import Image
from webapp.generation.queueing import services
from webapp.generation.queueing.claims import Claim
from webapp.generation.request.uploads import create_upload_from_image
from webapp.operations.batch_file import FileLine
from webapp.operations.batches import draft_for_lines
from webapp.operations.models import BackupRun
from webapp.operations.tasks import check_nightly

CREDIT = UCR_PER_CREDIT
WORDS = "a fox at dusk, storybook illustration, warm light between tall birches"


@dataclass(frozen=True)
class Everything:
    """Who lives there, alice's images by what became of them, and the arguments of addresses
    by the address's name or by the argument's own."""

    alice: User
    charlie: User
    pictures: dict[str, Image]
    arguments: dict[str, Any]

    def argument(self, address: str, name: str) -> Any:
        """What stands in an address for an argument; raises KeyError if nobody said."""
        own = f"{address} {name}"
        return self.arguments[own] if own in self.arguments else self.arguments[name]


def newest(app: str, model: str) -> Any:
    """The key of the newest object that a page of the admin site is about."""
    return apps.get_model(app, model).objects.latest("pk").pk


def furnish() -> Everything:
    """Makes all of it, through the services that people's own clicks go through."""
    alice, charlie = make_user("alice"), make_user("charlie", is_staff=True, is_superuser=True)
    model = make_model(name="Tiny Diffusion", summary="Small and quick")
    make_lora(summary="Finer lines", trigger_words="fine lines")
    group = make_group("Friends")
    make_list("0.2", metered={model: ("1.5", "0.05")}, groups={group: "0.5"}, note="a share")
    pictures = draw_pictures(alice, model)
    arguments = {
        **fill_gallery(alice, pictures["stored"]),
        **move_credits(alice, charlie),
        **open_doors(alice, charlie),
        **hold_second_steps(alice),
        "model_words slug": model.slug,
        "image_id": pictures["stored"].pk,
        "generation_id": pictures["stored"].generation_id,
    }
    tell_admins(code="model_unavailable:tiny", sentence="The model could not be loaded.")
    check_nightly()
    BackupRun.objects.create(kind="backup", name="darkroom-20260101T000000Z", took_s=4.5, images=1)
    return Everything(alice, charlie, pictures, arguments)


def draw_pictures(owner: User, model: DiffusionModel) -> dict[str, Image]:
    """One image in each state that a tile can have."""
    made = {name: submit(owner, model, prompt=f"{WORDS}, {name}") for name in ("stored", "binned")}
    for _picture in made:
        assert finish(claim(model))
    made["failed"] = submit(owner, model, prompt=f"{WORDS}, too large")
    fail(claim(model))
    made["running"] = submit(owner, model, count=3, prompt=f"{WORDS}, on its way")
    tell_progress(claim(model))
    made["cancelled"] = submit(owner, model, prompt="second thoughts", negative_prompt="")
    services.cancel_generation(owner=owner, generation_id=made["cancelled"].pk)
    made["queued"] = submit(owner, model, count=2)
    pictures = {name: generation.images.get(index=0) for name, generation in made.items()}
    Image.objects.filter(pk=pictures["binned"].pk).update(binned_at=pictures["stored"].created_at)
    return pictures


def fail(claimed: Claim) -> None:
    """As a worker does that has not enough memory."""
    services.fail_image(
        image_id=claimed.image_id,
        lease_token=claimed.lease_token,
        code="out_of_memory",
        sentence="The image is too large for this studio's GPU.",
    )


def tell_progress(claimed: Claim, step: int = 2) -> None:
    """A step's news with its preview, as a worker sends them."""
    preview = base64.b64encode(picture_bytes("WEBP", 128)).decode()
    event = {
        "id": str(claimed.image_id),
        "generation": str(claimed.generation_id),
        "stage": "denoising",
        "step": step,
        "steps": claimed.asked.steps,
        "preview": f"data:image/webp;base64,{preview}",
    }
    events.publish_progress(user_id=claimed.owner_id, event=event)


def fill_gallery(alice: User, stored: Image) -> dict[str, Any]:
    """A favourite in a collection, shared with its prompt, and used as a start image."""
    Image.objects.filter(pk=stored.pk).update(is_favourite=True)
    stored.refresh_from_db()
    shelf = create_collection(owner=alice, name="Foxes")
    assert stored.finished_at is not None
    shelf.items.create(image=stored, finished_at=stored.finished_at)
    token = share_image(owner=alice, image_id=stored.pk, shows_prompt=True)
    upload = create_upload_from_image(owner=alice, image=stored)
    tokens = {"shared token": token, "shared_file token": token}
    return {"collection_id": shelf.pk, "upload_id": upload.pk, **tokens}


def move_credits(alice: User, charlie: User) -> dict[str, Any]:
    """Credits given one by one, to many and by code, a request, and a batch that is looked at."""
    ledger.top_up(user=alice, amount_ucr=CREDIT, actor=charlie, reason="a prize", key="prize")
    ledger.adjust(user=alice, amount_ucr=-CREDIT, actor=charlie, reason="an error", key="error")
    top_up = Transaction.objects.filter(kind=Transaction.Kind.TOP_UP).latest("pk")
    batch_id = uuid.uuid4()
    ledger.top_up_many(
        batch_id=batch_id, lines=[(alice.pk, CREDIT)], actor=charlie, reason="term begins"
    )
    made = codes.create_batch(
        batch_id=uuid.uuid4(), actor=charlie, name="Workshop", amount_ucr=CREDIT, count=3
    )
    written = codes.export_batch(batch_id=made.pk, actor=charlie)
    codes.redeem_code(user=alice, text=written[0].text)
    asked = ask_for_credits(user=alice, amount_ucr=5 * CREDIT, reason="a poster for the hall")
    lines = [FileLine(2, alice.email, CREDIT), FileLine(3, "nobody@example.org", CREDIT)]
    draft = draft_for_lines(actor=charlie, lines=lines, reason="term begins")
    return {
        "request_id": asked.pk,
        "transaction_id": top_up.pk,
        "batch_id": batch_id,
        "draft_id": draft.id,
    }


def hold_second_steps(alice: User) -> dict[str, Any]:
    """An authenticator app, a passkey and recovery codes."""
    TOTP.activate(alice, generate_totp_secret())
    passkey = WebAuthn.add(alice, "My laptop", make_credential())
    RecoveryCodes.activate(alice)
    return {"pk": passkey.instance.pk, "session_id": 1}


def make_credential() -> dict[str, Any]:
    """What a browser answers that made a passkey; the key itself opens nothing."""
    point = {1: 2, 3: -7, -1: 1, -2: b"x" * 32, -3: b"y" * 32}
    holder = AttestedCredentialData.create(Aaguid(bytes(16)), b"credential", ES256(point))
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.AT
    data = AuthenticatorData.create(b"r" * 32, flags, 0, holder)
    client = CollectedClientData.create("webauthn.create", b"challenge", "http://localhost")
    return {
        "id": websafe_encode(b"credential"),
        "rawId": websafe_encode(b"credential"),
        "type": "public-key",
        "response": {
            "clientDataJSON": websafe_encode(client),
            "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
        },
        "clientExtensionResults": {"credProps": {"rk": True}},
    }


def open_doors(alice: User, charlie: User) -> dict[str, Any]:
    """An invitation, and the links that mails carry."""
    address = EmailAddress.objects.create(user=alice, email=alice.email, primary=True)
    _invitation, token = make_invitation(
        actor=charlie, terms=InvitationTerms(note="the club", uses=3)
    )
    return {
        "invite token": token,
        "account_confirm_email key": EmailConfirmationHMAC(address).key,
        "account_reset_password_from_key uidb36": user_pk_to_url_str(alice),
        "account_reset_password_from_key key": default_token_generator.make_token(alice),
        "user_id": alice.pk,
        "id": alice.pk,
        "app_label": "credits",
        "content_type_id": 1,
    }
