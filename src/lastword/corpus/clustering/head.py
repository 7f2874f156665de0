"""Names by the model itself: what its output head says after "… belongs to the following cluster:"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lastword.corpus.clustering.terms import different, stem

if TYPE_CHECKING:
    from lastword.embedding import Embedder

TEMPLATE = "ccw"
"""Source: arXiv:2507.22729, Table 1, "CCW"."""
TEXTS = 24
"""The most typical texts of a group whose states are averaged."""
_PROBABLE = 400  # tokens of the highest probability, of which the distinctive ones are taken
_WORD = re.compile(r"[^\W\d_]{3,}")


class HeadNamer:
    """Words that a decoder predicts for groups.

    Args:
        embedder: a decoder.

    Attributes:
        problem: why the model has no words, or "".
    """

    def __init__(self, embedder: Embedder) -> None:
        from lastword.embedding.vocabulary import Vocabulary

        self.embedder = embedder.variant(
            template=TEMPLATE,
            pooling="lasttoken",
            layer=embedder.backbone.layers,
            norm="post",
            normalize=False,
        )
        self.vocabulary = Vocabulary.of(self.embedder)
        self.problem = "" if self.vocabulary else f"{embedder.name} has no output head that can be found"

    def words(self, texts_of: Sequence[Sequence[str]], words: int, known: set[str]) -> list[list[str]]:
        """The words of each group, best first.

        The state after the template, which the head turns into the next word, is averaged over the texts of a group.
        Of its most probable tokens, those are best whose logit exceeds the mean over all groups by most.

        Args:
            texts_of: typical texts of each group.
            words: most words of a group.
            known: words of all texts, without case: a token that only begins one of them is no word.

        Returns:
            Words of three letters or more.
        """
        assert self.vocabulary is not None
        flat = [text for texts in texts_of for text in texts]
        states = self.embedder.encode(flat)
        ends = np.cumsum([len(texts) for texts in texts_of])[:-1]
        means = np.array([part.mean(0) for part in np.split(states, ends)])
        logits = self.vocabulary.logits(means)
        excess = logits - logits.mean(0)
        found = []
        for row, gain in zip(logits, excess, strict=True):
            probable = np.argsort(-row, kind="stable")[:_PROBABLE]
            ranked = probable[np.argsort(-gain[probable], kind="stable")]
            spelled = (self.vocabulary.word(int(token)) for token in ranked)
            whole = (word for word in spelled if _WORD.fullmatch(word) and _whole(word, known))
            found.append(different(whole, words))
        return found


def _whole(word: str, known: set[str]) -> bool:
    """Whether a token is a word, and not the beginning of one in the texts."""
    folded = word.casefold()
    return folded in known or not any(each.startswith(folded) for each in known)


def joined(first: Sequence[str], second: Sequence[str], words: int) -> list[str]:
    """Two ranked lists as one: what is high in both comes first.

    The score of a word is the sum of 1 / (10 + rank) over the lists that have it.

    Source: reciprocal rank fusion, Cormack et al. 2009, with 10 in place of 60, since the lists are short.
    """
    scores: dict[str, float] = {}
    spelled: dict[str, str] = {}
    for ranked in (first, second):
        for rank, term in enumerate(ranked):
            key = " ".join(map(stem, term.split()))
            spelled.setdefault(key, term)
            scores[key] = scores.get(key, 0.0) + 1 / (10 + rank)
    order = sorted(scores, key=lambda key: -scores[key])
    return different((spelled[key] for key in order), words)
