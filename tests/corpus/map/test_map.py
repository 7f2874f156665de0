"""The map: its data on arrays, and the page itself in a browser, by clicks and keys."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword import cluster_corpus
from lastword.corpus.map.data import colourable, map_data
from lastword.corpus.map.page import map_page
from lastword.corpus.map.plane import plane, way_here
from lastword.errors import MissingExtraError, RequestError
from tests.browser import Page, browser_page
from tests.corpus.topical import TOPICS, TopicEncoder, topical_texts

EACH = 20
EVIL = "</script><script>window.evil = 1</script><img src=https://example.org/x.png onerror=window.evil=1>"


def data_of(path: Path) -> dict[str, Any]:
    packed = re.search(r'id="data">([^<]*)</script>', path.read_text())
    assert packed
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    return data


def numbers_of(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    texts, topics = topical_texts(EACH)
    texts[0] += EVIL
    table = pa.table({
        "text": texts, "topic": topics, "price": np.linspace(1, 9, len(texts)),
        "id": [f"id{n}" for n in range(len(texts))],
        "shop": ["North", "South", None, "West"] * EACH, "tags": [["a"]] * len(texts),
    })  # fmt: skip
    pq.write_table(table, folder / "shop.parquet")
    cluster_corpus(folder / "shop.parquet", folder / "out", TopicEncoder(), groups=4, map="pca")
    return folder


def test_the_plane_keeps_near_points_near() -> None:
    random = np.random.default_rng(0)
    points = np.repeat(np.eye(3, 6) * 4, 30, axis=0) + random.normal(0, 0.1, (90, 6))
    flat = plane(points.astype(np.float32), "pca", 0)
    assert flat.shape == (90, 2)
    assert np.abs(flat).max() == pytest.approx(1)
    centers = flat.reshape(3, 30, 2).mean(1)
    inside = np.linalg.norm(flat.reshape(3, 30, 2) - centers[:, None], axis=2).max()
    assert inside < min(np.linalg.norm(centers[a] - centers[b]) for a in range(3) for b in range(a)) / 4
    assert np.array_equal(flat, plane(points.astype(np.float32), "pca", 0))


@pytest.mark.parametrize("points", [np.zeros((3, 4)), np.ones((1, 4)), np.array([[0.0], [1.0]])])
def test_a_plane_of_few_or_equal_points(points: np.ndarray) -> None:
    flat = plane(points.astype(np.float32), "umap", 0)
    assert flat.shape == (len(points), 2)
    assert np.isfinite(flat).all()


def test_umap_is_the_same_for_the_same_seed() -> None:
    pytest.importorskip("umap", reason="umap-learn is not installed")
    points = np.repeat(np.eye(3, 8), 40, axis=0) + np.random.default_rng(0).normal(0, 0.05, (120, 8))
    flat = plane(points.astype(np.float32), "umap", 0)
    assert np.array_equal(flat, plane(points.astype(np.float32), "umap", 0))
    centers = flat.reshape(3, 40, 2).mean(1)
    assert min(np.linalg.norm(centers[a] - centers[b]) for a in range(3) for b in range(a)) > 0.3


def test_without_umap_the_error_says_what_to_do(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastword.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lastword\[map\]'; or give map='pca'"):
        cluster_corpus(folder / "shop.parquet", tmp_path / "out", TopicEncoder(), map="umap")
    with pytest.raises(RequestError, match="unknown map 'tsne'"):
        cluster_corpus(folder / "shop.parquet", tmp_path / "out", TopicEncoder(), map="tsne")
    cluster_corpus(folder / "shop.parquet", tmp_path / "out", TopicEncoder(), groups=2, map="none")
    assert not (tmp_path / "out" / "map.html").exists()


def test_by_default_a_map_needs_no_library_of_an_extra(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lastword.extras.find_spec", lambda name: None)
    caplog.set_level("INFO")
    cluster_corpus(folder / "shop.parquet", tmp_path / "out", TopicEncoder(), groups=4)
    assert "map: by PCA, since umap is not installed; pip install 'lastword[map]' for UMAP" in caplog.text
    by_pca, by_default = (data_of(parent / "out" / "map.html") for parent in (folder, tmp_path))
    assert by_default["points"] == by_pca["points"]
    assert by_default["way"] == by_pca["way"] == "PCA"
    monkeypatch.setattr("lastword.extras.find_spec", lambda name: object())
    assert way_here("auto") == "umap"


def test_the_data_are_those_of_the_table(folder: Path) -> None:
    data = data_of(folder / "out" / "map.html")
    table = pq.read_table(folder / "out" / "texts.parquet").to_pydict()
    assert [text.removesuffix("…") for text in data["texts"]] == [text[:400] for text in table["text"]]
    columns = {column["name"]: column for column in data["columns"]}
    assert list(columns) == [
        "group",
        "topic",
        "price",
        "shop",
    ]  # an identifier and lists are nothing to colour by
    for name, column in (("group", "group_name"), ("topic", "topic")):
        codes = numbers_of(columns[name]["values"], "<i4")
        assert [columns[name]["categories"][code] for code in codes] == table[column]
    assert "none" in columns["shop"]["categories"]
    assert (columns["price"]["low"], columns["price"]["high"]) == (1, 9)
    assert numbers_of(columns["price"]["values"], "<f4")[-1] == 1
    assert {label["name"] for label in data["labels"]} == set(table["group_name"])
    for label in data["labels"]:
        assert table["group_name"][label["point"]] == label["name"]


def test_rare_values_of_a_column_are_others() -> None:
    data = _data_of_many_values()
    (column,) = [column for column in data["columns"] if column["name"] == "c"]
    assert len(column["categories"]) == 61
    assert column["categories"][0] == "v99"
    assert column["categories"][-1] == "others"
    assert data["labels"] == []


def _data_of_many_values() -> dict[str, Any]:
    """400 texts without groups, and a column of more values than are coloured."""
    cells: list[object] = [f"v{min(n, 199) // 2}" for n in range(400)]
    no_groups = np.full(400, -1)
    return map_data(
        "t", "pca", np.zeros((400, 2), np.float32), ["x"] * 400, no_groups, [_unclustered()], [], {"c": cells}, 400
    )  # fmt: skip


def _unclustered() -> Any:
    from lastword.corpus.clustering.names import Words
    from lastword.corpus.clustering.result import Group

    return Group(-1, "unclustered", 400, Words([], [], None), None, [], [])


def test_columns_to_colour_by() -> None:
    schema = pa.schema([("t", pa.string()), ("n", pa.int8()), ("l", pa.list_(pa.int8())), ("b", pa.binary())])
    assert colourable(schema, ["t"]) == ["n"]


def test_a_map_shows_a_sample_of_many_texts(folder: Path, tmp_path: Path) -> None:
    cluster_corpus(
        folder / "shop.parquet", tmp_path / "out", TopicEncoder(), groups=4, map="pca", map_texts=10
    )
    data = data_of(tmp_path / "out" / "map.html")
    assert (len(data["texts"]), data["total"]) == (10, 4 * EACH)


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Page]:
    with browser_page(folder / "profile") as page:
        page.open(folder / "out" / "map.html")
        page.wait("document.querySelector('#map')?.dataset.ready")
        yield page


def position(page: Page, row: int) -> tuple[float, float]:
    """Where a point is in the window."""
    x, y = page.evaluate(
        f"(() => {{ const r = document.querySelector('#plot').getBoundingClientRect();"
        f" const [x, y] = lastwordMap.scatterplot.getScreenPosition({row}); return [r.x + x, r.y + y]; }})()"
    )
    return x, y


def listed(page: Page) -> list[str]:
    texts: list[str] = page.evaluate(
        "[...document.querySelectorAll('#texts li')].map((li) => li.innerText.trim())"
    )
    return texts


def alone(page: Page) -> int:
    """A point that no other is near to."""
    row: int = page.evaluate("""(() => {
        const places = lastwordMap.data.texts.map((_, i) => lastwordMap.scatterplot.getScreenPosition(i));
        const far = (p) => places.map((q) => Math.hypot(p[0] - q[0], p[1] - q[1])).sort((a, b) => a - b)[1];
        const away = places.map(far);
        return away.indexOf(Math.max(...away));
    })()""")
    return row


def test_the_page_asks_for_nothing_and_runs_no_text(page: Page, folder: Path) -> None:
    assert set(page.requests) == {(folder / "out" / "map.html").resolve().as_uri()}
    assert page.errors == []
    assert page.evaluate("window.evil") is None
    assert page.evaluate("document.querySelector('h1 span').innerText") == f"{4 * EACH} texts, by PCA"
    names = page.evaluate("[...document.querySelectorAll('#names .group')].map((label) => label.innerText)")
    assert len(names) == len(TOPICS)


def test_hovering_shows_the_text(page: Page) -> None:
    row = alone(page)
    x, y = position(page, row)
    page.mouse("mouseMoved", x + 60, y + 60)
    page.mouse("mouseMoved", x, y)
    page.wait("!document.querySelector('#tip').hidden")
    tip = page.evaluate("document.querySelector('#tip').innerText")
    assert page.evaluate(f"lastwordMap.data.texts[{row}]") in tip
    assert "topic: " in tip
    page.mouse("mouseMoved", 5, 5)
    page.wait("document.querySelector('#tip').hidden")


def test_a_click_lists_the_text(page: Page) -> None:
    row = alone(page)
    page.mouse("mouseMoved", *position(page, row))
    page.click(*position(page, row))
    page.wait("document.querySelectorAll('#texts li').length == 1")
    assert listed(page) == [page.evaluate(f"lastwordMap.data.texts[{row}]")]
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Escape", code="Escape", windowsVirtualKeyCode=27)


def test_the_search_lists_matching_texts(page: Page) -> None:
    texts, _ = topical_texts(EACH)
    page.click_on("#bar input")
    page.call("Input.insertText", text="ROCKET orbit")
    page.wait("document.querySelectorAll('#texts li').length > 0")
    found = [text for text in texts if "rocket" in text and "orbit" in text]
    assert len(listed(page)) == len(found)
    assert page.evaluate("lastwordMap.scatterplot.get('selectedPoints').length") == len(found)
    for _ in range(12):
        page.call(
            "Input.dispatchKeyEvent",
            type="keyDown",
            key="Backspace",
            code="Backspace",
            windowsVirtualKeyCode=8,
        )
    page.wait("document.querySelectorAll('#texts li').length == 0")


def test_a_lasso_lists_the_texts_inside(page: Page) -> None:
    rows = page.evaluate(
        "(() => { const c = lastwordMap.data.columns[0]; return lastwordMap.data.texts.map((_, i) => i)"
        ".filter((i) => c.values[i] === 0); })()"
    )
    places = np.array([position(page, row) for row in rows])
    (left, top), (right, bottom) = places.min(0) - 12, places.max(0) + 12
    page.click_on("#bar button")
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    page.mouse("mouseMoved", left, top)
    page.mouse("mousePressed", left, top, button="left", buttons=1, clickCount=1)
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        for share in np.linspace(0.1, 1, 8):
            page.mouse("mouseMoved", x0 + share * (x1 - x0), y0 + share * (y1 - y0), button="left", buttons=1)
            page.evaluate("new Promise((done) => setTimeout(done, 12))")
    page.mouse("mouseReleased", left, top, button="left", clickCount=1)
    page.wait(f"document.querySelectorAll('#texts li').length == {len(rows)}")
    assert page.evaluate("document.querySelector('#bar button').getAttribute('aria-pressed')") == "false"
    page.evaluate("lastwordMap.scatterplot.deselect()")


def test_the_legend_shows_one_group_alone(page: Page) -> None:
    page.click_on("#legend li:nth-child(2) button")
    page.wait(f"document.querySelectorAll('#texts li').length == {EACH}")
    assert page.evaluate("lastwordMap.scatterplot.get('filteredPoints').length") == EACH
    page.click_on("#legend li:nth-child(2) button")
    page.wait("document.querySelectorAll('#texts li').length == 0")


def test_a_long_name_leaves_room_for_the_count(page: Page) -> None:
    """A name without spaces, as of Japanese words, may break anywhere; the number of texts beside it may not."""
    height = page.evaluate("document.querySelector('#legend li small').offsetHeight")
    page.evaluate("document.querySelector('#legend li small').previousSibling.textContent = '方'.repeat(80)")
    assert page.evaluate("document.querySelector('#legend li small').offsetHeight") == height
    assert page.evaluate("document.querySelector('#legend li button').offsetHeight") > 2 * height


def test_points_are_coloured_by_any_column(page: Page) -> None:
    select = "document.querySelector('#bar select')"
    for index, (name, shown) in enumerate(
        (("group", "li"), ("topic", "li"), ("price", ".ramp"), ("shop", "li"))
    ):
        page.evaluate(f"{select}.selectedIndex = {index}; {select}.dispatchEvent(new Event('change'))")
        page.wait(f"document.querySelector('#legend h2').innerText === '{name}'")
        assert page.evaluate(f"Boolean(document.querySelector('#legend {shown}'))")
    page.evaluate(f"{select}.selectedIndex = 0; {select}.dispatchEvent(new Event('change'))")


def test_texts_are_labels_after_zooming_in(page: Page) -> None:
    x, y = position(page, alone(page))
    assert not page.evaluate("document.querySelectorAll('#names .text').length")
    for _ in range(8):
        page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300)
    page.wait("document.querySelectorAll('#names .text').length > 0")
    page.evaluate("[...document.querySelectorAll('#bar button')].at(-1).click()")
    page.wait("document.querySelectorAll('#names .text').length == 0")


def test_names_follow_their_points_when_the_window_is_resized(page: Page) -> None:
    for width, height in ((700, 900), (1200, 800)):
        page.resize(width, height)
        page.wait(
            f"innerWidth === {width} && document.querySelectorAll('#names .group').length > 2"
            """ && [...document.querySelectorAll('#names .group')].every((name) => {
                const { point } = lastwordMap.data.labels.find((label) => label.name === name.innerText);
                const [, y] = lastwordMap.scatterplot.getScreenPosition(point);
                return Math.abs(parseFloat(name.style.top) - y) < 2;
            })"""
        )


def test_a_narrow_window_shows_all_points(page: Page, folder: Path) -> None:
    page.open(folder / "out" / "map.html", width=390, height=900)
    page.wait("document.querySelector('#map')?.dataset.ready")
    places = page.evaluate(
        "lastwordMap.data.texts.map((_, row) => lastwordMap.scatterplot.getScreenPosition(row)[0])"
    )
    assert min(places) >= 0
    assert max(places) <= 390
    page.open(folder / "out" / "map.html")
    page.wait("document.querySelector('#map')?.dataset.ready")


def test_both_colour_schemes_have_their_background(page: Page, folder: Path) -> None:
    colours = []
    for dark in (False, True):
        page.open(folder / "out" / "map.html", dark=dark)
        page.wait("document.querySelector('#map')?.dataset.ready")
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(252, 252, 250)", "rgb(21, 24, 27)"]
    assert page.errors == []


@pytest.mark.parametrize("dark", [False, True])
def test_sixty_values_have_sixty_colours(page: Page, folder: Path, dark: bool) -> None:
    (folder / "many.html").write_text(map_page(_data_of_many_values()), encoding="utf-8")
    page.open(folder / "many.html", dark=dark)
    page.wait("document.querySelector('#map')?.dataset.ready")
    page.evaluate("document.querySelector('#bar select').selectedIndex = 1")
    page.evaluate("document.querySelector('#bar select').dispatchEvent(new Event('change'))")
    page.wait("document.querySelector('#legend h2').innerText === 'c'")
    colours = page.evaluate("lastwordMap.scatterplot.get('pointColor').map(([...c]) => c.slice(0, 3))")
    assert len(colours) == 61
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    paper = [int(channel) / 255 for channel in re.findall(r"\d+", background)]
    for one, other in itertools.combinations([*colours, paper], 2):
        assert np.linalg.norm(np.subtract(one, other)) > 0.08


def test_equal_data_give_equal_pages() -> None:
    data = {"title": "t", "texts": ["a"]}
    assert map_page(data) == map_page(data)
    assert "unsafe-eval" in map_page(data)
