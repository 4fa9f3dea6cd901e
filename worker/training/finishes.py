"""What is done to an icon after it was rendered: outlines, stickers, other colours.

Each takes straight RGBA, uint8 of shape [S, S, 4], and returns such an array of the same shape.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from worker.training.concepts import Colour

Rgba = NDArray[np.uint8]
Plane = NDArray[np.float64]
OUTLINE_RGB: Final = (38, 33, 36)
BORDER_RGB: Final = (255, 255, 255)
MARGIN: Final = 0.07  # room for outlines and borders, as a share of the side
HUE_REACH: Final = np.deg2rad(40)
LEAST_CHROMA: Final = 0.05
LEAST_COLOURED: Final = 0.3


def outline(icon: Rgba) -> Rgba:
    """The icon with a dark line around it, as comics are inked."""
    inner = shrink(icon)
    return over(inner, filled(grown(inner[..., 3], 0.022), OUTLINE_RGB))


def sticker(icon: Rgba) -> Rgba:
    """The icon cut out with a white border, and the soft shadow of a thing that lies on paper."""
    inner = shrink(icon)
    border = grown(inner[..., 3], 0.042)
    side = len(icon)
    blurred = Image.fromarray(border).filter(ImageFilter.GaussianBlur(0.02 * side))
    shadow = np.roll(np.asarray(blurred), round(0.02 * side), axis=(0, 1))
    dark = filled((shadow * 0.45).astype(np.uint8), (30, 30, 40))
    return over(inner, over(filled(border, BORDER_RGB), dark))


def plain(icon: Rgba) -> Rgba:
    """The icon as its set draws it."""
    return icon


FINISHES: Final[dict[str, Callable[[Rgba], Rgba]]] = {
    "": plain,
    "outline": outline,
    "sticker": sticker,
    "pixels": plain,  # `scenes.paint` draws such a scene small and enlarges it
}


def shrink(icon: Rgba) -> Rgba:
    """The icon a little smaller in the same frame, so that a border fits around it."""
    side = len(icon)
    edge = round(MARGIN * side)
    image = (
        Image.fromarray(icon)
        .convert("RGBa")
        .resize((side - 2 * edge,) * 2, Image.Resampling.LANCZOS)
    )
    framed = Image.new("RGBa", (side, side))
    framed.paste(image, (edge, edge))
    return np.array(framed.convert("RGBA"))


def grown(alpha: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """`alpha` [S, S] grown by `share` of the side to all sides, with soft edges."""
    reach = max(1, round(share * len(alpha)))
    image = Image.fromarray(np.where(alpha > 96, 255, 0).astype(np.uint8))
    for _ in range(reach // 2):
        image = image.filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.ModeFilter(3))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(1.2)))
    both: NDArray[np.uint8] = np.maximum(soft, alpha)
    return both


def filled(alpha: NDArray[np.uint8], rgb: tuple[int, int, int]) -> Rgba:
    """One colour in the shape of `alpha`."""
    out = np.empty((*alpha.shape, 4), dtype=np.uint8)
    out[..., :3], out[..., 3] = rgb, alpha
    return out


def over(upper: Rgba, lower: Rgba) -> Rgba:
    """`upper` laid on `lower` (Porter and Duff, 1984)."""
    laid = Image.alpha_composite(Image.fromarray(lower), Image.fromarray(upper))
    return np.asarray(laid)


def main_hue(icon: Rgba) -> float | None:
    """The commonest hue of the icon, an angle in OKLab (Ottosson 2020); None for an icon that has
    none: less than a third of it is of one hue."""
    _, chroma, hue = _hues(icon)
    weight = icon[..., 3] / 255.0
    vivid = weight * (chroma > LEAST_CHROMA)
    if vivid.sum() < LEAST_COLOURED * weight.sum():
        return None
    counts, edges = np.histogram(hue, bins=24, range=(-np.pi, np.pi), weights=vivid * chroma)
    smooth = counts + np.roll(counts, 1) + np.roll(counts, -1)
    main = float(edges[int(smooth.argmax())] + np.pi / 24)
    covered = (weight * _share_of(main, chroma, hue)).sum()
    return main if covered >= LEAST_COLOURED * weight.sum() else None


def recoloured(icon: Rgba, hue: float, colour: Colour) -> Rgba:
    """The icon with what is of `hue` in `colour`, shading kept.

    Pixels within 40 degrees of `hue` get the new colour's hue and chroma, and keep how much lighter
    or darker than the middle one they are.
    """
    lab, chroma, hues = _hues(icon)
    share = _share_of(hue, chroma, hues)
    chosen = (share > 0.5) & (icon[..., 3] > 0)
    if not chosen.any():
        return icon
    middle = np.median(lab[chosen], axis=0)
    target = _to_oklab(np.asarray(colour.rgb) / 255.0)
    new = np.empty_like(lab)
    new[..., 0] = target[0] + 0.8 * (lab[..., 0] - middle[0])
    strength = np.clip(chroma / np.median(chroma[chosen]), 0.6, 1.25)
    new[..., 1:] = target[1:] * strength[..., None]
    rgb = _from_oklab(new).clip(0.0, 1.0) * 255.0
    mixed = icon[..., :3] * (1.0 - share[..., None]) + rgb * share[..., None]
    return np.dstack([np.rint(mixed).astype(np.uint8), icon[..., 3]])


def _hues(icon: Rgba) -> tuple[Plane, Plane, Plane]:
    """(OKLab [S, S, 3], chroma [S, S], hue [S, S])."""
    lab = _to_oklab(icon[..., :3] / 255.0)
    return lab, np.hypot(lab[..., 1], lab[..., 2]), np.arctan2(lab[..., 2], lab[..., 1])


def _share_of(main: float, chroma: Plane, hue: Plane) -> Plane:
    """How much each pixel is of the hue `main`, 0 to 1, with a soft edge of 10 degrees."""
    far = np.abs((hue - main + np.pi) % (2 * np.pi) - np.pi)
    near: Plane = np.clip((HUE_REACH - far) / np.deg2rad(10), 0.0, 1.0)
    return near * (chroma > LEAST_CHROMA)


_TO_LMS: Final = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB: Final = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_LAB: Final = np.linalg.inv(_TO_LAB)
_FROM_LMS: Final = np.linalg.inv(_TO_LMS)


def _to_oklab(rgb: Plane) -> Plane:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: Plane = np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T
    return lab


def _from_oklab(lab: Plane) -> Plane:
    linear = ((lab @ _FROM_LAB.T) ** 3 @ _FROM_LMS.T).clip(0.0, 1.0)
    rgb: Plane = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb
