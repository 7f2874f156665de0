"""Every combination of templates, poolings and layers, from shared work.

Templates with one prefix share its states and the text's; each suffix then costs its own few tokens,
and suffixes that begin alike share those too. All poolings and layers are read off the same pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lastword.console import progress
from lastword.embedding.forward.fused import Layout, Tree
from lastword.embedding.pooling import Pooling
from lastword.embedding.template import CompiledTemplate, Template
from lastword.embedding.tokens import Batch, Sequences, clean, group_by_length, pad, require_strings

if TYPE_CHECKING:
    from lastword.embedding.embedder import Embedder


@dataclass(frozen=True)
class GridPoint:
    """One combination.

    Attributes:
        template: name of the template, or its text for one without a name.
        pooling: as `Pooling.parse` reads it.
        layer: hidden state that is pooled; 0 is the token embedding.
    """

    template: str
    pooling: str
    layer: int


Grid = dict[GridPoint, np.ndarray]


def encode_grid(
    embedder: Embedder,
    texts: Sequence[str],
    templates: Sequence[Template],
    poolings: Sequence[Pooling],
    layers: Sequence[int],
    batch_tokens: int,
) -> Grid:
    """See `Embedder.encode_grid`; vectors are not normalised here."""
    require_strings(texts)
    unique = list(dict.fromkeys(texts))
    grid = {
        GridPoint(label(template), pooling.spec, layer): np.empty((len(unique), embedder.dim), np.float32)
        for template in templates
        for pooling in poolings
        for layer in layers
    }
    with torch.inference_mode(), progress("embedding", len(unique) * len(templates)) as advance:
        ids = embedder.tokenizer.text_ids([clean(text) for text in unique])
        for family in families(embedder, templates, poolings):
            rows = [row for row, text in enumerate(ids) if family.takes(len(text), embedder)]
            for batch in _batches(embedder, family, ids, rows, batch_tokens):
                for point, pooled in _pooled(embedder, family, batch, poolings, layers):
                    grid[point][batch.rows] = pooled.cpu().numpy()
                advance(len(batch.rows) * len(family.templates))
            alone = sorted(set(range(len(unique))) - set(rows))
            for point, vectors in _separately(
                embedder, family, [unique[row] for row in alone], poolings, layers
            ):
                grid[point][alone] = vectors
            advance(len(alone) * len(family.templates))
    place = {text: row for row, text in enumerate(unique)}
    rows = [place[text] for text in texts]
    return {point: vectors[rows] for point, vectors in grid.items()}


def label(template: Template) -> str:
    """What a grid calls a template."""
    return template.text if template.name == "custom" else template.name


@dataclass(frozen=True)
class Family:
    """Templates with one prefix.

    Attributes:
        templates: as given.
        compiled: the same, with an end-of-text token where a pooling asks for one.
        tree: their suffixes.
        appended: whether the last id of each suffix is there for `eos` pooling alone.
    """

    templates: list[Template]
    compiled: list[CompiledTemplate]
    tree: Tree
    appended: list[bool]

    @property
    def prefix(self) -> tuple[int, ...]:
        """The ids before the text."""
        return self.compiled[0].prefix_ids

    def takes(self, tokens: int, embedder: Embedder) -> bool:
        """Whether a text of this many tokens can stand before the tree: none of the templates cuts it."""
        if self.templates[0].boundary == "string":
            return False
        longest = max(compiled.length for compiled in self.compiled) + tokens
        return (
            0 < tokens <= min(compiled.budget for compiled in self.compiled)
            and longest <= embedder.backbone.fused_length
        )


def families(
    embedder: Embedder, templates: Sequence[Template], poolings: Sequence[Pooling]
) -> Iterator[Family]:
    """Group templates by the ids before the text; one whose seams merge stands alone."""
    appends = any(pooling.name == "eos" for pooling in poolings)
    groups: dict[object, list[tuple[Template, CompiledTemplate]]] = {}
    for template in templates:
        compiled = embedder.with_template(template).compile(appends_eos=appends)
        key = template if template.boundary == "string" else compiled.prefix_ids
        groups.setdefault(key, []).append((template, compiled))
    for members in groups.values():
        mine, compiled_ones = [list(part) for part in zip(*members, strict=True)]
        yield Family(
            mine,
            compiled_ones,
            Tree.of([compiled.suffix_ids for compiled in compiled_ones]),
            [appends and not template.eos for template in mine],
        )


def _batches(
    embedder: Embedder, family: Family, ids: list[list[int]], rows: list[int], batch_tokens: int
) -> Iterator[Batch]:
    """Padded batches of prefix and text; the tree of suffixes comes on top."""
    start, behind = len(family.prefix), len(family.tree)
    wrapped = [[*family.prefix, *ids[row]] for row in rows]
    spans = [(start, len(one)) for one in wrapped]
    sequences = Sequences(wrapped, spans, cut=0, shared=start)
    for group in group_by_length([len(one) + behind for one in wrapped], batch_tokens):
        batch = pad(sequences, group, embedder.tokenizer.pad_id, embedder.backbone.device)
        yield replace(batch, rows=[rows[i] for i in group])


def _pooled(
    embedder: Embedder, family: Family, batch: Batch, poolings: Sequence[Pooling], layers: Sequence[int]
) -> Iterator[tuple[GridPoint, Tensor]]:
    layout = Layout.of(batch, family.tree)
    reads_ends = all(pooling.spec in ("lasttoken", "eos") for pooling in poolings)
    if reads_ends and set(layers) == {embedder.backbone.layers}:
        yield from _pooled_ends(embedder, family, layout, poolings)
        return
    for layer, states in enumerate(embedder.backbone.stream(layout, max(layers), embedder.norm)):
        if layer not in layers:
            continue
        text, nodes = layout.padded(states), layout.nodes(states)
        for template, path, appended in zip(
            family.templates, family.tree.paths, family.appended, strict=True
        ):
            hidden = torch.cat([text, nodes[:, path]], dim=1)
            for pooling in poolings:
                mask = _mask(batch, len(path), pooling, appended)
                yield GridPoint(label(template), pooling.spec, layer), pooling(hidden, mask)


def _pooled_ends(
    embedder: Embedder, family: Family, layout: Layout, poolings: Sequence[Pooling]
) -> Iterator[tuple[GridPoint, Tensor]]:
    """Poolings of single tokens over the last layer, which then computes no others."""
    ends: dict[GridPoint, int | None] = {}
    for template, path, appended in zip(family.templates, family.tree.paths, family.appended, strict=True):
        for pooling in poolings:
            read = path[:-1] if appended and pooling.name != "eos" else path
            point = GridPoint(label(template), pooling.spec, embedder.backbone.layers)
            ends[point] = read[-1] if read else None  # None is the text's own last token
    nodes = sorted({node for node in ends.values() if node is not None})
    states = embedder.backbone.ends(layout, nodes, embedder.norm).float()
    for point, node in ends.items():
        yield point, states[:, 0 if node is None else 1 + nodes.index(node)]


def _mask(batch: Batch, suffix: int, pooling: Pooling, appended: bool) -> Tensor:
    """Which of text (padded) and suffix count; padding lies between the two."""
    ones = batch.attention_mask.new_ones(len(batch.rows), suffix)
    if pooling.over == "text":
        return torch.cat([batch.text_mask, ~ones], dim=1)
    if appended and pooling.name != "eos":
        ones[:, -1] = False
    return torch.cat([batch.attention_mask, ones], dim=1)


def _separately(
    embedder: Embedder, family: Family, texts: list[str], poolings: Sequence[Pooling], layers: Sequence[int]
) -> Iterator[tuple[GridPoint, np.ndarray]]:
    """One encoding for each template and layer: texts that a template cuts, models without the fused forward."""
    if not texts:
        return
    for template in family.templates:
        for layer in layers:
            variant = embedder.with_template(template).with_layer(layer)
            for spec, vectors in variant.encode_poolings(texts, poolings, normalize=False).items():
                yield GridPoint(label(template), spec, layer), vectors
