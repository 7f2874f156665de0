"""The page at /: driven by clicks and keys in a real browser; nothing comes from elsewhere, and axe finds no fault."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lastword.embedding import Embedder
from lastword.explanation.attention import token_attention
from tests.browser import Page, browser_page
from tests.serving.conftest import Running

TEXTS = [
    "a man is driving a car",
    "a man drives",
    "the river was low",
    "the river",
    "she sold the house",
    "<b>x</b>",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser_page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Page, server: Running) -> Page:
    size = {"width": 1200, "height": 2400, "screenWidth": 1200, "screenHeight": 2400}
    browser.call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)
    browser.call("Page.navigate", url="about:blank")
    browser.wait("location.href === 'about:blank'")
    browser.requests.clear()
    browser.errors.clear()
    browser.call("Page.navigate", url=server.url)
    browser.wait("document.body && document.body.dataset.ready")
    return browser


def type_into(page: Page, selector: str, text: str) -> None:
    """Click a field, replace what is in it, as a person would."""
    page.click_on(selector)
    page.evaluate(f"document.querySelector({selector!r}).select()")
    page.call("Input.insertText", text=text)


def choose(page: Page, selector: str, value: str) -> None:
    page.evaluate(
        f"(e => {{ e.value = {value!r}; e.dispatchEvent(new Event('change')) }})(document.querySelector({selector!r}))"
    )


def press(page: Page, key: str) -> None:
    codes = {"ArrowRight": 39, "ArrowLeft": 37, "End": 35, "Tab": 9}
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])


def test_texts_are_compared(page: Page, server: Running) -> None:
    type_into(page, "#texts", "\n".join(TEXTS))
    assert page.evaluate("document.querySelector('#count').textContent") == "6 texts."
    page.click_on("#run")
    page.wait("document.querySelector('.side .group')")
    embedder: Embedder = server.service.models["adapted"].encoder
    similarity = np.triu(np.inner(*(2 * [embedder.encode(TEXTS)])), 1)
    i, j = np.unravel_index(similarity.argmax(), similarity.shape)
    first = page.evaluate("[...document.querySelectorAll('.side tbody tr')[0].cells].map(c => c.textContent)")
    assert first == [f"{similarity[i, j]:.3f}", TEXTS[i], TEXTS[j]]
    grouped = page.evaluate("[...document.querySelectorAll('.group li')].map(e => e.textContent)")
    assert sorted(grouped) == sorted(TEXTS), "each text is in one group, and no text became markup"
    page.evaluate("document.querySelector('canvas').focus()")
    press(page, "ArrowRight")
    read = page.evaluate("document.querySelector('.under').textContent")
    assert read.endswith(f": {grouped[0]} — {grouped[1]}")
    darkest = "Math.min(...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 6, 6).data)"
    values = []
    for scheme in ("light", "dark", "light"):
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        values.append(page.evaluate(f"new Promise(requestAnimationFrame).then(() => {darkest})"))
    assert values[0] == values[2] != values[1], "painted again in the colours of the scheme"
    assert page.errors == []
    assert {request.startswith((server.url, "data:")) for request in page.requests} == {True}


def test_two_sides(page: Page, server: Running) -> None:
    type_into(page, "#texts", "\n".join(TEXTS))
    page.click_on("#two")
    assert page.evaluate("document.querySelector('#setting-b select').value") == "student", "another model"
    choose(page, "#setting-b select", "adapted")
    choose(page, "#setting-b label:nth-of-type(2) select", "custom")
    type_into(page, "#setting-b input", 'Text: "{text}"')
    choose(page, "#setting-b label:nth-of-type(4) select", "1")
    page.click_on("#run")
    page.wait("document.querySelectorAll('.side').length === 2")
    titles = page.evaluate("[...document.querySelectorAll('.side h2')].map(e => e.textContent)")
    assert titles == ["adapted", 'adapted, template Text: "{text}", layer 1']
    embedder: Embedder = server.service.models["adapted"].encoder.variant(template='Text: "{text}"', layer=1)
    similarity = np.triu(np.inner(*(2 * [embedder.encode(TEXTS)])), 1)
    shown = page.evaluate("document.querySelectorAll('.side')[1].querySelector('td').textContent")
    assert shown == f"{similarity.max():.3f}"
    choose(page, "#setting-a select", "student")
    page.click_on("#run")
    page.wait("document.querySelector('.side h2').textContent === 'student'")
    assert page.errors == []


def test_attention_is_shown(page: Page, server: Running) -> None:
    page.click_on("#tab-attention")
    type_into(page, "#attention-text", "the river was low")
    page.click_on("#show-attention")
    page.wait("document.querySelector('#attention-result table')")
    shown = page.evaluate("document.querySelector('.shaded').textContent")
    assert "the river was low" in shown
    tokens = token_attention(server.service.models["adapted"].encoder, "the river was low")
    text = sum(token.weight for token in tokens if token.part == "text")
    assert f"text {100 * text:.0f} %" in page.evaluate(
        "document.querySelector('#attention-result .note').textContent"
    )
    choose(page, "#setting-c select", "student")
    page.click_on("#show-attention")
    page.wait("document.querySelector('#message').textContent")
    assert page.evaluate("document.querySelector('#message').textContent") == (
        "student has no attention to show: choose a decoder"
    )


def test_card_and_calls(page: Page, server: Running) -> None:
    page.click_on("#tab-card")
    facts = page.evaluate("document.querySelector('#facts').textContent")
    assert 'This sentence: "{text}" belongs to the following cluster:' in facts
    assert page.evaluate("document.querySelector('#card-text').textContent.length") > 100
    page.click_on("#tab-call")
    assert f"curl {server.url}/v1/embeddings" in page.evaluate("document.querySelector('#curl').textContent")
    code = page.evaluate("document.querySelector('#python').textContent")
    names: dict[str, Any] = {}
    exec(code, names)  # the client gets vectors by the code that the page shows
    assert len(names["vectors"]) == 2


def test_tabs_by_keyboard(page: Page) -> None:
    page.evaluate("document.querySelector('#tab-compare').focus()")
    press(page, "ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-attention"
    assert page.evaluate("document.querySelector('#attention').hidden") is False
    press(page, "End")
    assert page.evaluate("document.activeElement.id") == "tab-call"
    press(page, "ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-compare"


def test_a_table_is_opened(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "tickets.csv"
    file.write_text('id;message\n1;"first; with ""quotes"""\n2;"on two\nlines"\n3;third\n')
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    node = page.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    page.call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])
    page.wait("!document.querySelector('#column-field').hidden")
    texts = page.evaluate("document.querySelector('#texts').value")
    assert texts.split("\n") == ['first; with "quotes"', "on two lines", "third"]
    choose(page, "#column", "0")
    assert page.evaluate("document.querySelector('#texts').value") == "1\n2\n3"


