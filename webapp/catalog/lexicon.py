"""A vocabulary made ready to be looked up in: which phrases stand in a text, the longest first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from webapp.catalog.spelling import Spelling
from webapp.catalog.vocabulary import Phrases, Vocabulary
from webapp.catalog.words import Word, script_of, split_phrase

MOST_ENDINGS = 3  # "고양이에게서는": so many endings may hang on one word
MOST_NEAR = 3


@dataclass(frozen=True, slots=True)
class Meaning:
    """A phrase that is known; `thing` is the slug of what it draws, "" if it draws nothing by
    itself."""

    language: str
    thing: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """`count` words of a text that are one known phrase."""

    entry: Meaning
    count: int


class PhraseBook:
    """Phrases by their words, with what may hang on the last one."""

    def __init__(self, endings: Mapping[str, Sequence[str]]) -> None:
        self._entries: dict[tuple[str, ...], Meaning] = {}
        self._longest: dict[str, int] = {}
        self._endings: dict[str, list[str]] = {}
        for ending in sorted({one for ends in endings.values() for one in ends}, key=len)[::-1]:
            self._endings.setdefault(ending[-1], []).append(ending)

    def add(self, phrase: str, entry: Meaning) -> None:
        """Takes a phrase in, unless it stands there already."""
        words = split_phrase(phrase)
        if words:
            self._entries.setdefault(words, entry)
            self._longest[words[0]] = max(len(words), self._longest.get(words[0], 1))

    def thing_of(self, phrase: str) -> str:
        """The slug of what a phrase draws; "" if it draws nothing, or is not known."""
        entry = self._entries.get(split_phrase(phrase))
        return entry.thing if entry else ""

    def match(self, words: Sequence[Word], at: int) -> Match | None:
        """The longest phrase that begins with the word at that place; None if there is none."""
        run = [words[at].text]
        longest = self._longest.get(run[0], 1)
        for word in words[at + 1 : at + longest]:
            if not word.follows:
                break
            run.append(word.text)
        for count in range(len(run), 0, -1):
            entry = self._find(tuple(run[:count]))
            if entry is not None:
                return Match(entry, count)
        return None

    def stems(self, word: str, depth: int = MOST_ENDINGS) -> Iterator[tuple[str, str]]:
        """(what is left, what hung on it) for every ending that may hang on the word, the longest
        ending first; of what is left likewise."""
        for ending in self._endings.get(word[-1], ()) if depth else ():
            if len(ending) < len(word) and word.endswith(ending):
                stem = word[: -len(ending)]
                yield stem, ending
                for shorter, inner in self.stems(stem, depth - 1):
                    yield shorter, inner + ending

    def _find(self, words: tuple[str, ...]) -> Meaning | None:
        found = self._entries.get(words)
        if found is not None:
            return found
        for stem, _ending in self.stems(words[-1]):
            found = self._entries.get((*words[:-1], stem))
            if found is not None:
                return found
        return None


class Lexicon:
    """Everything of a vocabulary that a prompt is held against. Made once for each vocabulary, and
    never changed: threads share it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.known = PhraseBook(vocabulary.endings)
        for language, names in vocabulary.things.items():
            for phrase, slug in names.items():
                self.known.add(phrase, Meaning(language, slug))
        for language, phrase in _other_phrases(vocabulary):
            self.known.add(phrase, Meaning(language))
        self.near = lru_cache(maxsize=2048)(self._near)

    @cached_property
    def followed(self) -> PhraseBook | None:
        """What a negative prompt can take away; None if the vocabulary says nothing of it."""
        if self.vocabulary.negative is None:
            return None
        book = PhraseBook(self.vocabulary.endings)
        for language, phrases in self.vocabulary.negative.items():
            for phrase in phrases:
                book.add(phrase, Meaning(language))
        return book

    def _near(self, word: str, language: str) -> tuple[tuple[str, str], ...]:
        """(phrase, ending to keep) of up to three phrases near a folded word that is unknown: what
        the vocabulary says itself, or else what is spelled alike; in the word's own writing, that
        of the page's language first."""
        forms = [(word, ""), *self.known.stems(word)]
        languages = self._languages_of(word, language)
        for one in languages:
            table = self.vocabulary.near.get(one, {})
            for form, ending in forms:
                if form in table:
                    return tuple((offer, ending) for offer in table[form][:MOST_NEAR])
        alike = [
            (-likeness, place, phrase, ending)
            for one in languages
            for place, (form, ending) in enumerate(forms)
            for likeness, phrase in self._spelling[one].near(form)
        ]
        return self._distinct([(phrase, ending) for _, _, phrase, ending in sorted(alike)])

    def _distinct(self, offers: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """The first three that mean different things: "cat" and "cats" are one offer."""
        kept: dict[str, tuple[str, str]] = {}
        for phrase, ending in offers:
            kept.setdefault(self.known.thing_of(phrase) or phrase, (phrase, ending))
        return tuple(kept.values())[:MOST_NEAR]

    def _languages_of(self, word: str, language: str) -> list[str]:
        script = script_of(word)
        fitting = [one for one, scripts in self._scripts.items() if script in scripts]
        return sorted(fitting, key=lambda one: one != language)

    @cached_property
    def _spelling(self) -> dict[str, Spelling]:
        return {one: Spelling(phrases) for one, phrases in self._phrases.items()}

    @cached_property
    def _scripts(self) -> dict[str, set[str]]:
        return {
            one: {script_of(phrase) for phrase in phrases} for one, phrases in self._phrases.items()
        }

    @cached_property
    def _phrases(self) -> dict[str, list[str]]:
        """Language -> what may be offered in it."""
        things, words = self.vocabulary.things, self.vocabulary.words
        languages = dict.fromkeys([*things, *words])
        return {
            one: [
                phrase
                for phrase in (*things.get(one, ()), *words.get(one, ()))
                if split_phrase(phrase)
            ]
            for one in languages
        }


def _other_phrases(vocabulary: Vocabulary) -> Iterator[tuple[str, str]]:
    """(language, phrase) of all that is known beside the things: the styles' words too, whole and
    each by itself."""
    for language, phrases in vocabulary.words.items():
        yield from ((language, phrase) for phrase in phrases)
    for style in vocabulary.styles or ():
        for language, text in style.words.items():
            yield language, text
            yield from ((language, word) for word in split_phrase(text))


def negative_phrases(vocabulary: Vocabulary, language: str) -> tuple[str, ...]:
    """What a negative prompt of the model can take away, in that language; () if it says nothing
    of it, or follows none."""
    table: Phrases = vocabulary.negative or {}
    for one in (language, language.partition("-")[0], "en"):
        if one in table:
            return table[one]
    return next(iter(table.values()), ())
