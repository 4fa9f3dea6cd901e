"""The styles on offer: a few words of ours around the person's own. A model that learned styles of
its own (`catalog.vocabulary`) has those and no others.

What a person wrote is stored as written; the words of the style come in when a worker takes the
image, so that a request reads the same however a style is worded by then. Slugs are those that
Stability's interface calls `style_preset`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from webapp.catalog.models import DiffusionModel
from webapp.catalog.understanding import understand
from webapp.catalog.vocabulary import OwnStyle, in_language
from webapp.catalog.vocabulary_selectors import kept_vocabulary, lexicon_of, vocabulary_of

STYLE_GONE = _("{model} has no style {style}: none is chosen now.")
PLAIN = ""
PROMPT = "{prompt}"


@dataclass(frozen=True, slots=True)
class Style:
    """One way to draw: `template` holds the place of the person's prompt, and `negative` what is
    left out beside the person's own negative prompt. `model`: the slug of the model whose own it
    is; "" for ours."""

    slug: str
    name: Promise | str
    template: str = PROMPT
    negative: str = ""
    model: str = ""

    @property
    def sample(self) -> str:
        """The static file that shows what it does; "" for None, and for a model's own style of
        which there is no sample."""
        if self.model:
            return _own_sample(self.model, self.slug)
        return f"styles/{self.slug}.svg" if self.slug else ""


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


def offered_styles(model: DiffusionModel | None) -> list[Style]:
    """What is offered for the model, None first: its own styles, or ours if it says nothing of
    styles."""
    own = own_styles(model) if model else None
    if model is None or own is None:
        return list(STYLES.values())
    return [STYLES[PLAIN], *(_offered(one, model) for one in own)]


def style_or_none(slug: str, *, model: DiffusionModel | None) -> str:
    """The style, if it is offered for the model; none of them otherwise."""
    offered = {style.slug for style in offered_styles(model)}
    return slug if slug in offered else PLAIN


def list_styles(model: DiffusionModel) -> list[tuple[str, str]]:
    """(slug, name) of those that are offered for the model."""
    return [(style.slug, str(style.name)) for style in offered_styles(model)]


def style_refusal(slug: str, model: DiffusionModel) -> str:
    """Why there is no such style for the model, with those that there are."""
    if own_styles(model) is not None:
        sentence = gettext("%(model)s has no style “%(style)s”. On offer: %(offered)s.")
    else:
        sentence = gettext("There is no style “%(style)s”. On offer: %(offered)s.")
    offered = ", ".join(name for _slug, name in list_styles(model))
    return sentence % {"model": model.name, "style": slug[:32], "offered": offered}


def page_styles(models: Iterable[DiffusionModel]) -> dict[str, Any]:
    """For the page's script, which shows those of another model when that is chosen: `ours`, and
    `of` the models that have their own, by slug."""
    with_own = [model for model in models if own_styles(model) is not None]
    return {
        "ours": [_facts(style) for style in STYLES.values()],
        "of": {one.slug: [_facts(style) for style in offered_styles(one)] for one in with_own},
    }


def apply_style(slug: str, *, prompt: str, negative_prompt: str, model: DiffusionModel) -> Words:
    """The person's words with the style's: the model's own in the language of the prompt, if it has
    a style of that slug, else ours. A model that takes no negative prompt gets none of the style's.
    A style that is on offer no more adds nothing."""
    if slug == PLAIN:
        return Words(prompt, negative_prompt)
    own = next((one for one in own_styles(model) or () if one.slug == slug), None)
    if own is not None:
        return Words(f"{prompt}, {_words_for(own, prompt, model)}", negative_prompt)
    style = STYLES.get(slug, STYLES[PLAIN])
    added = style.negative if model.uses_negative_prompt else ""
    return Words(
        prompt=style.template.replace(PROMPT, prompt),
        negative_prompt=", ".join(part for part in (negative_prompt, added) if part),
    )


def style_name(slug: str, *, model: DiffusionModel) -> str:
    """The style's name in the visitor's language: as the model calls it, or called it when it had
    that style, else as we do; "" for none, and the slug itself for a style that nobody knows."""
    if slug == PLAIN:
        return ""
    own = kept_vocabulary(model).style_names.get(slug)
    if own:
        return in_language(own, get_language() or "en")
    return str(STYLES[slug].name) if slug in STYLES else slug


def own_styles(model: DiffusionModel) -> tuple[OwnStyle, ...] | None:
    """The styles that the model learned; None if it says nothing of styles."""
    vocabulary = vocabulary_of(model)
    return vocabulary.styles if vocabulary else None


def _offered(own: OwnStyle, model: DiffusionModel) -> Style:
    return Style(own.slug, in_language(own.names, get_language() or "en"), model=model.slug)


def _facts(style: Style) -> dict[str, str]:
    sample = static(style.sample) if style.sample else ""
    return {"slug": style.slug, "name": str(style.name), "sample": sample}


def _words_for(own: OwnStyle, prompt: str, model: DiffusionModel) -> str:
    lexicon = lexicon_of(model)
    return in_language(own.words, understand(prompt, lexicon).language if lexicon else "")


@lru_cache(maxsize=512)
def _own_sample(model: str, slug: str) -> str:
    path = f"styles/{model}/{slug}.webp"
    return path if finders.find(path) else ""
