"""What an image is refused with."""

import pytest
from django.core.files.base import ContentFile

from webapp.core.decoding import clean_image, decoding_turn
from webapp.core.errors import InvalidInput


def refusal(content: bytes, kind: str = "start") -> str:
    """What the child's refusal is told as."""
    with pytest.raises(InvalidInput) as refused, decoding_turn("alice") as child:
        clean_image(child, ContentFile(content), size_bytes=len(content), kind=kind)
    assert refused.value.field == "file"
    return refused.value.sentence
