"""The deletion of one image."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from webapp.accounts.requests import SignedInRequest
from webapp.core.methods import require_POST
from webapp.generation import services


@login_required
@require_POST
def delete_image(request: SignedInRequest, image_id: uuid.UUID) -> HttpResponse:
    """Deletes the image and goes back to the gallery."""
    services.delete_image(owner=request.user, image_id=image_id)
    messages.success(request, _("The picture is deleted."))
    return redirect("gallery")
