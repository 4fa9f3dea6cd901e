"""Answers with somebody's own image."""

from django.http import HttpResponse

from webapp.generation.storage import read_kept


def private_file(name: str, *, content_type: str) -> HttpResponse:
    """The stored file of that name; raises NotFound for "" and if it is gone."""
    return private_bytes(read_kept(name), content_type=content_type)


def private_bytes(body: bytes, *, content_type: str) -> HttpResponse:
    """An answer that no cache keeps, no other site embeds and no browser takes for a page."""
    response = HttpResponse(body, content_type=content_type)
    response["Cache-Control"] = "private, no-store"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
