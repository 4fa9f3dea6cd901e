"""What the starter model knows beside things: drawing styles, background colours, thing colours."""

from dataclasses import dataclass
from typing import Final

from worker.training.things import Locale


@dataclass(frozen=True, slots=True)
class Style:
    """One drawing style: the icon set that shows it, and its words per locale, the usual first.

    `finish` is what is done to the icons (`finishes.py`), `share` how often the style is drawn.
    """

    slug: str
    share: float
    icon_set: str
    words: dict[Locale, tuple[str, ...]]
    finish: str = ""


# Two drawings of each thing, Fluent's and Noto's, bear all styles: a model of 14 M parameters can
# keep about a thousand drawings, and blurs six thousand.
STYLES: Final[tuple[Style, ...]] = (
    Style(
        "3d",
        0.30,
        "fluent-emoji",
        {"en": ("3d style", "3d render", "3d"), "ko": ("3d 스타일", "입체", "3d")},
    ),
    Style(
        "flat",
        0.18,
        "fluent-emoji-flat",
        {"en": ("flat style", "flat design", "flat"), "ko": ("플랫 스타일", "플랫 디자인")},
    ),
    Style(
        "cartoon",
        0.20,
        "noto",
        {"en": ("cartoon style", "cartoon"), "ko": ("만화 스타일", "카툰 스타일", "만화")},
    ),
    Style(
        "comic",
        0.12,
        "fluent-emoji-flat",
        {
            "en": ("comic style", "comic book style", "comic"),
            "ko": ("코믹 스타일", "코믹북 스타일"),
        },
        finish="outline",
    ),
    Style(
        "sticker",
        0.12,
        "noto",
        {"en": ("sticker style", "sticker"), "ko": ("스티커 스타일", "스티커")},
        finish="sticker",
    ),
    Style(
        "pixel art",
        0.08,
        "noto",
        {"en": ("pixel art", "pixel art style", "pixels"), "ko": ("픽셀 아트", "도트", "픽셀")},
        finish="pixels",
    ),
)
STYLE_BY_SLUG: Final = {style.slug: style for style in STYLES}


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour: sRGB in 0..255 and its words per locale, the usual first."""

    slug: str
    rgb: tuple[int, int, int]
    words: dict[Locale, tuple[str, ...]]


COLOURS: Final[tuple[Colour, ...]] = (
    Colour("white", (255, 255, 255), {"en": ("white",), "ko": ("하얀", "흰", "흰색", "하얀색")}),
    Colour("black", (24, 24, 27), {"en": ("black",), "ko": ("검은", "검은색", "검정", "까만")}),
    Colour("grey", (148, 152, 160), {"en": ("grey", "gray"), "ko": ("회색",)}),
    Colour("red", (214, 48, 49), {"en": ("red",), "ko": ("빨간", "빨간색", "빨강", "붉은")}),
    Colour("orange", (245, 140, 40), {"en": ("orange",), "ko": ("주황색", "주황", "오렌지색")}),
    Colour("yellow", (250, 212, 64), {"en": ("yellow",), "ko": ("노란", "노란색", "노랑")}),
    Colour("green", (60, 165, 85), {"en": ("green",), "ko": ("초록색", "초록", "녹색")}),
    Colour("blue", (48, 100, 210), {"en": ("blue",), "ko": ("파란", "파란색", "파랑", "푸른")}),
    Colour("navy", (28, 40, 92), {"en": ("navy", "navy blue", "dark blue"), "ko": ("남색",)}),
    Colour("sky blue", (140, 205, 245), {"en": ("sky blue", "light blue"), "ko": ("하늘색",)}),
    Colour("purple", (125, 75, 185), {"en": ("purple", "violet"), "ko": ("보라색", "보라")}),
    Colour("pink", (250, 165, 195), {"en": ("pink",), "ko": ("분홍색", "핑크색", "핑크", "분홍")}),
    Colour("brown", (125, 85, 60), {"en": ("brown",), "ko": ("갈색",)}),
)
COLOUR_BY_SLUG: Final = {colour.slug: colour for colour in COLOURS}
# What things can be asked for in: the ones whose names nobody mixes up with a neighbour's.
THING_COLOURS: Final = tuple(
    COLOUR_BY_SLUG[slug]
    for slug in ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black")
)
# Things that come in any colour: where a caption names none, they may have one all the same.
COLOURFUL_SECTIONS: Final = ("clothes",)
COLOURFUL_THINGS: Final = """
    balloon gift umbrella car bus truck train book flower tulip rose house tent backpack phone
    chair sofa bucket kite scooter motorcycle bicycle guitar heart butterfly bird fish parrot
    dragon dinosaur robot monster rocket candy lollipop crayon mailbox speedboat sailboat
"""
