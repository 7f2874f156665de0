"""The shipped texts: the checks of tools/bundle run on the Parquet files, and the files equal their sources."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword.bundled import NAMES, path_of
from lastword.errors import RequestError

sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "bundle"))

import build
import checks
import likeness
from likeness import Item

import report

SETS = ("topics", "products", "pairs", "subjects")
STYLES = ["detail", "metaphor", "question", "simple", "teacher"]


@pytest.fixture(scope="module")
def shipped() -> dict[str, pa.Table]:
    return {name: pq.read_table(path_of(name)) for name in SETS}


@pytest.fixture(scope="module")
def findings(shipped: dict[str, pa.Table]) -> checks.Findings:
    return build.find(shipped)


def test_names_and_paths() -> None:
    assert NAMES == ("topics", "products", "pairs", "subjects", "mini", "smollm2-adapted")
    assert [path_of(name).name for name in NAMES] == [
        "topics.parquet",
        "products.parquet",
        "pairs.parquet",
        "subjects.parquet",
        "mini",
        "smollm2-adapted",
    ]


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(RequestError) as caught:
        path_of("topic")
    assert str(caught.value) == (
        "unknown bundled name 'topic': did you mean 'topics'? Known: topics, products, pairs, subjects, mini, "
        "smollm2-adapted"
    )


def test_shipped_files_equal_their_sources(shipped: dict[str, pa.Table]) -> None:
    for name, table in build.read_sources().items():
        assert shipped[name].equals(table), f"{name}.parquet is out of date: run python tools/bundle/build.py"


def test_files_are_compressed_and_small() -> None:
    for name in SETS:
        assert pq.ParquetFile(path_of(name)).metadata.row_group(0).column(0).compression == "ZSTD"
        assert path_of(name).stat().st_size < 400_000


@pytest.mark.parametrize(("name", "labels"), [("topics", 28), ("products", 18)])
def test_labels_have_twenty_texts_per_split(shipped: dict[str, pa.Table], name: str, labels: int) -> None:
    table = shipped[name]
    assert table.column_names == ["text", "label", "split"]
    counts = Counter(zip(table["label"].to_pylist(), table["split"].to_pylist(), strict=True))
    assert len(counts) == 2 * labels
    assert set(counts.values()) == {20}


def test_each_anchor_has_the_five_styles(shipped: dict[str, pa.Table]) -> None:
    table = shipped["pairs"]
    assert table.column_names == ["anchor", "positive", "source", "subject"]
    styles: dict[str, list[str]] = {}
    for anchor, style in zip(table["anchor"].to_pylist(), table["source"].to_pylist(), strict=True):
        styles.setdefault(anchor, []).append(style)
    assert len(styles) == 720
    assert all(sorted(found) == STYLES for found in styles.values())
    assert set(Counter(table["subject"].to_pylist()).values()) == {50}


def test_checks_find_no_fault(findings: checks.Findings) -> None:
    assert findings.faults == []


def test_readme_shows_the_report_of_the_shipped_files(findings: checks.Findings) -> None:
    readme = build.README.read_text(encoding="utf-8")
    assert build.put_report(readme, report.render(findings)) == readme


TOPICS = [
    Item("Comets shed dust near the sun every visit", "astronomy", "dev"),
    Item("Galaxies drift apart", "astronomy", "test"),
    Item("Cleared for takeoff on runway nine", "aviation", "dev"),
    Item("Ice on the wings grounds us", "aviation", "test"),
]
PRODUCTS = [Item("Walnut desk lamp", "lamps", "dev"), Item("Brass lantern, oil", "lamps", "test")]
ANCHOR = "The harbour froze in March"
PAIRS = [
    Item(ANCHOR, "harbours", "sentence", ANCHOR),
    Item("Spring frost locked every boat", "harbours", "simple", ANCHOR),
]


SUBJECTS = [
    Item("Cider from windfall apples", "orchards", "text", "orchards: cider"),
    Item("Pressing fruit, clear or cloudy?", "orchards", "text", "orchards: cider"),
]


def _faults(topics: list[Item], pairs: list[Item], subjects: list[Item] = SUBJECTS) -> list[str]:
    sets = {"topics": topics, "products": PRODUCTS, "pairs": pairs, "subjects": subjects}
    return checks.check(sets).faults


@pytest.mark.parametrize(
    ("row", "planted", "fault"),
    [
        (
            2,
            Item("comets shed dust near the Sun, every visit!", "aviation", "dev"),
            "occurs twice: comets shed dust",
        ),
        (
            3,
            Item("Comets shed pale dust near the sun", "aviation", "test"),
            "topics, dev and test: near-duplicates (",
        ),
        (
            3,
            Item("Walnut lamp", "aviation", "test"),
            "topics and products: near-duplicates (0.67, 0.00): Walnut lamp",
        ),
        (3, Item("Ice", "aviation", "dev"), "topics: aviation, test: 0 texts, not 1"),
        (
            1,
            Item("Comets shed tails", "astronomy", "test"),
            "topics, astronomy: 100% of the texts begin with 'comets shed'",
        ),
    ],
)
def test_checks_find_a_planted_text(row: int, planted: Item, fault: str) -> None:
    assert not any(found.startswith(fault) for found in _faults(TOPICS, PAIRS))
    topics = [*TOPICS[:row], planted, *TOPICS[row + 1 :]]
    assert any(found.startswith(fault) for found in _faults(topics, PAIRS))


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        (
            Item("On the wings, ice grounds us", "harbours", "teacher", ANCHOR),
            "pairs and the test split of topics: near-duplicates (1.00",
        ),
        (
            Item("A lantern of brass burning oil", "harbours", "teacher", ANCHOR),
            "pairs and the test split of products: near-duplicates (0.75, 0.00): A lantern",
        ),
        (
            Item("The harbour froze hard in March", "harbours", "detail", ANCHOR),
            "pairs: copied as detail (0.75",
        ),
        (
            Item("Frost locked every boat in spring", "harbours", "question", "Boats stayed"),
            "pairs, different sentences: near-duplicates (1.00",
        ),
    ],
)
def test_checks_find_a_planted_rewriting(planted: Item, fault: str) -> None:
    sentence = (
        [] if planted.origin == ANCHOR else [Item(planted.origin, "harbours", "sentence", planted.origin)]
    )
    assert not any(found.startswith(fault) for found in _faults(TOPICS, [*PAIRS, *sentence]))
    assert any(found.startswith(fault) for found in _faults(TOPICS, [*PAIRS, *sentence, planted]))


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        (
            Item("Galaxies drift apart!", "orchards", "text", "orchards: frost"),
            "occurs twice: galaxies drift apart",
        ),
        (
            Item("Ice on wings grounds", "orchards", "text", "orchards: frost"),
            "subjects and the test split of topics: near-duplicates (1.00",
        ),
        (
            Item("A brass lantern, oil", "orchards", "text", "orchards: frost"),
            "subjects and the test split of products: near-duplicates (1.00",
        ),
        (
            Item("Spring frost, every boat locked", "orchards", "text", "orchards: frost"),
            "subjects and pairs: near-duplicates (1.00",
        ),
        (
            Item("Windfall apples for cider", "orchards", "text", "orchards: frost"),
            "subjects, different ones: near-duplicates (1.00",
        ),
    ],
)
def test_checks_find_a_planted_text_of_a_subject(planted: Item, fault: str) -> None:
    assert not any(found.startswith(fault) for found in _faults(TOPICS, PAIRS))
    assert any(found.startswith(fault) for found in _faults(TOPICS, PAIRS, [*SUBJECTS, planted]))


def test_texts_of_one_subject_may_be_alike() -> None:
    alike = Item("Cider from apples", "orchards", "text", "orchards: cider")
    assert not any("near-duplicates" in fault for fault in _faults(TOPICS, PAIRS, [*SUBJECTS, alike]))


def test_every_text_of_a_subject_is_in_two_pairs(shipped: dict[str, pa.Table]) -> None:
    table = shipped["subjects"]
    assert table.column_names == ["anchor", "positive", "subject", "domain"]
    anchors = table["anchor"].to_pylist()
    assert len(set(anchors)) == len(anchors)
    assert set(anchors) == set(table["positive"].to_pylist())
    assert all(row["anchor"] != row["positive"] for row in table.to_pylist())
    subjects = Counter(zip(table["domain"].to_pylist(), table["subject"].to_pylist(), strict=True))
    assert set(subjects.values()) == {5}


def test_likeness_is_the_jaccard_index_of_words_and_runs() -> None:
    one, other = "Bees dance on the comb at noon", "Bees dance on the comb by night"
    left, right = Item(one, "bees", "dev"), Item(other, "bees", "test")
    words, runs, near_duplicates = likeness.likest([Item("Hives hum", "bees", "dev"), left], [right])
    assert words == 3 / 5  # bees, dance, comb of these, noon and night
    assert runs == 2 / 6  # bees dance on the, dance on the comb
    assert near_duplicates == [likeness.Couple(words, runs, left, right)] == [likeness.compare(left, right)]


def test_texts_of_one_origin_are_not_compared() -> None:
    same = [
        Item("Bees dance", "bees", "sentence", "Bees dance"),
        Item("Dance of bees", "bees", "simple", "Bees dance"),
    ]
    assert likeness.likest(same, same) == (0, 0, [])
    without = [Item(item.text, "bees", item.part) for item in same]
    (couple,) = likeness.likest(without, without)[2]
    assert (couple.left, couple.right) == tuple(without), "each couple counts once"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("one line\n", "40 lines wanted, none of them empty; 1 found"),
        ("no line break", "must end with exactly one line break"),
        ("two  blanks\n" * 40, ":1: blanks at an end, doubled blanks or a control character"),
        ("cafe\u0301\n" * 40, ":1: not in Unicode form NFC"),
    ],
)
def test_malformed_source_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    (tmp_path / "topics").mkdir()
    path = tmp_path / "topics" / "dogs.txt"
    path.write_text(content, encoding="utf-8")
    monkeypatch.setattr(build, "TEXTS", tmp_path)
    monkeypatch.setattr(build, "FILES", {"topics": 1})
    with pytest.raises(build.SourceError) as caught:
        build.read_labelled("topics")
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).endswith(message)


def test_malformed_block_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bees.txt"
    good = "\n".join(f"{key}: words" for key in ("sentence", *checks.STYLES))
    path.write_text("\n\n".join([good] * 10) + "\n", encoding="utf-8")
    assert len(build.read_blocks(path)) == 10
    path.write_text("\n\n".join([good] * 9 + [good.replace("teacher", "tutor")]) + "\n", encoding="utf-8")
    with pytest.raises(build.SourceError) as caught:
        build.read_blocks(path)
    assert str(caught.value) == f"{path}:67: wanted 'teacher: …', found 'tutor: words'"
