"""What an image costs. Quoted and rounded once, at submission; the quote is stored with it."""

from django.conf import settings

from webapp.core.units import to_ucr


def price_per_image_ucr() -> int:
    """The flat price of one image in micro-credits, whatever its size and number of steps."""
    return to_ucr(settings.PRICE_PER_IMAGE)
