"""What a model with a vocabulary makes of what people write."""

import random
import string
import time
import unicodedata

import pytest

from tests.vocabularies import as_bytes, small_lexicon
from webapp.catalog.lexicon import Lexicon
from webapp.catalog.spelling import Spelling
from webapp.catalog.understanding import join_ending, parts_not_followed, understand
from webapp.catalog.vocabulary import parse_vocabulary

LEXICON = small_lexicon()


def unknown(prompt: str) -> list[str]:
    return [one.word for one in understand(prompt, LEXICON).unknown]


def near(prompt: str, language: str = "en") -> list[tuple[str, ...]]:
    return [one.near for one in understand(prompt, LEXICON, language=language).unknown]


def things(prompt: str) -> tuple[str, ...]:
    return understand(prompt, LEXICON).things


def test_words_that_it_knows_are_known_and_others_are_not() -> None:
    understood = understand("a red cat and an astronaut", LEXICON)
    assert understood.things == ("cat",)
    assert [one.word for one in understood.unknown] == ["astronaut"]
    assert understood.unknown[0].near == ("rocket", "robot")
    assert understood.known == 5


def test_the_longest_phrase_counts() -> None:
    assert things("an ice cream") == ("ice-cream",)
    assert things("ice-cream, ice_cream and Ice  Cream") == ("ice-cream",)
    assert things("ice") == ("ice",)
    assert things("a T-shirt, a t shirt") == ("t-shirt",)


def test_a_phrase_ends_where_a_sign_parts_its_words() -> None:
    assert things("ice, cream") == ("ice",)
    assert unknown("ice, cream") == ["cream"]
    assert unknown("ice BREAK cream") == ["cream"]


@pytest.mark.parametrize(
    "prompt",
    [
        "A CAT!",
        "cat's house",
        "two cats, 12 cats; 3.5 cats",
        "((cat)), [cat], (cat:1.3), (a red cat:0.8)",
        r"cat \(red\)",
        "cat BREAK a red background",
        "🐱 cat 👩‍🚀 ❤️ 1️⃣ !!! ~~~ —",
        "cat\n\tdog\r\nhouse",
        "flat style, a cat",
        "a cat, pixel style",
    ],
)
def test_what_is_no_word_is_not_reported(prompt: str) -> None:
    assert unknown(prompt) == []
    assert "cat" in things(prompt)


def test_korean_endings_fall_off_where_what_is_left_is_known() -> None:
    assert unknown("고양이가 집에서 강아지와") == []
    assert things("고양이가 집에서 강아지와") == ("cat", "house", "dog")
    assert things("생일 케이크를") == ("cake",)
    assert unknown("빨간 고양이 한 마리의 배경은") == []
    # "이" is an ending, but the word that is left of "호랑이" is none that it knows.
    assert unknown("호랑이") == ["호랑이"]


def test_several_endings_may_hang_on_one_word() -> None:
    assert things("집에서는") == ("house",)


def test_texts_of_a_mac_are_composed_first() -> None:
    taken_apart = unicodedata.normalize("NFD", "고양이가")
    assert things(taken_apart) == ("cat",)
    word = unicodedata.normalize("NFD", "호랑이")
    (one,) = understand(f"cat {word}", LEXICON).unknown
    assert one.places == ((4, 4 + len(word)),)


def test_languages_may_be_mixed() -> None:
    understood = understand("red 고양이 on a 파란 background", LEXICON)
    assert understood.things == ("cat",)
    assert understood.unknown == ()
    assert understand("고양이 한 마리", LEXICON).language == "ko"
    assert understand("two cats", LEXICON).language == "en"
    assert understand("???", LEXICON).language == ""


def test_what_is_near_is_said_by_the_vocabulary_first_and_then_by_the_spelling() -> None:
    assert near("a kitty") == [("cat",)]
    assert near("a vehicle") == [("car", "bus")]
    assert near("a hosue") == [("house",)]
    assert near("a robott") == [("robot",)]
    assert near("an icecream") == [("ice cream",)]
    assert near("xylophone") == [()]


