"""The tokenizer: CLIP's own scheme with a byte-pair vocabulary learned from our captions.

Bytes underneath mean that any text has tokens, whatever its script; words of the recipe become
one token each, in English and Korean.
"""

import json
from collections.abc import Iterable
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

BEGIN: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"
MAX_TOKENS: Final = 32


def learn_tokenizer(captions: Iterable[str], *, vocabulary: int = 2600) -> CLIPTokenizer:
    """A `CLIPTokenizer` of at most `vocabulary` tokens; the same captions give the same one."""
    reference = CLIPTokenizer(vocab={BEGIN: 0, END: 1}, merges=[])
    rules = reference.backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    learner.normalizer, learner.pre_tokenizer = rules.normalizer, rules.pre_tokenizer
    learner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BEGIN, END],
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(captions, trainer)
    return _as_clip(learner, sorted(alphabet))


def _as_clip(learner: Tokenizer, alphabet: list[str]) -> CLIPTokenizer:
    """The learned merges in CLIP's class, with every byte also known at the end of a word."""
    vocab = learner.get_vocab()
    for symbol in alphabet:
        vocab.setdefault(f"{symbol}</w>", len(vocab))
    merges = json.loads(learner.to_str())["model"]["merges"]
    return CLIPTokenizer(
        vocab=vocab, merges=[tuple(pair) for pair in merges], model_max_length=MAX_TOKENS
    )
