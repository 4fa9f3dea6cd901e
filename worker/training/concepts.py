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
        turtle koala unicorn chicken duck giraffe zebra spouting-whale dolphin shark crab
        snail honeybee snake sauropod
    """,
    "plants": """
        cactus evergreen-tree deciduous-tree tulip rose sunflower mushroom palm-tree
        cherry-blossom four-leaf-clover
    """,
    "food": """
        red-apple banana cherries lemon tangerine strawberry watermelon carrot hamburger
        pizza doughnut birthday-cake hot-beverage grapes peach pineapple avocado tomato
        bread cheese-wedge french-fries soft-ice-cream cookie cupcake
    """,
    "things": """
        balloon wrapped-gift crown soccer-ball christmas-tree jack-o-lantern teddy-bear
        trophy gem-stone basketball books key light-bulb camera guitar umbrella alarm-clock
    """,
    "places and travel": """
        house castle rainbow automobile bus locomotive airplane rocket sailboat tent
        snow-capped-mountain volcano bicycle helicopter flying-saucer fire-engine
    """,
    "sky and weather": """
        sun full-moon star cloud snowman ringed-planet globe-showing-americas high-voltage
        snowflake fire
    """,
    "faces and people": """
        grinning-face smiling-face-with-sunglasses robot ghost red-heart
        smiling-face-with-heart-eyes crying-face alien skull clown-face
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
    "chicken": ("chicken", "hen"),
    "spouting-whale": ("whale",),
    "honeybee": ("bee", "honeybee"),
    "sauropod": ("dinosaur",),
    "evergreen-tree": ("pine tree", "evergreen tree"),
    "deciduous-tree": ("tree", "deciduous tree"),
    "red-apple": ("red apple", "apple"),
    "tangerine": ("orange fruit", "tangerine"),
    "cheese-wedge": ("cheese",),
    "hamburger": ("hamburger", "burger"),
    "soft-ice-cream": ("ice cream",),
    "snow-capped-mountain": ("mountain", "snowy mountain"),
    "doughnut": ("doughnut", "donut"),
    "hot-beverage": ("cup of coffee", "coffee"),
    "wrapped-gift": ("gift", "present"),
    "jack-o-lantern": ("jack-o-lantern", "halloween pumpkin", "pumpkin"),
    "gem-stone": ("diamond", "gem"),
    "automobile": ("car", "automobile"),
    "alarm-clock": ("alarm clock", "clock"),
    "fire-engine": ("fire truck", "fire engine"),
    "locomotive": ("train", "steam train"),
    "flying-saucer": ("ufo", "flying saucer"),
    "full-moon": ("full moon", "moon"),
    "ringed-planet": ("planet", "saturn"),
    "globe-showing-americas": ("earth", "globe"),
    "high-voltage": ("lightning bolt", "lightning"),
    "fire": ("fire", "flame"),
    "grinning-face": ("smiling face", "happy face", "grinning face"),
    "smiling-face-with-sunglasses": ("face with sunglasses", "cool face"),
    "smiling-face-with-heart-eyes": ("face with heart eyes", "face in love"),
    "clown-face": ("clown",),
    "red-heart": ("red heart", "heart"),
}

# Korean words that people type, where the name in CLDR is another or longer one.
KOREAN: Final[dict[str, tuple[str, ...]]] = {
    "dog-face": ("강아지", "개"),
    "spouting-whale": ("고래",),
    "honeybee": ("꿀벌", "벌"),
    "sauropod": ("공룡",),
    "turtle": ("거북이", "거북"),
    "rose": ("장미", "장미꽃"),
    "red-apple": ("빨간 사과", "사과"),
    "tangerine": ("귤", "오렌지"),
    "cheese-wedge": ("치즈",),
    "hot-beverage": ("커피", "뜨거운 음료"),
    "jack-o-lantern": ("할로윈 호박", "호박"),
    "teddy-bear": ("곰인형", "테디 베어"),
    "gem-stone": ("다이아몬드", "보석"),
    "basketball": ("농구공",),
    "books": ("책",),
    "soft-ice-cream": ("아이스크림",),
    "snow-capped-mountain": ("산", "눈 덮인 산"),
    "alarm-clock": ("알람 시계", "시계"),
    "castle": ("성",),
    "automobile": ("자동차", "차"),
    "locomotive": ("기차", "증기 기차"),
    "flying-saucer": ("유에프오", "비행접시"),
    "sun": ("해", "태양"),
    "full-moon": ("달", "보름달"),
    "ringed-planet": ("토성", "행성"),
    "globe-showing-americas": ("지구",),
    "high-voltage": ("번개",),
    "grinning-face": ("웃는 얼굴",),
    "robot": ("로봇",),
    "clown-face": ("광대",),
    "ghost": ("유령", "귀신"),
    "red-heart": ("빨간 하트", "하트"),
}


def all_icons() -> tuple[str, ...]:
    """The icon names of every concept, in the order of the categories."""
    return tuple(icon for names in ICONS.values() for icon in names.split())