def test_two_letters_in_each_others_place_are_the_same_long_word() -> None:
    lexicon = small_lexicon("near", things={"en": {"bicycle": "bicycle", "horse": "horse"}})
    assert [one.near for one in understand("a bycicle", lexicon).unknown] == [("bicycle",)]
    assert [one.near for one in understand("a homer", lexicon).unknown] == [()]


def test_offers_are_at_most_three_different_things() -> None:
    boats = {"boat": "boat", "boats": "boat", "bolt": "bolt", "boot": "boot", "goat": "goat"}
    (one,) = understand("booat", small_lexicon("near", things={"en": boats})).unknown
    assert 1 <= len(one.near) <= 3
    assert not {"boat", "boats"} <= set(one.near)


def test_offers_are_in_the_language_of_the_word_and_keep_its_ending() -> None:
    assert near("고앵이가") == [("고양이가",)]
    assert near("로봍을") == [("로봇을",)]
    assert near("탈것을") == [("자동차를", "버스를")]
    assert near("vehicle", "ko") == [("car", "bus")]


def test_each_word_is_named_once_with_all_its_places() -> None:
    (one,) = understand("Tiger, cat, tiger and TIGER", LEXICON).unknown
    assert one.word == "Tiger"
    assert one.places == ((0, 5), (12, 17), (22, 27))
    (one,) = understand("a kitty's house", LEXICON).unknown
    assert (one.word, one.places, one.near) == ("kitty", ((2, 7),), ("cat",))


@pytest.mark.parametrize(
    ("word", "ending", "joined"),
    [
        ("곰", "가", "곰이"),
        ("고양이", "이", "고양이가"),
        ("곰", "를", "곰을"),
        ("길", "으로", "길로"),
        ("집", "로", "집으로"),
        ("자동차", "으로", "자동차로"),
        ("자동차", "에서", "자동차에서"),
        ("cat", "가", "cat가"),
    ],
)
def test_a_particle_suits_the_word_before_it(word: str, ending: str, joined: str) -> None:
    assert join_ending(word, ending) == joined


def test_of_a_negative_prompt_the_parts_that_it_can_not_follow_are_said() -> None:
    assert parts_not_followed("a white background, the red", LEXICON) == ()
    assert parts_not_followed("people, (blurry:1.2), red", LEXICON) == ("people", "blurry")
    assert parts_not_followed("a red cat", LEXICON) == ("a red cat",)
    assert parts_not_followed("", LEXICON) == ()
    assert parts_not_followed("people", small_lexicon("negative")) == ()
    assert parts_not_followed("red", small_lexicon(negative=[])) == ("red",)


def test_nothing_that_anybody_writes_stops_it() -> None:
    dice = random.Random(7)
    signs = string.printable + "가힣ㄱㅏéß☃️👨‍👩‍👧\U0001d54f\u0000\ud800\u202e\u2019\u0301漢字かな"
    for _round in range(500):
        prompt = "".join(dice.choices(signs, k=dice.randrange(0, 60)))
        understood = understand(prompt, LEXICON)
        for one in understood.unknown:
            for start, end in one.places:
                assert prompt[start:end]
        parts_not_followed(prompt, LEXICON)


def test_a_long_prompt_against_many_phrases_takes_a_few_milliseconds() -> None:
    """With patience for a busy machine: on a quiet one it takes about four."""
    dice = random.Random(3)

    def make_word() -> str:
        return "".join(dice.choices(string.ascii_lowercase, k=dice.randrange(4, 10)))

    phrases = {
        f"{make_word()} {make_word()}" if n % 4 == 0 else make_word(): f"t{n}" for n in range(5000)
    }
    lexicon = Lexicon(parse_vocabulary(as_bytes({"version": 1, "things": {"en": phrases}})))
    understand("warm up all of its indexes", lexicon)
    took_s = []
    for _round in range(5):
        prompt = " ".join(make_word() for _word in range(400))[:2000]
        began = time.perf_counter()
        understood = understand(prompt, lexicon)
        took_s.append(time.perf_counter() - began)
        assert len(understood.unknown) > 200
    assert min(took_s) < 0.05, took_s


def test_a_single_syllable_is_alike_to_nothing() -> None:
    """한 counts, and is three letters: it was answered with 하얀 and 화산."""
    assert Spelling(["하얀", "화산"]).near("한") == []
    assert Spelling(["고양이"]).near("고앵이")
