"""Every combination of templates, poolings and layers, from shared work.

Templates with one prefix share its states and the text's; each suffix then costs its own few tokens, and
suffixes that begin alike share those too. A text that is too long is computed to the length that the shortest
template leaves, and each suffix follows where its own template truncates it. All poolings and layers are read from
the same pass. The templates of an average are computed so, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lastword.console import progress, warn_of_some
from lastword.embedding.encoding import encode_texts, finite
from lastword.embedding.forward.path import BranchingPath
from lastword.embedding.forward.tree import Tree
from lastword.embedding.pipeline import Pipeline, layer_means, pool, pooling_masks
from lastword.embedding.pooling import Pooling
from lastword.embedding.template import CompiledTemplate, Template
from lastword.embedding.tokens import Batch, Sequences, clean, group_by_length, pad, require_strings
from lastword.errors import RequestError


@dataclass(frozen=True)
class GridPoint:
    """One combination.

    Attributes:
        template: name of the template, or its text if it has no name.
        pooling: as `Pooling.parse` reads it.
        layer: hidden state that is pooled; 0 is the token embedding.
    """

    template: str
    pooling: str
    layer: int


Grid = dict[GridPoint, np.ndarray]


@dataclass(frozen=True)
class GridAxes:
    """What is combined.

    Attributes:
        templates: at least one.
        poolings: at least one.
        layers: hidden states, 0 … number of layers.

    Raises:
        RequestError: different templates that a `GridPoint` could not tell apart.
    """

    templates: Sequence[Template]
    poolings: Sequence[Pooling]
    layers: Sequence[int]

    def __post_init__(self) -> None:
        labels = Counter(map(label, dict.fromkeys(self.templates)))
        if repeated := next((name for name, number in labels.items() if number > 1), None):
            raise RequestError(
                f"{labels[repeated]} different templates are called {repeated!r}: give one of them at a time"
            )

    @property
    def size(self) -> int:
        """Number of combinations."""
        return len(self.templates) * len(self.poolings) * len(self.layers)


def label(template: Template) -> str:
    """Name of a template in a grid."""
    return template.text if template.name == "custom" else template.name


def encode_grid(
    pipeline: Pipeline, texts: Sequence[str], axes: GridAxes, batch_tokens: int | None = None
) -> Grid:
    """Embed texts in every combination; see `Embedder.encode_grid`. Vectors are not normalised here."""
    require_strings(texts)
    if any(template.averaged for template in axes.templates):
        return _averaged(pipeline, texts, axes, batch_tokens)
    unique = list(dict.fromkeys(texts))
    grid = {
        GridPoint(label(template), pooling.spec, layer): np.empty(
            (len(unique), pipeline.dim(pooling)), np.float32
        )
        for template in axes.templates
        for pooling in axes.poolings
        for layer in axes.layers
    }
    path = pipeline.backbone.fused
    ditto = any(part.ditto for pooling in axes.poolings for part in pooling.parts)
    longest = (
        path.guarantees.max_tokens if path and not ditto else 0
    )  # a tree has no attention weights to read
    truncated: set[int] = set()
    with progress("embedding", len(unique) * len(axes.templates)) as advance:
        ids = pipeline.tokenizer.text_ids([clean(text) for text in unique])
        for family in families(pipeline, axes):
            shared = [row for row, text in enumerate(ids) if family.fits(len(text), longest)]
            long = [row for row in shared if family.truncates(len(ids[row]))]
            truncated.update(long)
            for tree, rows in ((family.tree, sorted(set(shared) - set(long))), (family.truncating, long)):
                for batch in _batches(pipeline, family, tree, ids, rows, batch_tokens):
                    with torch.inference_mode():
                        for point, pooled in _pooled(pipeline, family, tree, batch, axes):
                            grid[point][batch.rows] = finite(
                                pipeline, pooled, [unique[row] for row in batch.rows]
                            )
                    advance(len(batch.rows) * len(family.templates))
            alone = sorted(set(range(len(unique))) - set(shared))
            for point, vectors in _separately(
                pipeline, family, [unique[row] for row in alone], axes, batch_tokens
            ):
                grid[point][alone] = vectors
            advance(len(alone) * len(family.templates))
    warn_of_some(f"texts were truncated to {pipeline.max_tokens} tokens", len(truncated), len(unique))
    row_of = {text: row for row, text in enumerate(unique)}
    rows = [row_of[text] for text in texts]
    return {point: vectors[rows] for point, vectors in grid.items()}


def _averaged(pipeline: Pipeline, texts: Sequence[str], axes: GridAxes, batch_tokens: int | None) -> Grid:
    """The grid of all templates that averages are made of, and the averages."""
    members = {template: template.averaged or (template,) for template in axes.templates}
    single = list(dict.fromkeys(each for templates in members.values() for each in templates))
    grid = encode_grid(pipeline, texts, replace(axes, templates=single), batch_tokens)
    return {
        GridPoint(label(template), pooling.spec, layer): np.mean(
            [grid[GridPoint(label(each), pooling.spec, layer)] for each in templates], axis=0
        )
        for template, templates in members.items()
        for pooling in axes.poolings
        for layer in axes.layers
    }


def _stands_alone(template: Template) -> bool:
    """Whether the ids of a text depend on the template, or the text comes twice."""
    return template.boundary == "string" or template.middle is not None


@dataclass(frozen=True)
class Family:
    """Templates with one prefix.

    Attributes:
        templates: as given.
        compiled: the same, with an end-of-text token where a pooling needs one.
        tree: their suffixes.
        truncating: the same, each after as many tokens as its template leaves of a longer text.
        appended: whether the last id of each suffix is there only for the poolings that need it.
    """

    templates: list[Template]
    compiled: list[CompiledTemplate]
    tree: Tree
    truncating: Tree
    appended: list[bool]

    @property
    def prefix(self) -> tuple[int, ...]:
        """The ids before the text."""
        return self.compiled[0].prefix_ids

    def fits(self, tokens: int, longest: int) -> bool:
        """Whether a text of so many tokens can be computed once for all suffixes.

        Its tokens must not depend on the template, and no sequence may be longer than the path allows.
        """
        if _stands_alone(self.templates[0]) or tokens == 0:
            return False
        return all(min(tokens, each.budget) + each.length <= longest for each in self.compiled)

    def truncates(self, tokens: int) -> bool:
        """Whether a template truncates a text of so many tokens."""
        return any(tokens > each.budget for each in self.compiled)


def families(pipeline: Pipeline, axes: GridAxes) -> Iterator[Family]:
    """Group templates by the ids before the text; one that shares no work is a family of its own."""
    append = any(pooling.needs_eos for pooling in axes.poolings)
    groups: dict[object, list[tuple[Template, CompiledTemplate]]] = {}
    for template in axes.templates:
        compiled = pipeline.variant(template=template).compile(append)
        key = template if _stands_alone(template) else compiled.prefix_ids
        groups.setdefault(key, []).append((template, compiled))
    for members in groups.values():
        templates, compiled_templates = [list(part) for part in zip(*members, strict=True)]
        suffixes = [compiled.suffix_ids for compiled in compiled_templates]
        limits = [len(compiled.prefix_ids) + compiled.budget for compiled in compiled_templates]
        yield Family(
            templates,
            compiled_templates,
            Tree.of(suffixes),
            Tree.of(suffixes, limits),
            [append and not template.eos for template in templates],
        )


def _batches(
    pipeline: Pipeline,
    family: Family,
    tree: Tree,
    ids: list[list[int]],
    rows: list[int],
    batch_tokens: int | None,
) -> Iterator[Batch]:
    """Padded batches of prefix and text; the tokens of the suffixes count towards the size."""
    start, suffix_tokens = len(family.prefix), len(tree)
    longest = max(compiled.budget for compiled in family.compiled)
    wrapped = [[*family.prefix, *ids[row][:longest]] for row in rows]
    spans = [(start, len(sequence)) for sequence in wrapped]
    sequences = Sequences(wrapped, spans, truncated=0, shared=start)
    lengths = [len(sequence) + suffix_tokens for sequence in wrapped]
    for group in group_by_length(lengths, pipeline.batch_tokens(batch_tokens)):
        batch = pad(sequences, group, pipeline.tokenizer.pad_id, pipeline.backbone.device)
        yield replace(batch, rows=[rows[i] for i in group])


def _pooled(
    pipeline: Pipeline, family: Family, tree: Tree, batch: Batch, axes: GridAxes
) -> Iterator[tuple[GridPoint, Tensor]]:
    path, norm, last = pipeline.backbone.fused, pipeline.spec.norm, pipeline.backbone.layers
    assert path is not None  # see `Family.fits`
    if all(pooling.reads_last for pooling in axes.poolings) and set(axes.layers) == {last}:
        yield from _pooled_ends(pipeline, family, tree, path, batch, axes.poolings)
        return
    trained = pipeline.backbone.trained_pool
    branches = path.branches(batch, tree, pipeline.layers_read(axes.poolings, axes.layers), norm)
    states = ((layer, (text, nodes)) for layer, text, nodes in branches)
    for layer, means in layer_means(states, axes.poolings, axes.layers):
        for template, compiled, suffix, appended in zip(
            family.templates, family.compiled, tree.paths, family.appended, strict=True
        ):
            hidden = {
                count: torch.cat([text, nodes[:, suffix]], dim=1) for count, (text, nodes) in means.items()
            }
            whole = _with_suffix(batch, len(family.prefix) + compiled.budget, len(suffix))
            masks = pooling_masks(whole, axes.poolings, appended)
            for pooling in axes.poolings:
                yield GridPoint(label(template), pooling.spec, layer), pool(pooling, hidden, masks, trained)


def _pooled_ends(
    pipeline: Pipeline,
    family: Family,
    tree: Tree,
    path: BranchingPath,
    batch: Batch,
    poolings: Sequence[Pooling],
) -> Iterator[tuple[GridPoint, Tensor]]:
    """Poolings of single tokens over the last layer, which then computes no others."""
    node_of: dict[GridPoint, int | None] = {}
    for template, suffix, appended in zip(family.templates, tree.paths, family.appended, strict=True):
        for pooling in poolings:
            read = suffix[:-1] if appended and not pooling.needs_eos else suffix
            point = GridPoint(label(template), pooling.spec, pipeline.backbone.layers)
            # None is the text's own last token. Where no suffix is read, no template leaves more of the text.
            node_of[point] = read[-1] if read else None
    nodes = sorted({node for node in node_of.values() if node is not None})
    states = path.branch_ends(batch, tree, nodes, pipeline.spec.norm).float()
    for point, node in node_of.items():
        yield point, states[:, 0 if node is None else 1 + nodes.index(node)]


def _with_suffix(batch: Batch, limit: int, tokens: int) -> Batch:
    """The masks of texts (padded), of which `limit` tokens count at most, and of a suffix after the padding."""
    ones = batch.attention_mask.new_ones(len(batch.rows), tokens)
    seen = torch.arange(batch.attention_mask.shape[1], device=ones.device) < limit
    return replace(
        batch,
        attention_mask=torch.cat([batch.attention_mask & seen, ones], dim=1),
        text_mask=torch.cat([batch.text_mask & seen, ~ones], dim=1),
    )


def _separately(
    pipeline: Pipeline, family: Family, texts: list[str], axes: GridAxes, batch_tokens: int | None
) -> Iterator[tuple[GridPoint, np.ndarray]]:
    """One pass for each template, of all layers and poolings: for models without a branching path, empty texts, and
    texts that are tokenized with their template.
    """
    if not texts:
        return
    for template in family.templates:
        variant = pipeline.variant(template=template)
        for (layer, spec), vectors in encode_texts(
            variant, texts, axes.poolings, axes.layers, batch_tokens
        ).items():
            yield GridPoint(label(template), spec, layer), vectors
