"""Each planted issue is found and no other, and the bundled pairs have none that a fix would remove."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import lastword
from lastword.bundled import path_of
from lastword.cli import main
from lastword.embedding import Embedder
from lastword.errors import ExistingOutputError, RequestError, TableError
from lastword.pairs.checking import PairCheck, check_pairs, issues_table, write_fixed, write_report
from lastword.pairs.checking.near_duplicates import leaked, repeated
from lastword.pairs.checking.rules import UNFIXED
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
    "chat artifacts": ("The bus came late again.", 'assistant: "Once more the bus kept us waiting."'),
    "identical sides": ("It rained all day long.", "it rained all day, long!"),
    "nearly identical sides": ("The cat slept on the warm stone.", "The cat slept on the warm stone today."),
    "very short sides": ("Snow fell on the empty market.", "Winter."),
    "different lengths": ("Dogs bark at night.", "When it is dark the dogs of the village bark, and " * 6),
    "different languages": ("The bridge was closed for a year.", "Die Brücke blieb ein ganzes Jahr lang geschlossen."),
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


def counts(check: PairCheck) -> dict[str, int]:
    return {issue.name: len(issue.rows) for issue in check.issues}


def test_good_pairs_have_no_issues(tmp_path: Path) -> None:
    assert set(counts(check_pairs(write(tmp_path / "pairs.parquet", GOOD))).values()) == {0}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_issue_is_found_and_no_other(name: str, tmp_path: Path) -> None:
    check = check_pairs(write(tmp_path / "pairs.parquet", [*GOOD, PLANTED[name]]))
    assert {issue: count for issue, count in counts(check).items() if count} == {name: 1}
    (issue,) = (issue for issue in check.issues if issue.rows)
    assert issue.rows == [4]
    assert issue.examples == [PLANTED[name]]


def test_pairs_that_resemble_each_other(tmp_path: Path) -> None:
    pairs = [
        *GOOD,
        GOOD[0],
        (GOOD[1][0], "Another said the house had been sold by spring."),
        ("A new thought.", GOOD[2][1]),
    ]
    check = check_pairs(write(tmp_path / "pairs.parquet", pairs), batch_pairs=7)
    rows = {issue.name: issue.rows for issue in check.issues if issue.rows}
    assert rows == {"repeated pairs": [4], "repeated anchors": [4, 5], "shared positives": [4, 6]}
    assert check.shared_positives == pytest.approx(2.0), (
        "the whole file is a batch, in which this happens twice"
    )
    assert check.methods == {"made": 7}


@pytest.mark.parametrize(
    ("module", "missing"),
    [("datasketch", ["repeated pairs", "leaked evaluation texts"]), ("py3langid", ["different languages"])],
)
def test_a_check_whose_library_is_missing_is_left_out_and_named(
    module: str, missing: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "pairs.parquet", [*GOOD, PLANTED["identical sides"]])
    whole = check_pairs(file, evaluation=["Something else."])
    monkeypatch.setitem(sys.modules, module, None)
    check = check_pairs(
        file, evaluation=["Something else."], allow=missing[:1] if module == "datasketch" else []
    )
    reason = f"{module}, which is not installed: pip install 'lastword[pairs]'"
    assert list(check.not_checked) == missing
    assert all(text.endswith(reason) for text in check.not_checked.values())
    assert {**counts(whole)} == {**counts(check), **dict.fromkeys(missing, 0)}
    assert check.verdict.reasons[-1] == f"not checked: {', '.join(missing)}"
    assert json.loads(json.dumps(check.to_dict()))["not_checked"] == check.not_checked
    assert f"not checked: {check.not_checked[missing[0]]}" in issues_table(check)
    write_report(tmp_path / "page.html", check)
    assert "not checked: " in (tmp_path / "page.html").read_text()
    assert write_fixed(check, tmp_path / "fixed.parquet") == len(GOOD)


def test_evaluation_texts_are_found(tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.parquet", GOOD)
    near = GOOD[0][0].replace("The river", "This river")
    check = check_pairs(file, evaluation=[near, GOOD[3][1].upper(), "Something else entirely, about geese."])
    assert {issue.name: issue.rows for issue in check.issues if issue.rows} == {
        "leaked evaluation texts": [0, 3]
    }


def test_hashing_finds_what_an_exact_comparison_finds() -> None:
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(300)]
    texts = [" ".join(rng.choice(words, 20)) for _ in range(150)]
    near = [f"{text} and on" for text in texts[:50]]
    assert repeated([*texts, *near]) == list(range(150, 200))
    assert leaked(texts, near) == list(range(50))


def test_similarity_is_compared_with_chance() -> None:
    cosines = Similarity(np.array([0.9, 0.99, 0.2, 0.8]), np.array([0.1, 0.3, 0.2, 0.5]))
    assert cosines.too_low == [2]
    assert cosines.trivial == [1]
    assert cosines.separation == 13.5 / 16
    assert sum(counts["pairs"] for counts in cosines.histogram()) == 4
    assert Similarity(np.ones(3), np.ones(2)).separation == 0.5, "ties are neither"


def test_vectors_of_any_length_have_cosines() -> None:
    class Lengths:
        """An encoder whose vectors are as long as their texts."""

        identity = "lengths"

        def encode(self, texts: Sequence[str], /) -> np.ndarray:
            return np.array([[len(text), 0.0] for text in texts], np.float32)

    cosines = similarity(Lengths(), *map(list, zip(*GOOD, strict=True)))
    assert cosines is not None
    assert cosines.pairs == pytest.approx(1)
    assert cosines.unrelated == pytest.approx(1)


def test_neighbouring_rewritings_are_not_unrelated(mini: Embedder) -> None:
    """Chance is measured against positives of other anchors, wherever a file has them."""
    anchors = [anchor for anchor, _ in GOOD for _ in range(5)]
    positives = [positive for _, positive in GOOD for _ in range(5)]
    cosines = similarity(mini, anchors, positives)
    assert cosines is not None
    vectors = mini.encode([anchor for anchor, _ in GOOD]) @ mini.encode([positive for _, positive in GOOD]).T
    related, unrelated = np.diag(vectors), vectors[~np.eye(4, dtype=bool)]
    assert cosines.pairs == pytest.approx(np.repeat(related, 5), abs=1e-4)
    distance = np.abs(cosines.unrelated[:, None] - unrelated[None]).min(1)
    assert distance.max() < 1e-4, "a pair of the same anchor was taken for an unrelated one"
    assert similarity(mini, anchors[:5], positives[:5]) is None


def test_empty_sides_are_issues_and_not_errors(mini: Embedder, tmp_path: Path) -> None:
    check = check_pairs(write(tmp_path / "pairs.parquet", [*GOOD, ("", "Winter came early.")]), embedder=mini)
    assert counts(check)["very short sides"] == 1
    assert check.similarity is not None


def test_a_fix_removes_and_cleans(tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.parquet", [*GOOD, *PLANTED.values()])
    check = check_pairs(file, remove=["different languages"])
    assert write_fixed(check, tmp_path / "fixed.jsonl") == len(GOOD) + 1
    rows = [json.loads(line) for line in (tmp_path / "fixed.jsonl").read_text().splitlines()]
    assert [row["positive"] for row in rows] == [
        *(positive for _, positive in GOOD),
        "Once more the bus kept us waiting.",
    ]
    write_fixed(check, tmp_path / "fixed.parquet")
    assert set(counts(check_pairs(tmp_path / "fixed.parquet")).values()) == {0}


def test_names_and_titles_are_not_other_languages(tmp_path: Path) -> None:
    pairs = [
        (
            "Grzegorzowice Małe",
            "Grzegorzowice Małe is a village in the district of Kraków, in southern Poland.",
        ),
        ("Italy's new party has the catchy name Forza Italia.", "Silvio Berlusconi is in Forza Italia."),
    ]
    assert counts(check_pairs(write(tmp_path / "pairs.parquet", pairs)))["different languages"] == 0


def test_another_language_is_reported_with_a_confidence_and_not_dropped(tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.parquet", [*GOOD, PLANTED["different languages"]])
    check = check_pairs(file)
    (issue,) = (issue for issue in check.issues if issue.rows)
    assert issue.rows == [len(GOOD)]
    assert 0.5 <= issue.confidences[0] <= 1
    assert f"(confidence {issue.confidences[0]:.0%})" in issues_table(check)
    assert write_fixed(check, tmp_path / "fixed.parquet") == len(GOOD) + 1
    assert write_fixed(check_pairs(file, remove=[issue.name]), tmp_path / "removed.parquet") == len(GOOD)


@pytest.mark.parametrize(
    "pair",
    [
        ("Canon EOS Rebel T3i DSLR camera kit", "Canon Vixia HF R300 camcorder with pro deluxe bundle"),
        ("Bosch Serie 4 Geschirrspüler SMS4", "Bosch Serie 4 dishwasher SMS4 stainless"),
        ("le creuset cocotte signature 24 cm", "le creuset signature round casserole 24 cm"),
        ("schwinn sidewinder 26 mens mountain bike", "vans old skool suede canvas black"),
    ],
)
def test_product_names_are_not_other_languages(tmp_path: Path, pair: tuple[str, str]) -> None:
    check = check_pairs(write(tmp_path / "pairs.parquet", [*GOOD, pair]))
    assert counts(check)["different languages"] == 0


def test_the_verdict_is_at_the_top_of_the_page_and_the_text(tmp_path: Path) -> None:
    def check(pairs: Sequence[tuple[str, str]], **settings: Any) -> PairCheck:
        return check_pairs(write(tmp_path / "pairs.parquet", pairs), **settings)

    good = check(GOOD)
    assert issues_table(good).startswith("Ready for training: 0 of 4 pairs have an issue that a fix mends.\n")
    write_report(tmp_path / "page.html", good)
    page = (tmp_path / "page.html").read_text()
    assert page.index("Ready for training") < page.index("<table>")
    assert check([*GOOD, PLANTED["chat artifacts"]]).verdict.text == "usable after a fix"
    assert check([GOOD[0], PLANTED["very short sides"]]).verdict.text == "not usable as they are"
    leaked = check(GOOD, evaluation=[GOOD[1][0]]).verdict
    assert leaked.text == "not usable as they are"
    assert leaked.reasons == ["evaluation texts are in 1 of 4 pairs: scores on them would be too high"]


def test_unknown_issues_to_remove_are_refused(tmp_path: Path, refused: Refused) -> None:
    file = write(tmp_path / "pairs.parquet", GOOD)
    message = refused(RequestError, check_pairs, file, remove=["identical sides"])
    assert message.startswith("unknown issue to remove 'identical sides'")
    assert set(UNFIXED) >= {issue.name for issue in check_pairs(file).issues if not issue.fix}


def test_allowed_issues_are_not_fixed(tmp_path: Path, refused: Refused) -> None:
    file = write(
        tmp_path / "pairs.parquet", [*GOOD, PLANTED["different lengths"], PLANTED["very short sides"]]
    )
    check = check_pairs(file, allow=["different lengths"])
    assert counts(check)["different lengths"] == 1
    assert write_fixed(check, tmp_path / "fixed.csv") == len(GOOD) + 1
    assert refused(RequestError, check_pairs, file, allow=["diferent lengths"]) == (
        "unknown issue to allow 'diferent lengths': did you mean 'different lengths'? Known: chat artifacts, "
        "identical sides, nearly identical sides, very short sides, different lengths, "
        "copied instruction, repeated pairs"
    )


def test_a_fix_that_removes_everything_is_refused(tmp_path: Path, refused: Refused) -> None:
    file = write(tmp_path / "pairs.parquet", [PLANTED["very short sides"]])
    assert refused(RequestError, write_fixed, check_pairs(file), tmp_path / "fixed.csv") == (
        f"{file}: a fix would remove all 1 pairs; look at the issues"
    )


def test_an_output_is_replaced_only_if_asked_to(tmp_path: Path, refused: Refused) -> None:
    check = check_pairs(write(tmp_path / "pairs.parquet", GOOD))
    fixed, page = tmp_path / "fixed.csv", tmp_path / "page.html"
    for output, verb in ((fixed, partial(write_fixed, check)), (page, partial(write_report, check=check))):
        output.write_text("mine")
        message = f"{output} exists: choose another path or pass overwrite=True"
        assert refused(ExistingOutputError, verb, output) == message
        assert output.read_text() == "mine"
        verb(output, overwrite=True)
        assert len(output.read_text()) > 100


def test_a_fix_of_other_columns(tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    anchors, positives = zip(*GOOD, PLANTED["chat artifacts"], strict=True)
    pq.write_table(pa.table({"a": anchors, "b": positives}), file)
    check = check_pairs(file, anchor_column="a", positive_column="b")
    write_fixed(check, tmp_path / "fixed.parquet")
    fixed = pq.read_table(tmp_path / "fixed.parquet")
    assert fixed["b"].to_pylist() == [*positives[:-1], "Once more the bus kept us waiting."]


def test_texts_cannot_add_markup_to_the_page(tmp_path: Path) -> None:
    pairs = [*GOOD, ("<script>alert(1)</script> it rained", "<b>it</b> rained script alert 1 script")]
    write_report(tmp_path / "page.html", check_pairs(write(tmp_path / "pairs.parquet", pairs)))
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_command(tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.parquet", [*GOOD, *PLANTED.values()])
    fixed, page = tmp_path / "fixed.parquet", tmp_path / "page.html"
    arguments = ["pairs", "check", str(file), "--no-similarity", "--fix", str(fixed), "--report", str(page)]
    run = CliRunner().invoke(main, [*arguments, "--remove", "different languages"])
    assert run.exit_code == 0, run.output
    assert re.search(r"^identical sides +1  removed  It rained", run.stdout, re.MULTILINE)
    assert run.stderr.strip().endswith(f"5 of 11 pairs: {fixed}")
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
    check = check_pairs(path_of("pairs"), evaluation=texts)
    assert {issue.name: issue.examples for issue in check.issues if issue.rows and issue.fix} == {}


def test_the_verb_is_public() -> None:
    assert lastword.check_pairs is check_pairs
