"""Fifty templates that begin alike and end in their own few tokens."""

from __future__ import annotations

BEGINNINGS = (
    "means", "is about", "belongs to", "can be classified as", "can be summarized as", "describes", "deals with",
    "falls under", "is an example of", "should be filed under",
)  # fmt: skip
ENDS = ("in one word:", "the following topic:", "the category:", "the cluster:", "this:")
SUFFIXES = [f'This sentence: "{{text}}" {begin} {end}' for end in ENDS for begin in BEGINNINGS]
