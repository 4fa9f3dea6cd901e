"""The doors of the studio: parse, call one service, answer."""

import uuid
from dataclasses import replace
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from webapp.accounts.models import User
from webapp.accounts.requests import SignedInRequest
from webapp.catalog.pricing import quote_image
from webapp.catalog.selectors import get_offered_model
from webapp.core.errors import DarkroomError, InvalidInput
from webapp.core.ids import read_id
from webapp.core.methods import require_GET, require_POST
from webapp.core.middleware import wants_json
from webapp.core.units import format_credits
from webapp.credits.selectors import get_balance
from webapp.generation.live.feed import (
    Group,
    get_group,
    has_no_worker,
    list_groups,
    new_group,
    read_state,
)
from webapp.generation.live.streams import stream_events
from webapp.generation.live.strings import studio_strings
from webapp.generation.models import Generation, Image
from webapp.generation.queueing import services
from webapp.generation.request.checks import parse_priced
from webapp.generation.selectors import get_owned_image
from webapp.generation.studio.forms import (
    Composer,
    blank_composer,
    composer_context,
    composer_of_attempt,
    composer_of_image,
    composer_of_prompt,
    composer_of_start,
)
from webapp.generation.studio.submitting import enlarge_image, shown_price, submit_form

MAX_IDS = 500
FILLS = {"from": composer_of_image, "start": composer_of_start, "edit": composer_of_start}


@never_cache
@login_required
@require_GET
def studio(request: SignedInRequest) -> HttpResponse:
    """The studio; `?from=<image>` fills the form with what that image was made with, and
    `&only=prompt` with its words alone; `?start=<image>` begins with that image, and
    `?edit=<image>` with painting over it."""
    field = next((name for name in FILLS if request.GET.get(name)), None)
    if field is None:
        return _studio_page(request, blank_composer(owner=request.user))
    image_id = read_id(request.GET[field], field=field)
    image = get_owned_image(owner=request.user, image_id=image_id)
    fill = composer_of_prompt if request.GET.get("only") == "prompt" else FILLS[field]
    composer = fill(image, owner=request.user)
    start = None if field == "from" else image
    return _studio_page(request, composer, start=start, edits=field == "edit")


@never_cache
@login_required
@require_GET
def quote(request: SignedInRequest) -> JsonResponse:
    """What one image of `?model=&width=&height=&steps=` costs this user now, and how that comes
    about. Raises InvalidInput for a model that is not on offer and for what it can't draw."""
    model = get_offered_model(slug=request.GET.get("model", ""), user=request.user)
    priced = parse_priced(request.GET.dict(), model=model)
    quoted = quote_image(user=request.user, model=model, **priced)
    return JsonResponse(
        {
            "price_each_ucr": quoted.price_each_ucr,
            "price_each": format_credits(quoted.price_each_ucr),
            "price_list": quoted.price_list_id,
            "terms": quoted.terms,
        }
    )


@login_required
@require_POST
def create_generation(request: SignedInRequest) -> HttpResponse:
    """201 with the feed's new group for scripts; for a plain form a redirect, or the page again
    with what was typed and the sentence that refused it."""
    try:
        generation = submit_form(owner=request.user, data=_checked(request.POST.dict()))
    except DarkroomError as error:
        if wants_json(request):
            raise
        composer = composer_of_attempt(request.POST.dict(), error, owner=request.user)
        return _studio_page(request, composer, status=error.status)
    return _created(request, generation)


