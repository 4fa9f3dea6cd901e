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
        bear panda koala lion tiger-face cat-face dog-face fox rabbit-face mouse-face frog
        pig-face cow-face monkey-face unicorn chicken penguin baby-chick bird duck owl elephant
        giraffe zebra spouting-whale dolphin fish shark octopus crab snail butterfly honeybee
        lady-beetle spider turtle snake sauropod
    """,
    "plants": """
        cactus evergreen-tree deciduous-tree palm-tree tulip rose sunflower cherry-blossom
        four-leaf-clover mushroom
    """,
    "food": """
        red-apple banana cherries grapes lemon tangerine peach pear pineapple strawberry
        watermelon avocado tomato eggplant carrot broccoli bread cheese-wedge hamburger
        french-fries pizza hot-dog taco popcorn egg cooking sushi soft-ice-cream doughnut cookie
        birthday-cake cupcake lollipop hot-beverage teapot bubble-tea wine-glass beer-mug
    """,
    "things": """
        balloon wrapped-gift christmas-tree jack-o-lantern teddy-bear trophy crown gem-stone
        soccer-ball basketball baseball game-die video-game pencil scissors books envelope key
        locked hammer magnet light-bulb candle camera television laptop mobile-phone telephone
        alarm-clock microphone headphone guitar drum bell backpack luggage umbrella t-shirt dress
        running-shoe top-hat graduation-cap chair bed money-bag coin shield anchor
    """,
    "places and travel": """
        house castle tent snow-capped-mountain volcano desert-island rainbow automobile taxi bus
        police-car ambulance fire-engine delivery-truck tractor bicycle locomotive airplane
        helicopter rocket flying-saucer sailboat ship
    """,
    "sky and weather": """
        sun full-moon crescent-moon star ringed-planet globe-showing-americas cloud
        cloud-with-rain high-voltage snowflake snowman fire droplet
    """,
    "faces and people": """
        grinning-face smiling-face-with-sunglasses smiling-face-with-heart-eyes
        face-with-tears-of-joy winking-face sleeping-face crying-face angry-face
        face-screaming-in-fear cowboy-hat-face robot alien ghost skull clown-face pile-of-poo eye
        red-heart blue-heart thumbs-up
    """,
}

# What people type first: drawn twice as often as the rest.
EVERYDAY: Final = """
    bear panda lion tiger-face cat-face dog-face fox rabbit-face mouse-face frog pig-face cow-face
    monkey-face penguin bird owl elephant fish butterfly tulip rose sunflower evergreen-tree
    deciduous-tree red-apple banana lemon tangerine strawberry watermelon carrot hamburger pizza
    doughnut birthday-cake hot-beverage balloon wrapped-gift soccer-ball crown house castle
    automobile bus locomotive airplane rocket sailboat sun full-moon star cloud rainbow snowman
    grinning-face smiling-face-with-sunglasses robot ghost red-heart
