"""The architectures that Darkroom knows; the worker has one pipeline file for each."""

from django.db import models


class Family(models.TextChoices):
    """Slugs agree with the worker's and with what `models scan` finds in a folder."""

    SD = "sd", "Stable Diffusion 1.x / 2.x"
    SDXL = "sdxl", "Stable Diffusion XL"
    SD3 = "sd3", "Stable Diffusion 3"
    FLUX = "flux", "FLUX.1"