@login_required
@require_POST
def upscale_image(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponse:
    """Asks for the image at twice its size; answers like `create_generation`. Raises NotFound for
    an image that is not the visitor's."""
    image = get_owned_image(owner=request.user, image_id=image_id)
    try:
        generation = enlarge_image(
            owner=request.user,
            image=image,
            idempotency_key=request.POST.get("idempotency_key", ""),
            quoted_each_ucr=shown_price(request.POST, owner=request.user),
        )
    except DarkroomError as error:
        if wants_json(request):
            raise
        composer = replace(composer_of_image(image, owner=request.user), error=error)
        return _studio_page(request, composer, status=error.status)
    return _created(request, generation)


@never_cache
@login_required
@require_GET
def generation(request: SignedInRequest, generation_id: uuid.UUID) -> HttpResponse:
    """One group of the feed, as HTML to put into the page; raises NotFound for one of somebody
    else."""
    group = get_group(owner=request.user, generation_id=generation_id)
    return HttpResponse(_group_html(request, group))


@login_required
@require_POST
def cancel_generation(request: SignedInRequest, generation_id: uuid.UUID) -> HttpResponse:
    """Cancels what is still waiting or being generated of it: `{"cancelled": how many}` for
    scripts, else a redirect. Raises NotFound for one of somebody else."""
    cancelled = services.cancel_generation(owner=request.user, generation_id=generation_id)
    return _cancelled(request, cancelled)


@login_required
@require_POST
def cancel_image(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponse:
    """Cancels one image, and answers as above: 0 if it had ended already, then nothing changes."""
    cancelled = services.cancel_image(owner=request.user, image_id=image_id)
    return _cancelled(request, int(cancelled))


@never_cache
@login_required
@require_GET
def studio_state(request: SignedInRequest) -> JsonResponse:
    """What a page compares itself with: who is signed in, the newest live images, those of `?ids=`
    (at most 500, separated by commas), and the balance. Raises InvalidInput for what are no ids, or
    more."""
    state = read_state(owner=request.user, ids=_ids(request.GET.get("ids", "")))
    who = {"user": str(request.user.public_id), "balance": _balance(request.user)}
    return JsonResponse(state | who, json_dumps_params={"separators": (",", ":")})


@never_cache
@login_required
@require_GET
def events(request: SignedInRequest) -> HttpResponseBase:
    """The visitor's one event stream (server-sent events).

    The database connection goes back to the pool before the stream starts: it would be held for
    minutes otherwise, and a few dozen open pages would starve everybody else.
    """
    response = StreamingHttpResponse(
        stream_events(request.user.pk), content_type="text/event-stream"
    )
    response["X-Accel-Buffering"] = "no"
    if not connection.in_atomic_block:
        connection.close()
    return response


def _studio_page(
    request: SignedInRequest,
    composer: Composer,
    status: int = 200,
    *,
    start: Image | None = None,
    edits: bool = False,
) -> HttpResponse:
    context = {
        "start_image": start,
        "start_edit": edits,
        "groups": list_groups(owner=request.user),
        "balance": get_balance(user=request.user),
        "has_no_worker": has_no_worker(),
        "idempotency_key": uuid.uuid4(),
        "strings": studio_strings(),
        **composer_context(composer, owner=request.user),
    }
    return render(request, "generation/studio.html", context, status=status)


def _created(request: SignedInRequest, generation: Generation) -> HttpResponse:
    if not wants_json(request):
        return redirect("studio")
    # Without images it was made before, by the first of two clicks, and may be anywhere by now.
    is_new = bool(generation.just_queued)
    group = (
        new_group(generation)
        if is_new
        else get_group(owner=request.user, generation_id=generation.pk)
    )
    body = {"generation": str(generation.pk), "html": _group_html(request, group)}
    return JsonResponse(body, status=201)


def _group_html(request: SignedInRequest, group: Group) -> str:
    return render_to_string("generation/_group.html", {"group": group}, request)


def _cancelled(request: SignedInRequest, cancelled: int) -> HttpResponse:
    if wants_json(request):
        return JsonResponse({"cancelled": cancelled})
    return redirect("studio")


def _balance(user: User) -> dict[str, Any]:
    balance = get_balance(user=user)
    return {
        "available_ucr": balance.available_ucr,
        "available": format_credits(balance.available_ucr),
        "held": format_credits(balance.held_ucr),
    }


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    again = data.get("again")
    return {**data, "again": read_id(again, field="again")} if again else data


def _ids(text: str) -> list[uuid.UUID]:
    parts = [part for part in text.split(",") if part]
    if len(parts) > MAX_IDS:
        sentence = _("At most %(most)d images can be requested at once.") % {"most": MAX_IDS}
        raise InvalidInput(sentence, field="ids")
    return [read_id(part, field="ids") for part in parts]
