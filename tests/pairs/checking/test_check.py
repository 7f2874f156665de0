"""Planted faults are found, one by one, and the bundled pairs have none that a fix would touch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lastword.bundled import path_of
from lastword.cli import main
from lastword.embedding import Embedder
from lastword.errors import RequestError, TableError
from lastword.pairs.checking import Checkup, check_pairs, write_fixed, write_page
from lastword.pairs.checking.likeness import leaked, repeated
from lastword.pairs.checking.similarity import Similarity, similarity

Refused = Callable[..., str]
GOOD = [
    (
        "The river was so low in August that nobody could row on it.",
        "In late summer boats stayed ashore for want of water.",
    ),
    ("She sold the old house by the wall in May.", "In spring the house next to the wall found a buyer."),
    ("Bread needs time more than it needs hands.", "A good loaf is made by waiting, not by kneading."),
    ("The last train leaves before midnight.", "After twelve there is no way home by rail."),
]
PLANTED = {
    "leftovers of a chat": ("The bus came late again.", 'assistant: "Once more the bus kept us waiting."'),
    "identical sides": ("It rained all day long.", "it rained all day, long!"),
    "nearly identical sides": ("The cat slept on the warm stone.", "The cat slept on the warm stone today."),
    "tiny sides": ("Snow fell on the empty market.", "Winter."),
    "length drift": ("Dogs bark at night.", "When it is dark the dogs of the village bark, and " * 6),
    "two languages": ("The bridge was closed for a year.", "Die Brücke blieb ein ganzes Jahr lang geschlossen."),
    "copied instruction": (
        "The bakery opens at five.", "Rewrite the following sentence with more detail: at five the baker unlocks.",
    ),
}  # fmt: skip


def write(path: Path, pairs: Sequence[tuple[str, str]]) -> Path:
    anchors, positives = zip(*pairs, strict=True)
    pq.write_table(
        pa.table({"anchor": anchors, "positive": positives, "method": ["made"] * len(pairs)}), path
    )
    return path


def counts(checkup: Checkup) -> dict[str, int]:
    return {finding.name: len(finding.rows) for finding in checkup.findings}


def test_good_pairs_have_no_findings(tmp_path: Path) -> None:
    assert set(counts(check_pairs(write(tmp_path / "pairs.parquet", GOOD))).values()) == {0}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_and_no_other(name: str, tmp_path: Path) -> None:
    checkup = check_pairs(write(tmp_path / "pairs.parquet", [*GOOD, PLANTED[name]]))
    assert {found: count for found, count in counts(checkup).items() if count} == {name: 1}
    (finding,) = (one for one in checkup.findings if one.rows)
    assert finding.rows == [4]
    assert finding.examples == [PLANTED[name]]


def test_pairs_among_each_other(tmp_path: Path) -> None:
    pairs = [
        *GOOD,
        GOOD[0],
        (GOOD[1][0], "Another said the house had been sold by spring."),
        ("A new thought.", GOOD[2][1]),
    ]
    checkup = check_pairs(write(tmp_path / "pairs.parquet", pairs), batch_pairs=7)
    found = {finding.name: finding.rows for finding in checkup.findings if finding.rows}
    assert found == {"repeated pairs": [4], "repeated anchors": [4, 5], "shared positives": [4, 6]}
    assert checkup.shared_in_batch == pytest.approx(2.0), "the whole file is one batch, with two such couples"
    assert checkup.methods == {"made": 7}


def test_evaluation_texts_are_found(tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.parquet", GOOD)
    near = GOOD[0][0].replace("The river", "This river")
    checkup = check_pairs(
        file, evaluation=[near, GOOD[3][1].upper(), "Something else entirely, about geese."]
    )
    assert {finding.name: finding.rows for finding in checkup.findings if finding.rows} == {
        "leaked evaluation texts": [0, 3]
    }


def test_likeness_finds_what_an_exact_comparison_finds() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(300)]
    texts = [" ".join(rng.choice(words, 20)) for _ in range(150)]
    twins = [f"{text} and on" for text in texts[:50]]
    assert repeated([*texts, *twins]) == list(range(150, 200))
    assert leaked(texts, twins) == list(range(50))


def test_similarity_is_told_beside_chance() -> None:
    close = Similarity(np.array([0.9, 0.99, 0.2, 0.8]), np.array([0.1, 0.3, 0.2, 0.5]))
    assert close.too_low == [2]
    assert close.trivial == [1]
    assert close.separation == pytest.approx(13.5 / 16, abs=0.04)
    assert sum(one["pairs"] for one in close.histogram()) == 4


def test_rewritings_side_by_side_are_no_strangers(mini: Embedder) -> None:
    """Chance is measured against positives of other anchors, wherever a file has them."""
    anchors = [anchor for anchor, _ in GOOD for _ in range(5)]
    positives = [positive for _, positive in GOOD for _ in range(5)]
    close = similarity(mini, anchors, positives)
    assert close is not None
    vectors = mini.encode([anchor for anchor, _ in GOOD]) @ mini.encode([positive for _, positive in GOOD]).T
    own, strangers = np.diag(vectors), vectors[~np.eye(4, dtype=bool)]
    assert close.pairs == pytest.approx(np.repeat(own, 5), abs=1e-4)
    distance = np.abs(close.unrelated[:, None] - strangers[None]).min(1)
    assert distance.max() < 1e-4, "a pair of the same anchor was taken for a stranger"
    assert similarity(mini, anchors[:5], positives[:5]) is None


def test_sides_without_text_are_findings_and_no_end(mini: Embedder, tmp_path: Path) -> None:
    checkup = check_pairs(
        write(tmp_path / "pairs.parquet", [*GOOD, ("", "Winter came early.")]), embedder=mini
    )
    assert counts(checkup)["tiny sides"] == 1
    assert checkup.similarity is not None


def test_a_fix_leaves_out_and_mends(tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.parquet", [*GOOD, *PLANTED.values()])
    checkup = check_pairs(file)
    assert write_fixed(checkup, tmp_path / "fixed.jsonl") == len(GOOD) + 1
    rows = [json.loads(line) for line in (tmp_path / "fixed.jsonl").read_text().splitlines()]
    assert [row["positive"] for row in rows] == [
        *(positive for _, positive in GOOD),
        "Once more the bus kept us waiting.",
    ]
    write_fixed(checkup, tmp_path / "fixed.parquet")
    assert set(counts(check_pairs(tmp_path / "fixed.parquet")).values()) == {0}


def test_a_name_has_its_own_language_and_a_title_tells_none(tmp_path: Path) -> None:
    pairs = [
        (
            "Grzegorzowice Małe",
            "Grzegorzowice Małe is a village in the district of Kraków, in southern Poland.",
        ),
        ("Italy's new party has the catchy name Forza Italia.", "Silvio Berlusconi is in Forza Italia."),
    ]
    assert counts(check_pairs(write(tmp_path / "pairs.parquet", pairs)))["two languages"] == 0


def test_what_is_allowed_stays(tmp_path: Path, refused: Refused) -> None:
    file = write(tmp_path / "pairs.parquet", [*GOOD, PLANTED["length drift"], PLANTED["tiny sides"]])
    checkup = check_pairs(file, allow=["length drift"])
    assert counts(checkup)["length drift"] == 1
    assert write_fixed(checkup, tmp_path / "fixed.csv") == len(GOOD) + 1
    assert refused(RequestError, check_pairs, file, allow=["lenght drift"]) == (
        "unknown finding to allow 'lenght drift': did you mean 'length drift'? Known: leftovers of a chat, "
        "identical sides, nearly identical sides, tiny sides, length drift, two languages, copied instruction, "
        "repeated pairs"
    )


def test_a_fix_that_leaves_nothing_is_refused(tmp_path: Path, refused: Refused) -> None:
    file = write(tmp_path / "pairs.parquet", [PLANTED["tiny sides"]])
    assert refused(RequestError, write_fixed, check_pairs(file), tmp_path / "fixed.csv") == (
        f"{file}: a fix would leave nothing of 1 pairs; look at the findings"
    )


def test_the_page_holds_no_markup_of_the_texts(tmp_path: Path) -> None:
    pairs = [*GOOD, ("<script>alert(1)</script> it rained", "<b>it</b> rained script alert 1 script")]
    write_page(tmp_path / "page.html", check_pairs(write(tmp_path / "pairs.parquet", pairs)))
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_command(tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.parquet", [*GOOD, *PLANTED.values()])
    fixed, page = tmp_path / "fixed.parquet", tmp_path / "page.html"
    done = CliRunner().invoke(
        main, ["pairs", "check", str(file), "--no-similarity", "--fix", str(fixed), "--report", str(page)]
    )
    assert done.exit_code == 0, done.output
    assert re.search(r"^identical sides +1  \(left out by --fix\)$", done.stdout, re.MULTILINE)
    assert done.stderr.strip().endswith(f"5 of 11 pairs: {fixed}")
    assert page.read_text().startswith("<!doctype html>")
    again = CliRunner().invoke(main, ["pairs", "check", str(file), "--fix", str(fixed)])
    assert again.exit_code == 2
    assert again.stderr.startswith(f"lastword: {fixed} exists: choose another path or ")


def test_columns_are_required(tmp_path: Path, refused: Refused) -> None:
    file = write(tmp_path / "pairs.parquet", GOOD)
    assert refused(TableError, check_pairs, file, anchor_column="a") == (
        f"{file} has no column 'a'; its columns are: anchor, positive, method"
    )


def test_the_bundled_pairs_pass() -> None:
    texts = [
        text for name in ("topics", "products") for text in pq.read_table(path_of(name))["text"].to_pylist()
    ]
    checkup = check_pairs(path_of("pairs"), evaluation=texts)
    found = {finding.name: finding.examples for finding in checkup.findings if finding.rows and finding.fix}
    assert found == {}
