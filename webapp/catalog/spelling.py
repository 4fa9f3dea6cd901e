"""Phrases that are spelled much like a word: what somebody who mistyped it may have meant.

Pairs of letters find the few that are worth a closer look, so that thousands of phrases cost less
than a millisecond. A Korean syllable counts as its letters: 고앵이 is one letter away from 고양이.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from difflib import SequenceMatcher

LOOKED_AT = 12
# How alike two words are, from 0 to 1: people rarely mistype the first letter, and of a long word
# two letters in each other's place are still the same word.
LEAST_ALIKE, LEAST_ALIKE_LONG, LEAST_ALIKE_OTHERWISE = 0.75, 0.7, 0.86
LONG = 6
SHORTEST = 3
LEAST_SYLLABLES = 2  # one syllable is alike to too many


class Spelling:
    """An index of phrases by their pairs of letters."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._phrases = list(dict.fromkeys(phrases))
        self._letters = [_letters(phrase) for phrase in self._phrases]
        self._with_pair: defaultdict[str, list[int]] = defaultdict(list)
        for place, letters in enumerate(self._letters):
            for pair in _pairs(letters):
                self._with_pair[pair].append(place)

    def near(self, word: str) -> list[tuple[float, str]]:
        """(how alike, phrase) of those that are alike enough, the most alike first; of two that
        are as alike the earlier one."""
        letters = _letters(word)
        if len(letters) < SHORTEST or len(word) < LEAST_SYLLABLES:
            return []
        found = []
        for place in self._candidates(letters):
            other = self._letters[place]
            alike = SequenceMatcher(None, letters, other, autojunk=False).ratio()
            if alike >= _least_alike(letters, other):
                found.append((alike, place))
        found.sort(key=lambda one: (-one[0], one[1]))
        return [(alike, self._phrases[place]) for alike, place in found]

    def _candidates(self, letters: str) -> list[int]:
        """Those that share the most pairs, for their length."""
        shared: Counter[int] = Counter()
        pairs = _pairs(letters)
        for pair in pairs:
            shared.update(self._with_pair.get(pair, ()))

        def share(place: int) -> float:
            return shared[place] / (len(pairs) + len(self._letters[place]) + 1)

        return sorted(shared, key=lambda place: (-share(place), place))[:LOOKED_AT]


def _least_alike(letters: str, other: str) -> float:
    if letters[0] != other[0]:
        return LEAST_ALIKE_OTHERWISE
    return LEAST_ALIKE_LONG if min(len(letters), len(other)) >= LONG else LEAST_ALIKE


def _letters(word: str) -> str:
    return unicodedata.normalize("NFD", word)


def _pairs(letters: str) -> set[str]:
    bounded = f"^{letters}$"
    return {bounded[place : place + 2] for place in range(len(bounded) - 1)}
