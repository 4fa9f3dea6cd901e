"""The vocabulary of the starter model: the things, drawing styles and background colours it knows.

Every concept is drawn by all three icon sets. Names come from the icon sets and from CLDR; this
file only overrides them where people type another word ("car" for "automobile").
"""

from dataclasses import dataclass
from typing import Final, Literal

Locale = Literal["en", "ko"]


@dataclass(frozen=True, slots=True)
class Style:
    """One drawing style: the icon set that shows it and its words per locale."""

    slug: str
    icon_set: str
    words: dict[Locale, tuple[str, ...]]


STYLES: Final[tuple[Style, ...]] = (
    Style("3d", "fluent-emoji", {"en": ("3d style", "3d render"), "ko": ("3d 스타일", "입체")}),
    Style("flat", "fluent-emoji-flat", {"en": ("flat style",), "ko": ("플랫 스타일",)}),
    Style("cartoon", "noto", {"en": ("cartoon style",), "ko": ("만화 스타일",)}),
)


@dataclass(frozen=True, slots=True)
class Colour:
    """One background colour: sRGB in 0..255 and its words per locale."""

    slug: str
    rgb: tuple[int, int, int]
    words: dict[Locale, tuple[str, ...]]


COLOURS: Final[tuple[Colour, ...]] = (
    Colour("white", (255, 255, 255), {"en": ("white",), "ko": ("하얀", "흰색")}),
    Colour("black", (24, 24, 27), {"en": ("black",), "ko": ("검은", "검은색")}),
    Colour("grey", (148, 152, 160), {"en": ("grey", "gray"), "ko": ("회색",)}),
    Colour("red", (214, 48, 49), {"en": ("red",), "ko": ("빨간", "빨간색")}),
    Colour("orange", (245, 140, 40), {"en": ("orange",), "ko": ("주황색",)}),
    Colour("yellow", (250, 212, 64), {"en": ("yellow",), "ko": ("노란", "노란색")}),
    Colour("green", (60, 165, 85), {"en": ("green",), "ko": ("초록색", "녹색")}),
    Colour("blue", (48, 100, 210), {"en": ("blue",), "ko": ("파란", "파란색")}),
    Colour("sky blue", (140, 205, 245), {"en": ("sky blue", "light blue"), "ko": ("하늘색",)}),
    Colour("purple", (125, 75, 185), {"en": ("purple",), "ko": ("보라색",)}),
    Colour("pink", (250, 165, 195), {"en": ("pink",), "ko": ("분홍색",)}),
    Colour("brown", (125, 85, 60), {"en": ("brown",), "ko": ("갈색",)}),
)

# Icon names, which all three sets share. Where a set has both a body and a face ("cat", "cat-face")
# the face is the one listed: it is what stays legible at 128 pixels.
ICONS: Final[dict[str, str]] = {
    "animals": """
        bear panda lion tiger-face cat-face dog-face fox rabbit-face mouse-face frog
        pig-face cow-face monkey-face penguin bird owl elephant fish octopus butterfly
        turtle
    """,
    "plants": """
        cactus evergreen-tree deciduous-tree tulip rose sunflower mushroom
    """,
    "food": """
        red-apple banana cherries lemon tangerine strawberry watermelon carrot hamburger
        pizza doughnut birthday-cake hot-beverage
    """,
    "things": """
        balloon wrapped-gift crown soccer-ball
    """,
    "places and travel": """
        house castle rainbow automobile bus locomotive airplane rocket sailboat
    """,
    "sky and weather": """
        sun full-moon star cloud snowman
    """,
    "faces and people": """
        grinning-face smiling-face-with-sunglasses robot ghost red-heart
    """,
}

# The icon's name where people would type another word; further entries are synonyms.
ENGLISH: Final[dict[str, tuple[str, ...]]] = {
    "tiger-face": ("tiger",),
    "cat-face": ("cat", "kitten", "cat face"),
    "dog-face": ("dog", "puppy", "dog face"),
    "rabbit-face": ("rabbit", "bunny"),
    "mouse-face": ("mouse",),
    "pig-face": ("pig",),
    "cow-face": ("cow",),
    "monkey-face": ("monkey",),
    "evergreen-tree": ("pine tree", "evergreen tree"),
    "deciduous-tree": ("tree", "deciduous tree"),
    "red-apple": ("red apple", "apple"),
    "tangerine": ("orange fruit", "tangerine"),
    "hamburger": ("hamburger", "burger"),
    "doughnut": ("doughnut", "donut"),
    "hot-beverage": ("cup of coffee", "coffee"),
    "wrapped-gift": ("gift", "present"),
    "automobile": ("car", "automobile"),
    "locomotive": ("train", "steam train"),
    "full-moon": ("full moon", "moon"),
    "grinning-face": ("smiling face", "happy face", "grinning face"),
    "smiling-face-with-sunglasses": ("face with sunglasses", "cool face"),
    "red-heart": ("red heart", "heart"),
}

# Korean words that people type, where the name in CLDR is another or longer one.
KOREAN: Final[dict[str, tuple[str, ...]]] = {
    "dog-face": ("강아지", "개"),
    "turtle": ("거북이", "거북"),
    "rose": ("장미", "장미꽃"),
    "red-apple": ("빨간 사과", "사과"),
    "tangerine": ("귤", "오렌지"),
    "hot-beverage": ("커피", "뜨거운 음료"),
    "castle": ("성",),
    "automobile": ("자동차", "차"),
    "locomotive": ("기차", "증기 기차"),
    "sun": ("해", "태양"),
    "full-moon": ("달", "보름달"),
    "grinning-face": ("웃는 얼굴",),
    "robot": ("로봇",),
    "ghost": ("유령", "귀신"),
    "red-heart": ("빨간 하트", "하트"),
}


def all_icons() -> tuple[str, ...]:
    """The icon names of every concept, in the order of the categories."""
    return tuple(icon for names in ICONS.values() for icon in names.split())
