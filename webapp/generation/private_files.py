"""Answers with somebody's own image.

The name of a stored file never comes back with another content. So a browser keeps what it was
given and asks each time whether it may show it: then the owner is looked for again, but no file is
read. Who sends the bytes is for DARKROOM_SEND_IMAGES to say: this process, nginx or the bucket.
"""

import hashlib
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header

from webapp.generation.storage import bucket_link, lost, read_kept

# `location` of the same name in deploy/nginx/studio.conf: nobody but the studio leads there.
FOLDER_IN_NGINX = "/_images/"
ASKED_EACH_TIME = "private, no-cache"
KEPT_BY_NOBODY = "private, no-store"


def private_file(request: HttpRequest, name: str, *, content_type: str) -> HttpResponseBase:
    """The stored file of that name, or 304 if the browser has it. Raises NotFound for "" and if it
    is gone."""
    bare = _begin(name, content_type=content_type)
    bare["ETag"] = f'"{hashlib.sha256(name.encode()).hexdigest()[:32]}"'
    bare["Cache-Control"] = ASKED_EACH_TIME
    answer = get_conditional_response(request, etag=bare["ETag"])
    if answer is None:
        return _fill(bare, name)
    for word in ("ETag", "Cache-Control"):
        answer[word] = bare[word]
    return answer


def private_image(request: HttpRequest, name: str, *, content_type: str) -> HttpResponseBase:
    """As `private_file`, but a bucket may send it: for what no script of a page reads."""
    if settings.SEND_IMAGES == "bucket":
        return _send_to_bucket(request, name, content_type=content_type, disposition="inline")
    return private_file(request, name, content_type=content_type)


def private_download(
    request: HttpRequest, name: str, *, content_type: str, filename: str
) -> HttpResponseBase:
    """The stored file to be saved under that name, kept by no cache; a bucket may send it. Raises
    NotFound for "" and if it is gone."""
    disposition = str(content_disposition_header(as_attachment=True, filename=filename))
    if settings.SEND_IMAGES == "bucket":
        return _send_to_bucket(request, name, content_type=content_type, disposition=disposition)
    response = _fill(_begin(name, content_type=content_type), name)
    response["Content-Disposition"] = disposition
    return response


def private_bytes(body: bytes, *, content_type: str) -> HttpResponse:
    """An answer that no cache keeps, no other site embeds and no browser takes for a page."""
    response = HttpResponse(body, content_type=content_type)
    response["Cache-Control"] = KEPT_BY_NOBODY
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _begin(name: str, *, content_type: str) -> HttpResponse:
    """The answer without its bytes; raises NotFound for ""."""
    if not name:
        raise lost()
    return private_bytes(b"", content_type=content_type)


def _fill(response: HttpResponse, name: str) -> HttpResponse:
    """With the file's bytes, or with the word to nginx that it is to send them."""
    if settings.SEND_IMAGES == "nginx":
        response["X-Accel-Redirect"] = FOLDER_IN_NGINX + quote(name)
    else:
        response.content = read_kept(name)
    return response


def _send_to_bucket(
    request: HttpRequest, name: str, *, content_type: str, disposition: str
) -> HttpResponse:
    """An address of the bucket's, made of nothing but its settings and the stored name."""
    if not name:
        raise lost()
    link = bucket_link(
        name,
        content_type=content_type,
        disposition=disposition,
        # The middleware shows GET to all views, and a signature is for one method.
        is_head=request.META["REQUEST_METHOD"] == "HEAD",
    )
    response = HttpResponseRedirect(link)
    response["Cache-Control"] = KEPT_BY_NOBODY
    response["Referrer-Policy"] = "no-referrer"
    return response
