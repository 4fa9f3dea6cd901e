"""The doors to credits: redeeming a code, asking for more."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from webapp.accounts.networks import client_address
from webapp.accounts.requests import SignedInRequest
from webapp.core.addresses import address_block
from webapp.core.errors import DarkroomError
from webapp.core.methods import require_http_methods, require_POST
from webapp.core.units import format_credits
from webapp.credits import codes, requests
from webapp.credits.forms import AskForm, RedeemForm, put_on_form
from webapp.credits.models import CreditRequest
from webapp.credits.selectors import get_balance

ANSWERS_SHOWN = 50


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def redeem(request: SignedInRequest) -> HttpResponse:
    """The page with the field for a code; a code that gave something leads to the statement."""
    form = RedeemForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            _redeem(request, form.cleaned_data["code"])
        except DarkroomError as error:
            put_on_form(form, error, field="code")
            status = error.status
        else:
            return redirect("credits")
    return render(request, "credits/redeem.html", {"form": form}, status=status)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def ask(request: SignedInRequest) -> HttpResponse:
    """The page with the open request, or the form for one, and the answers so far."""
    form = AskForm(request.POST if request.method == "POST" else None)
    status = 400 if form.errors else 200
    if form.is_valid():
        try:
            requests.ask_for_credits(
                user=request.user,
                amount_ucr=form.amount_ucr,
                reason=form.cleaned_data["reason"],
            )
        except DarkroomError as error:
            put_on_form(form, error, field="amount")
            status = error.status
        else:
            messages.success(request, _("Your request was sent."))
            return redirect("ask_for_credits")
    asked = list(CreditRequest.objects.filter(user=request.user)[:ANSWERS_SHOWN])
    context = {
        "form": form,
        "balance": get_balance(user=request.user),
        "open_request": next((one for one in asked if one.state == one.State.OPEN), None),
        "answered": [one for one in asked if one.state != one.State.OPEN],
    }
    return render(request, "credits/request.html", context, status=status)


@login_required
@require_POST
def withdraw(request: SignedInRequest, request_id: int) -> HttpResponse:
    """Takes a request back and returns to the page of requests."""
    requests.withdraw_request(user=request.user, request_id=request_id)
    messages.success(request, _("Your request was withdrawn."))
    return redirect("ask_for_credits")


def _redeem(request: SignedInRequest, text: str) -> None:
    address = address_block(client_address(request))
    codes.count_redeem_attempt(user=request.user, address=address)
    amount_ucr = codes.redeem_code(user=request.user, text=text)
    codes.give_back_redeem_attempt(user=request.user, address=address)
    balance = get_balance(user=request.user)
    sentence = _("The code gave you %(amount)s credits. You have %(available)s now.") % {
        "amount": format_credits(amount_ucr),
        "available": format_credits(balance.available_ucr),
    }
    messages.success(request, sentence)
