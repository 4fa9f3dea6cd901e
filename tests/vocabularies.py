"""A small vocabulary, as a model's folder carries one, for the tests of all rooms."""

import copy
import json
from typing import Any

from webapp.catalog.lexicon import Lexicon
from webapp.catalog.models import DiffusionModel
from webapp.catalog.vocabulary import parse_vocabulary
from webapp.catalog.vocabulary_services import keep_vocabulary

SMALL: dict[str, Any] = {
    "version": 1,
    "things": {
        "en": {
            "cat": "cat",
            "cats": "cat",
            "kitten": "cat",
            "dog": "dog",
            "house": "house",
            "car": "car",
            "bus": "bus",
            "ice cream": "ice-cream",
            "ice": "ice",
            "robot": "robot",
            "rocket": "rocket",
            "t-shirt": "t-shirt",
        },
        "ko": {
            "고양이": "cat",
            "강아지": "dog",
            "집": "house",
            "자동차": "car",
            "버스": "bus",
            "아이스크림": "ice-cream",
            "생일 케이크": "cake",
            "로봇": "robot",
        },
    },
    "words": {
        "en": ["a", "an", "the", "and", "on", "of", "two", "red", "blue", "background", "style"],
        "ko": ["한", "마리", "빨간", "파란", "배경", "위"],
    },
    "endings": {"ko": ["이", "가", "을", "를", "은", "는", "와", "과", "의", "에", "에서"]},
    "near": {
        "en": {"kitty": ["cat"], "vehicle": ["car", "bus"], "astronaut": ["rocket", "robot"]},
        "ko": {"탈것": ["자동차", "버스"]},
    },
    "styles": [
        {
            "slug": "flat",
            "name": {"en": "Flat", "ko": "플랫"},
            "words": {"en": "flat style", "ko": "플랫 스타일"},
        },
        {
            "slug": "pixel-art",
            "name": {"en": "Pixels", "ko": "픽셀"},
            "words": {"en": "pixel style", "ko": "픽셀 스타일"},
        },
    ],
    "sizes": [[64, 64], [128, 64]],
    "negative": {
        "en": ["white background", "blue background", "red"],
        "ko": ["흰 배경", "파란 배경", "빨간"],
    },
}


def small_vocabulary(*without: str, **changes: Any) -> dict[str, Any]:
    """The small one, with these fields changed and those left out."""
    changed = {**copy.deepcopy(SMALL), **changes}
    return {name: value for name, value in changed.items() if name not in without}


def as_bytes(vocabulary: Any) -> bytes:
    """As it stands in the file."""
    return json.dumps(vocabulary, ensure_ascii=False).encode()


def small_lexicon(*without: str, **changes: Any) -> Lexicon:
    """Ready to be looked up in."""
    return Lexicon(parse_vocabulary(as_bytes(small_vocabulary(*without, **changes))))


def give_vocabulary(model: DiffusionModel, *without: str, **changes: Any) -> DiffusionModel:
    """The model, read again, with the small vocabulary."""
    raw = as_bytes(small_vocabulary(*without, **changes))
    keep_vocabulary(model=model, raw=raw)
    return DiffusionModel.objects.get(pk=model.pk)
