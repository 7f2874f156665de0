"""The paper's figures are stored as printed, and every claim is about cells that exist and is the paper's own."""

from __future__ import annotations

import pytest

from lastword.embedding import TEMPLATES
from lastword.errors import RequestError
from lastword.paper.cells import POOLING, Row
from lastword.paper.scales import PAIR_SOURCES
from lastword.paper.tables import PAGES, SCORE_TABLES, published, read_table


@pytest.mark.parametrize("name", SCORE_TABLES)
def test_a_table_is_complete(name: str) -> None:
    table = read_table(name)
    assert set(table.columns) <= set(POOLING)
    for rows in table.published.values():
        for row, figures in rows.items():
            assert len(figures) == len(table.columns)
            assert all(0 < figure < 100 for figure in figures)
            parsed = Row.parse(row)
            assert parsed.template in {*TEMPLATES, "emotion"}
            assert parsed.source in {None, *PAIR_SOURCES}
            assert (parsed.template != "emotion") or "{text}" in table.template


@pytest.mark.parametrize("name", SCORE_TABLES)
def test_every_claim_holds_in_the_papers_own_figures(name: str) -> None:
    """For one of its models at least: the paper does not claim everything of both."""
    table = read_table(name)
    assert table.claims
    for claim in table.claims:
        differences = table.differences(claim)
        assert differences, claim.text
        assert max(differences.values()) > 0, claim.text


def test_a_claim_about_every_size_holds_for_all_of_the_papers_models() -> None:
    tables = [read_table(name) for name in SCORE_TABLES]
    every = [(table, claim) for table in tables for claim in table.claims if claim.every_size]
    assert [claim.text for _, claim in every] == ["CCW lifts last-token pooling at every size"]
    for table, claim in every:
        assert min(table.differences(claim).values()) > 0
        assert len(table.differences(claim)) == 5


def test_figures_as_printed() -> None:
    assert read_table("table3").published["Llama-3.2-1B"]["none"] == [45.8, 33.2, 23.4]
    assert read_table("table6").figure("Qwen3-0.6B", ("CCW + wiki-prompt", "last")) == 50.9
    assert read_table("table10").published["Llama-3.2-1B"]["emotion + labels"] == [49.78]


def test_the_baseline_of_table_8() -> None:
    """On the English subsets it averages more than the paper prints, and more than both adapted models."""
    table = published()["table8"]
    printed, english = zip(*table["baseline"].values(), strict=True)
    mean, last = zip(*table["published"]["Llama-3.2-1B"].values(), strict=True)
    assert sum(printed) / 8 == pytest.approx(52.95, abs=0.006)
    assert sum(english) / 8 == pytest.approx(56.24, abs=0.006)
    assert sum(english) > max(sum(mean), sum(last)) > sum(printed)


def test_attention_of_figure_1() -> None:
    figure = published()["figure1"]
    assert all(len(values) == len(figure["tokens"]) for values in figure["published"].values())


def test_an_unknown_table() -> None:
    assert set(PAGES) >= {*SCORE_TABLES, *published()}
    with pytest.raises(RequestError, match="unknown table 'table33': did you mean 'table3'"):
        read_table("table33")
