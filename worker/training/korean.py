"""Korean captions, as people type prompts: counted with the thing's own counter, with particles."""

from typing import Final

from numpy.random import Generator

from worker.training.scenes import Scene
from worker.training.things import thing_by_slug

NUMBERS: Final = {1: "한", 2: "두", 3: "세"}
PRAISE: Final = ("귀여운", "예쁜", "멋진", "아름다운", "작고 귀여운", "재미있는")
PRAISE_SHARE: Final = 0.08
COUNTED_SHARE: Final = 0.15  # of single things are counted: "고양이 한 마리"
# How a prompt goes on after the thing: mostly it ends there.
ENDINGS: Final = ("", "{이가} 있는 그림", "{을를} 그려줘", " 그림", " 아이콘", "{은는} 가운데에")
ENDING_SHARES: Final = (0.82, 0.05, 0.05, 0.04, 0.02, 0.02)
# The particle after a final consonant, and after none.
PARTICLES: Final = {"이가": ("이", "가"), "을를": ("을", "를"), "은는": ("은", "는")}


def korean(
    scene: Scene,
    words: list[str],
    *,
    background: str | None,
    style: str | None,
    colour: str | None,
    rng: Generator,
) -> str:
    """ "파란 배경의 고양이와 집, 3d 스타일", or a shorter way to say it."""
    subject = _subject(scene, words, colour, rng)
    text = (
        _ended(subject, rng) if background is None else _with_background(subject, background, rng)
    )
    return text if style is None else f"{text}, {style}"


def _with_background(subject: str, background: str, rng: Generator) -> str:
    forms = (
        "{1} 배경의 {0}",
        "{1} 배경에 {0}",
        "{0}, {1} 배경",
        "{1} 배경에 {0}{이가} 있다",
        "{1} 바탕의 {0}",
    )
    form = forms[int(rng.choice(len(forms), p=(0.5, 0.22, 0.13, 0.08, 0.07)))]
    filled = form.replace("{0}", subject).replace("{1}", background)
    return with_particles(filled)


def _ended(subject: str, rng: Generator) -> str:
    return with_particles(subject + ENDINGS[int(rng.choice(len(ENDINGS), p=ENDING_SHARES))])


def _subject(scene: Scene, words: list[str], colour: str | None, rng: Generator) -> str:
    counter = thing_by_slug()[scene.things[0]].counter
    before = [colour] if colour else []
    if scene.layout in ("small", "large"):
        before.insert(0, "작은" if scene.layout == "small" else "큰")
    elif rng.random() < PRAISE_SHARE:
        before.insert(0, PRAISE[int(rng.integers(len(PRAISE)))])
    first = " ".join([*before, words[0]])
    match scene.layout:
        case "left" | "right":
            return f"{'왼쪽' if scene.layout == 'left' else '오른쪽'}에 있는 {first}"
        case "count":
            return _counted(first, len(words), counter, rng)
        case "pair":
            joined = particle_and(first) if rng.random() < 0.8 else "하고"
            return f"{first}{joined} {words[1]}"
        case "trio":
            return ", ".join([first, *words[1:]])
        case _:
            return _counted(first, 1, counter, rng) if rng.random() < COUNTED_SHARE else first


def _counted(thing: str, number: int, counter: str, rng: Generator) -> str:
    """ "고양이 두 마리", and now and then "두 마리의 고양이"."""
    amount = f"{NUMBERS[number]} {counter}"
    return f"{thing} {amount}" if rng.random() < 0.85 else f"{amount}의 {thing}"


def particle_and(word: str) -> str:
    """과 after a syllable with a final consonant, 와 otherwise."""
    return "과" if has_final_consonant(word) else "와"


def with_particles(text: str) -> str:
    """Every `{이가}` and its like in `text` as the word before it wants."""
    for place, (closed, opened) in PARTICLES.items():
        before, found, after = text.partition("{" + place + "}")
        if found:
            text = before + (closed if has_final_consonant(before) else opened) + after
    return text


def has_final_consonant(word: str) -> bool:
    """Whether the last syllable of `word` ends in a consonant; False where it is no Hangul."""
    last = ord(word[-1])
    return 0xAC00 <= last <= 0xD7A3 and (last - 0xAC00) % 28 != 0