"""

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
    "baby-chick": ("chick", "baby chick"),
    "spouting-whale": ("whale",),
    "honeybee": ("bee", "honeybee"),
    "lady-beetle": ("ladybug", "ladybird"),
    "sauropod": ("dinosaur",),
    "evergreen-tree": ("pine tree", "evergreen tree"),
    "deciduous-tree": ("tree", "deciduous tree"),
    "red-apple": ("red apple", "apple"),
    "tangerine": ("orange fruit", "tangerine"),
    "cheese-wedge": ("cheese",),
    "hamburger": ("hamburger", "burger"),
    "cooking": ("fried egg",),
    "soft-ice-cream": ("ice cream",),
    "snow-capped-mountain": ("mountain", "snowy mountain"),
    "doughnut": ("doughnut", "donut"),
    "hot-beverage": ("cup of coffee", "coffee"),
    "beer-mug": ("beer", "beer mug"),
    "wrapped-gift": ("gift", "present"),
    "jack-o-lantern": ("jack-o-lantern", "halloween pumpkin", "pumpkin"),
    "gem-stone": ("diamond", "gem"),
    "game-die": ("dice", "die"),
    "video-game": ("game controller", "gamepad"),
    "locked": ("padlock", "lock"),
    "mobile-phone": ("phone", "smartphone"),
    "headphone": ("headphones",),
    "luggage": ("suitcase", "luggage"),
    "running-shoe": ("sneaker", "running shoe"),
    "automobile": ("car", "automobile"),
    "alarm-clock": ("alarm clock", "clock"),
    "t-shirt": ("t-shirt",),
    "fire-engine": ("fire truck", "fire engine"),
    "delivery-truck": ("truck", "delivery truck"),
    "locomotive": ("train", "steam train"),
    "flying-saucer": ("ufo", "flying saucer"),
    "full-moon": ("full moon", "moon"),
    "ringed-planet": ("planet", "saturn"),
    "globe-showing-americas": ("earth", "globe"),
    "cloud-with-rain": ("rain cloud", "rain"),
    "high-voltage": ("lightning bolt", "lightning"),
    "fire": ("fire", "flame"),
    "droplet": ("water drop", "droplet"),
    "grinning-face": ("smiling face", "happy face", "grinning face"),
    "smiling-face-with-sunglasses": ("face with sunglasses", "cool face"),
    "smiling-face-with-heart-eyes": ("face with heart eyes", "face in love"),
    "face-with-tears-of-joy": ("laughing face", "face with tears of joy"),
    "face-screaming-in-fear": ("screaming face", "scared face"),
    "cowboy-hat-face": ("cowboy face",),
    "clown-face": ("clown",),
    "pile-of-poo": ("poo", "pile of poo"),
    "red-heart": ("red heart", "heart"),
    "thumbs-up": ("thumbs up",),
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
    "egg": ("달걀", "계란"),
    "cooking": ("계란 프라이",),
    "lollipop": ("막대 사탕",),
    "hot-beverage": ("커피", "뜨거운 음료"),
    "wine-glass": ("와인", "와인잔"),
    "beer-mug": ("맥주", "맥주잔"),
    "jack-o-lantern": ("할로윈 호박", "호박"),
    "teddy-bear": ("곰인형", "테디 베어"),
    "gem-stone": ("다이아몬드", "보석"),
    "basketball": ("농구공",),
    "video-game": ("게임 컨트롤러",),
    "books": ("책",),
    "soft-ice-cream": ("아이스크림",),
    "snow-capped-mountain": ("산", "눈 덮인 산"),
    "television": ("텔레비전", "티비"),
    "laptop": ("노트북",),
    "mobile-phone": ("휴대전화", "핸드폰", "스마트폰"),
    "alarm-clock": ("알람 시계", "시계"),
    "backpack": ("배낭", "책가방"),
    "luggage": ("여행 가방",),
    "top-hat": ("중절모",),
    "castle": ("성",),
    "desert-island": ("섬", "무인도"),
    "automobile": ("자동차", "차"),
    "delivery-truck": ("트럭",),
    "locomotive": ("기차", "증기 기차"),
    "flying-saucer": ("유에프오", "비행접시"),
    "sun": ("해", "태양"),
    "full-moon": ("달", "보름달"),
    "ringed-planet": ("토성", "행성"),
    "globe-showing-americas": ("지구",),
    "cloud-with-rain": ("비구름", "비"),
    "high-voltage": ("번개",),
    "grinning-face": ("웃는 얼굴",),
    "face-with-tears-of-joy": ("웃으며 우는 얼굴",),
    "sleeping-face": ("자는 얼굴", "잠자는 얼굴"),
    "face-screaming-in-fear": ("겁에 질린 얼굴",),
    "cowboy-hat-face": ("카우보이",),
    "robot": ("로봇",),
    "clown-face": ("광대",),
    "ghost": ("유령", "귀신"),
    "red-heart": ("빨간 하트", "하트"),
    "blue-heart": ("파란 하트",),
    "thumbs-up": ("엄지척",),
}


def everyday_icons() -> frozenset[str]:
    """The icon names of what people type first."""
    return frozenset(EVERYDAY.split())


def all_icons() -> tuple[str, ...]:
    """The icon names of every concept, in the order of the categories."""
    return tuple(icon for names in ICONS.values() for icon in names.split())