def drop(page: Page, name: str, content: str) -> None:
    page.evaluate(
        f"(() => {{ const data = new DataTransfer(); data.items.add(new File([{content!r}], {name!r}));"
        " document.querySelector('#texts').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, "
        "cancelable: true})); })()"
    )


def test_files_are_dropped(page: Page) -> None:
    drop(page, "notes.txt", "\ufefffirst\nsecond\n")
    page.wait("document.querySelector('#count').textContent === '2 texts.'")
    assert page.evaluate("document.querySelector('#texts').value") == "\ufefffirst\nsecond\n".lstrip("\ufeff")
    drop(page, "one.tsv", "a\tb\n1\tonly\n")
    page.wait("document.querySelector('#count').textContent === '1 text.'")
    for number, name in enumerate(["empty.csv", "header.csv"]):
        drop(page, name, "a,b\n" * number)
        page.wait(f"document.querySelector('#message').textContent.startsWith('{name} has no rows')")
    assert page.errors == []


def test_a_server_that_is_gone_is_said(page: Page) -> None:
    page.evaluate("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    page.click_on("#run")
    page.wait("document.querySelector('#message').textContent.startsWith('The server does not answer')")


def test_code_is_copied_or_selected(page: Page) -> None:
    """Only a page with TLS, or on this machine, may write to the clipboard."""
    page.click_on("#tab-call")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.click_on("[data-copy=curl]")
    page.wait("document.querySelector('[data-copy=curl]').textContent.startsWith('Selected')")
    assert page.evaluate("getSelection().toString()").startswith("curl http")


def test_wrong_requests_of_the_page(server: Running) -> None:
    both: dict[str, Any] = {"model": "adapted", "texts": ["a", "b"]}
    for path, request, message in (
        ("explore", both | {"texts": ["a"]}, "texts is not valid: "),
        (
            "explore",
            both | {"template": "eol@/etc/passwd"},
            "a request names no files: write the template out",
        ),
        ("explore", both | {"template": "eol+sum"}, "template 'eol+sum' is an average of 2 templates"),
        ("explore", both | {"template": "cww"}, "unknown template 'cww': did you mean 'ccw'"),
        ("explore", both | {"layer": 9}, "layer=9: this model has hidden states 0 … 2"),
        ("explore", both | {"model": "student", "layer": 1}, "student has no template and no layers"),
        (
            "attention",
            {"model": "adapted", "text": "a", "layer": 0},
            "layer=0: the token embeddings come before",
        ),
        ("attention", {"model": "adapted", "text": ""}, "text is not valid: "),
    ):
        answer = server.http.post(f"/page/{path}", json=request)
        assert answer.status_code == 400, answer.text
        assert message in answer.json()["error"]["message"]
    assert server.http.post("/page/explore", json={"model": "x", "texts": ["a", "b"]}).status_code == 404


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(page: Page, scheme: str) -> None:
    """axe-core, which `npm install axe-core` brings: AXE is the path of its axe.min.js."""
    script = Path(os.environ.get("AXE", "node_modules/axe-core/axe.min.js"))
    if not script.is_file():
        pytest.skip("no axe-core: npm install axe-core, or set AXE to its axe.min.js")
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.evaluate(script.read_text())
    page.click_on("#run")
    page.wait("document.querySelector('.side .group')")
    for tab in ("compare", "attention", "card", "call"):
        page.click_on(f"#tab-{tab}")
        if tab == "attention":
            page.click_on("#show-attention")
            page.wait("document.querySelector('#attention-result table')")
        faults = page.evaluate(
            "axe.run().then(r => r.violations.map(v => `${v.id}: ${v.nodes.map(n => n.html).join(' ')}`))"
        )
        assert faults == [], tab
