"""Pairs read from several files, and those held out by anchor."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from lastword.bundled import PATHS
from lastword.errors import TableError
from lastword.training.pairs import Pairs, hold_out, read_pairs

Refused = Callable[..., str]


def _csv(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(("anchor,positive", *rows)) + "\n")
    return path


def _pairs(anchors: str) -> Pairs:
    """A pair for each letter; the positive is its row."""
    return Pairs(list(anchors), [str(row) for row in range(len(anchors))], [[f"n{a}"] for a in anchors])


def test_files_are_read_in_order_and_rows_are_taken_with_their_negatives(tmp_path: Path) -> None:
    files = [_csv(tmp_path / "1.csv", "a,b", "c,d"), _csv(tmp_path / "2.csv", "e,f")]
    pairs = read_pairs(files)
    assert pairs == Pairs(["a", "c", "e"], ["b", "d", "f"], [[], [], []])
    assert len(pairs) == 3
    assert _pairs("abc").take([2, 0]) == Pairs(["c", "a"], ["2", "0"], [["nc"], ["na"]])


def test_the_first_line_is_a_pair_where_it_is_asked_for(tmp_path: Path) -> None:
    path = _csv(tmp_path / "1.csv", "a,b")
    assert read_pairs([path], header_rows=True) == Pairs(["anchor", "a"], ["positive", "b"], [[], []])


def test_pairs_with_an_empty_side_are_refused_unless_they_are_to_be_dropped(
    tmp_path: Path, refused: Refused
) -> None:
    path = _csv(tmp_path / "1.csv", "a,b", "c,", "e,f")
    assert "empty" in refused(TableError, read_pairs, [path])
    assert read_pairs([path], drop_empty=True).anchors == ["a", "e"]


def test_the_bundled_pairs_have_a_name() -> None:
    assert read_pairs(["pairs"]) == read_pairs([PATHS["pairs"]])


def test_graded_pairs_have_a_score_and_the_number_of_their_file(tmp_path: Path, refused: Refused) -> None:
    first, second, equal = (tmp_path / f"{name}.csv" for name in ("first", "second", "equal"))
    first.write_text("anchor,positive,score\na,b,4.5\nc,d,0\n")
    second.write_text("score,positive,anchor\n1,f,e\n0.5,h,g\n,j,i\n")
    equal.write_text("anchor,positive,score\na,b,1\nc,d,1.0\n")
    pairs = read_pairs([first, second], graded=True, drop_empty=True)
    assert (pairs.anchors, pairs.positives, pairs.negatives) == (list("aceg"), list("bdfh"), [[]] * 4)
    assert (pairs.scores, pairs.files) == ([4.5, 0, 1, 0.5], [0, 0, 1, 1])
    taken = pairs.take([3, 0])
    assert (taken.anchors, taken.scores, taken.files) == (["g", "a"], [0.5, 4.5], [1, 0])
    assert "in 'score'" in refused(TableError, read_pairs, [first, second], graded=True)
    assert "all graded pairs have the score 1; " in refused(
        TableError, read_pairs, [first, equal], graded=True
    )
    assert read_pairs([first, first]).files == [0, 0, 1, 1]
    assert read_pairs([first]).scores == []


def test_fewer_than_two_pairs_are_refused(tmp_path: Path, refused: Refused) -> None:
    path = _csv(tmp_path / "1.csv", "a,b")
    assert len(read_pairs([path, path])) == 2
    message = "contrastive training needs at least 2, better 1,000"
    assert refused(TableError, read_pairs, [path]) == f"{path}: 1 pair; {message}"


@pytest.mark.parametrize(
    ("share", "most", "count"), [(0.5, 100, 3), (0.49, 100, 2), (0.5, 1, 1), (0, 100, 0), (1, 100, 6)]
)
def test_anchors_are_held_out_with_all_of_their_pairs(share: float, most: int, count: int) -> None:
    pairs = _pairs("abacdebfbc")
    rest, held_out = hold_out(pairs, share, most, seed=0)
    assert len(held_out) == len(set(held_out.anchors)) == count
    assert not set(held_out.anchors) & set(rest.anchors)
    assert set(held_out.anchors) | set(rest.anchors) == set(pairs.anchors)
    for anchor, positive in zip(held_out.anchors, held_out.positives, strict=True):
        assert int(positive) == pairs.anchors.index(anchor), "the first of its pairs"
    assert rest.positives == [str(i) for i, a in enumerate(pairs.anchors) if a not in held_out.anchors]
    assert held_out.positives == sorted(held_out.positives, key=int)


def test_the_seed_chooses_what_is_held_out() -> None:
    pairs = _pairs("abcdefghijklmnopqrstuvwxyz")
    chosen = {seed: tuple(hold_out(pairs, 0.2, 100, seed)[1].anchors) for seed in range(5)}
    assert len(set(chosen.values())) == 5
    assert chosen[3] == tuple(hold_out(pairs, 0.2, 100, 3)[1].anchors)


@pytest.mark.parametrize("seed", range(5))
def test_no_held_out_anchor_is_a_text_of_a_training_pair(seed: int) -> None:
    """Neither as a positive, where each positive is the next anchor, nor as a negative."""
    texts = [str(number) for number in range(50)]
    pairs = Pairs(texts, [*texts[1:], texts[0]], [[texts[i - 5], "n"] for i in range(50)])
    rest, held_out = hold_out(pairs, 0.2, 100, seed)
    assert len(held_out) == 10
    assert len(rest) >= 30
    assert not set(held_out.anchors) & {*rest.anchors, *rest.positives, *chain(*rest.negatives)}
    assert all(negatives[-1] == "n" for negatives in rest.negatives)


@pytest.mark.parametrize("seed", range(5))
def test_an_anchor_in_too_many_pairs_is_not_held_out(seed: int) -> None:
    texts = [str(number) for number in range(5)]
    pairs = Pairs([*texts, "hub"], [*["hub"] * 5, texts[0]], [[]] * 6)
    rest, held_out = hold_out(pairs, 0.5, 100, seed)
    assert "hub" not in held_out.anchors
    assert (len(held_out), len(rest)) == (3, 3 if "0" not in held_out.anchors else 2)
