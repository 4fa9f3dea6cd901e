"""The styles on offer: a few words of ours around the person's own.

What a person wrote is stored as written; the words of the style come in when a worker takes the
image, so that a request reads the same however a style is worded by then. Slugs are those that
Stability's interface calls `style_preset`.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

PLAIN = ""
PROMPT = "{prompt}"


@dataclass(frozen=True, slots=True)
class Style:
    """One way to draw: `template` holds the place of the person's prompt, and `negative` what is
    left out beside the person's own negative prompt."""

    slug: str
    name: Promise
    template: str = PROMPT
    negative: str = ""

    @property
    def sample(self) -> str:
        """The static file that shows what it does."""
        return f"styles/{self.slug}.svg"


@dataclass(frozen=True, slots=True)
class Words:
    """What a model is asked for."""

    prompt: str
    negative_prompt: str


_ALL = (
    Style(PLAIN, _("None")),
    Style(
        "enhance",
        _("Enhance"),
        "{prompt}, crisp detail, balanced light, rich clear colours, carefully composed",
        "blurry, washed out, jpeg artefacts, distorted",
    ),
    Style(
        "anime",
        _("Anime"),
        "{prompt}, anime key visual, clean line work, cel shading, bright expressive colours",
        "photo, 3d render, realistic skin, muddy colours",
    ),
    Style(
        "photographic",
        _("Photographic"),
        "photograph of {prompt}, 50 mm lens, natural light, shallow depth of field, true colours",
        "drawing, painting, illustration, render, cartoon",
    ),
    Style(
        "digital-art",
        _("Digital art"),
        "{prompt}, digital painting, smooth brushwork, glowing rim light, saturated colours",
        "photo, grain, rough sketch",
    ),
    Style(
        "comic-book",
        _("Comic book"),
        "comic book panel of {prompt}, bold ink outlines, halftone dots, flat bright colours",
        "photo, soft shading, blurry lines, 3d render",
    ),
    Style(
        "fantasy-art",
        _("Fantasy art"),
        "{prompt}, epic fantasy illustration, painterly, magical glow, sweeping atmosphere",
        "modern objects, photo, flat lighting, plain background",
    ),
    Style(
        "analog-film",
        _("Analog film"),
        "{prompt}, shot on 35 mm film, visible grain, faded warm tones, light leak, soft contrast",
        "digital look, oversharpened, neon colours, illustration",
    ),
    Style(
        "neon-punk",
        _("Neon punk"),
        "{prompt}, glowing neon lines, cyberpunk night, magenta and cyan light, dark background",
        "daylight, pastel colours, natural light, beige",
    ),
    Style(
        "isometric",
        _("Isometric"),
        "isometric view of {prompt}, tidy miniature diorama, parallel lines, soft even shadows",
        "perspective distortion, horizon, close-up, photo",
    ),
    Style(
        "low-poly",
        _("Low poly"),
        "low poly {prompt}, flat triangular facets, simple geometry, gentle gradients between them",
        "fine texture, smooth surface, photo, noise",
    ),
    Style(
        "origami",
        _("Origami"),
        "origami of {prompt}, folded coloured paper, sharp creases, soft studio shadow",
        "fur, smooth curves, liquid, photo of a real scene",
    ),
    Style(
        "line-art",
        _("Line art"),
        "line drawing of {prompt}, thin black ink lines on white paper, no shading, clear contours",
        "colour, shading, photo, 3d render, texture",
    ),
    Style(
        "modeling-compound",
        _("Modelling clay"),
        "{prompt} made of modelling clay, rounded shapes, fingerprints, stop-motion set",
        "sharp edges, photo of a real scene, flat drawing",
    ),
    Style(
        "cinematic",
        _("Cinematic"),
        "film still of {prompt}, wide screen, dramatic side light, teal and amber tones, haze",
        "cartoon, flat light, drawing, overexposed",
    ),
    Style(
        "3d-model",
        _("3D model"),
        "3d model of {prompt}, polished render, soft studio light, clean materials",
        "flat drawing, sketch, paint strokes, grain",
    ),
    Style(
        "pixel-art",
        _("Pixel art"),
        "pixel art of {prompt}, 16-bit game sprite, hard square pixels, limited palette",
        "smooth gradients, blur, photo, anti-aliasing",
    ),
    Style(
        "tile-texture",
        _("Tile texture"),
        "seamless repeating pattern of {prompt}, even spacing, flat ornament, edges that join",
        "single subject, perspective, border, horizon",
    ),
)
STYLES = {style.slug: style for style in _ALL}


def apply_style(
    slug: str, *, prompt: str, negative_prompt: str, uses_negative_prompt: bool
) -> Words:
    """The person's words within the style's; a model that takes no negative prompt gets none of
    the style's. A style that is on offer no more adds nothing."""
    style = STYLES.get(slug, STYLES[PLAIN])
    added = style.negative if uses_negative_prompt else ""
    return Words(
        prompt=style.template.replace(PROMPT, prompt),
        negative_prompt=", ".join(part for part in (negative_prompt, added) if part),
    )


def style_name(slug: str) -> str:
    """The style's name in the visitor's language; "" for none, and the slug itself for a style
    that is on offer no more."""
    if slug == PLAIN:
        return ""
    return str(STYLES[slug].name) if slug in STYLES else slug
