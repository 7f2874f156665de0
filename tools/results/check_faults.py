"""Is every fault that `lastword check` names really found? Each is planted in a copy of a right model.

    python tools/results/check_faults.py            # writes results/check_faults.json; half an hour
    python tools/results/check_faults.py --again    # measures what is there already, too

Folders are changed in their files; servers are small ones on this machine, whose own forward pass, which shares no code
with lastword, has the fault. Each must not pass, and the first cause on the card must be the fault.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModel

import lastword
from lastword.bundled import model_source

RESULTS = Path(__file__).parents[2] / "results" / "check_faults.json"
Edit = Callable[[Path], None]


@dataclass
class OwnServer:
    """A forward pass of its own over a folder of lastword, with one thing wrong."""

    folder: Path
    fault: str = ""

    def __post_init__(self) -> None:
        facts = json.loads((self.folder / "lastword.json").read_text())
        self.prefix, self.suffix, self.bos = facts["prefix_ids"], facts["suffix_ids"], int(facts["bos"])
        self.longest = json.loads((self.folder / "sentence_bert_config.json").read_text())["max_seq_length"]
        self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        pad = json.loads((self.folder / "tokenizer_config.json").read_text())["pad_token"]
        self.pad = self.tokenizer.token_to_id(pad)
        self.model = AutoModel.from_pretrained(self.folder, dtype=torch.float32).eval()
        if self.fault == "bfloat16":
            self.model.bfloat16()
        if self.fault == "int4":
            for weight in self.model.parameters():
                step = weight.data.abs().amax() / 7
                weight.data = (weight.data / step).round() * step

    def ids(self, text: str) -> list[int]:
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        prefix, suffix, fault = self.prefix, self.suffix, self.fault
        if fault == "prompt missing":
            return ids[: self.longest]
        if fault == "suffix missing":
            return [*prefix, *ids][: self.longest]
        if fault == "suffix cut":
            return [*prefix, *ids, *suffix][: self.longest]
        if fault == "prompt twice":
            return [
                *prefix,
                *[*prefix[self.bos :], *ids, *suffix][: self.longest - len(prefix) - len(suffix)],
                *suffix,
            ]
        longest = 128 if fault == "truncated" else self.longest
        return [*prefix, *ids[: longest - len(prefix) - len(suffix)], *suffix]

    def encode(self, texts: list[str]) -> np.ndarray:
        rows, fault = [self.ids(text) for text in texts], self.fault
        longest = max(map(len, rows))
        left = fault == "padding seen"
        pads = [[self.pad] * (longest - len(row)) for row in rows]
        ids = torch.tensor([pad + row if left else row + pad for row, pad in zip(rows, pads, strict=True)])
        lengths = torch.tensor([len(row) for row in rows])
        mask = (torch.arange(longest) < lengths[:, None]).long()
        if left or fault == "padding pooled":
            mask = torch.ones_like(mask)
        if fault == "sees later tokens" and len(rows) > 1 and len({*map(len, rows)}) == 1:
            mask = torch.zeros(len(rows), 1, longest, longest)
        with torch.inference_mode():
            output = self.model(ids, attention_mask=mask, output_hidden_states=True)
        states = output.last_hidden_state
        if fault == "before the norm":
            kept: list[torch.Tensor] = []
            hook = self.model.norm.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
            self.model(ids, attention_mask=mask)
            hook.remove()
            states = kept[0].detach()
        at = torch.full_like(lengths, longest - 1) if left or fault == "padding pooled" else lengths - 1
        pooled = states[torch.arange(len(rows)), at].float()
        if fault == "mean":
            pooled = (states * mask[..., None]).sum(1) / lengths[:, None]
        if fault != "not normalised":
            pooled = torch.nn.functional.normalize(pooled, dim=-1)
        if fault == "sorted":
            pooled = pooled[lengths.argsort(descending=True, stable=True)]
        return pooled[:, : 64 if fault == "truncated dimensions" else None].numpy()


@contextmanager
def served(encode: Callable[[list[str]], np.ndarray], tei: bool = False) -> Iterator[str]:
    """Serve on the loopback; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

        def answer(self, content: object, status: int = 200) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.answer({"data": [{"id": "own"}]})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != ("/embed" if tei else "/v1/embeddings"):
                self.answer({"error": "no such path"}, 404)
                return
            rows = encode(request["inputs" if tei else "input"]).tolist()
            data = [{"index": i, "embedding": row} for i, row in enumerate(rows)]
            self.answer(rows if tei else {"data": data, "model": "own"})

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def edited(file: str, change: Callable[[dict[str, Any]], None]) -> Edit:
    """An edit of a JSON file of a folder."""

    def edit(folder: Path) -> None:
        path = folder / file
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


def both(*edits: Edit) -> Edit:
    return lambda folder: [edit(folder) for edit in edits] and None


def _pieces(keep: Callable[[str], bool]) -> Edit:
    def change(content: dict[str, Any]) -> None:
        processor = content["post_processor"]
        processor["single"] = [
            piece for piece in processor["single"] if "Sequence" in piece or keep(piece["SpecialToken"]["id"])
        ]

    return edited("tokenizer.json", change)


def _suffix_ids(change_ids: Callable[[list[int]], list[int]]) -> Edit:
    def change(content: dict[str, Any]) -> None:
        special = content["post_processor"]["special_tokens"]["<template_suffix>"]
        special["ids"] = change_ids(special["ids"])
        special["tokens"] = (special["tokens"] * 2)[: len(special["ids"])]

    return edited("tokenizer.json", change)


def _prefix_ids(change_ids: Callable[[list[int]], list[int]]) -> Edit:
    def change(content: dict[str, Any]) -> None:
        special = content["post_processor"]["special_tokens"]["<template_prefix>"]
        special["ids"] = change_ids(special["ids"])
        special["tokens"] = (special["tokens"] * 2)[: len(special["ids"])]

    return edited("tokenizer.json", change)


def _pooling(mode: str) -> Edit:
    def change(content: dict[str, Any]) -> None:
        content["pooling_mode"] = mode

    return edited("1_Pooling/config.json", change)


def _set(file: str, **values: Any) -> Edit:
    return edited(file, lambda content: content.update(values))


def _rope(**values: Any) -> Edit:
    def change(content: dict[str, Any]) -> None:
        content["rope_parameters"] = {"rope_type": "default", "rope_theta": 10_000.0, **values}
        content.pop("rope_scaling", None)
        content.pop("rope_theta", None)

    return edited("config.json", change)


def _without_normalize(folder: Path) -> None:
    path = folder / "modules.json"
    path.write_text(json.dumps([m for m in json.loads(path.read_text()) if "Normalize" not in m["type"]]))


def _noise(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(0)
    noisy = {
        name: w + 0.3 * w.std() * torch.randn_like(w) if w.dim() > 1 else w for name, w in weights.items()
    }
    save_file(noisy, folder / "model.safetensors", metadata={"format": "pt"})


def _fewer_merges(content: dict[str, Any]) -> None:
    del content["model"]["merges"][len(content["model"]["merges"]) // 2 :]


FOLDERS: dict[str, tuple[str, str, Edit]] = {
    "template not in the tokenizer": ("last", "prompt missing", _set("tokenizer.json", post_processor=None)),
    "suffix lost": ("last", "suffix missing", _pieces(lambda name: name != "<template_suffix>")),
    "prefix lost": ("last", "prefix missing", _pieces(lambda name: name != "<template_prefix>")),
    "end-of-text token lost": ("eos", "end-of-text token missing", _suffix_ids(lambda ids: ids[:-1])),
    "end-of-text token too many": ("last", "end-of-text token added", _suffix_ids(lambda ids: [*ids, 1])),
    "begin-of-text token lost": ("bos", "begin-of-text token missing", _prefix_ids(lambda ids: ids[1:])),
    "begin-of-text token too many": ("last", "begin-of-text token added", _prefix_ids(lambda ids: [0, *ids])),
    "white space not stripped": ("last", "white space kept", _set("tokenizer.json", normalizer=None)),
    "half of the merges lost": ("last", "another tokenizer", edited("tokenizer.json", _fewer_merges)),
    "sequences of 64 tokens": ("last", "another longest sequence", both(
        _set("sentence_bert_config.json", max_seq_length=64), _set("tokenizer_config.json", model_max_length=64))),
    "truncated on the left": (
        "last", "texts truncated at their beginning", _set("tokenizer_config.json", truncation_side="left")),
    "mean pooling": ("last", "wrong pooling: mean", _pooling("mean")),
    "first token pooled": ("last", "wrong pooling: cls", _pooling("cls")),
    "largest values pooled": ("last", "wrong pooling: max", _pooling("max")),
    "weighted mean pooling": ("last", "wrong pooling: weightedmean", _pooling("weightedmean")),
    "last token pooled": ("mean", "wrong pooling: lasttoken", _pooling("lasttoken")),
    "no normalisation": ("last", "normalisation", _without_normalize),
    "another rotary base": ("last", "wrong rope", _rope(rope_theta=500_000.0)),
    "rotary scaling dropped": ("scaled", "wrong rope", _rope()),
    "last layer left out": ("last", "states of one layer earlier", _set("config.json", num_hidden_layers=7)),
    "noise in the weights": ("last", "other weights", _noise),
}  # fmt: skip
"""Fault of a folder → the model it is planted in, the cause that must be named, and the edit."""
WITH_REFERENCE = ("rotary scaling dropped", "last layer left out")
"""Faults that a folder cannot name by itself: what was lost is not in it."""
SERVERS = {
    "prompt missing": "prompt missing", "prompt twice": "prompt twice", "suffix missing": "suffix missing",
    "suffix cut": "suffix cut", "truncated": "another longest sequence", "mean": "wrong pooling: mean",
    "before the norm": "final norm left out", "not normalised": "normalisation",
    "sees later tokens": "attention to later tokens in a batch", "padding seen": "padding seen by tokens",
    "padding pooled": "padding pooled", "sorted": "rows in another order",
    "truncated dimensions": "other dimensions", "bfloat16": "lower precision", "int4": "other weights",
}  # fmt: skip
"""Fault of a server → the cause that must be named."""


def make_models(folder: Path, base: str = "mini") -> dict[str, Path]:
    """The right models that faults are planted in."""
    settings = {
        "last": {"pooling": "lasttoken"}, "mean": {"pooling": "mean"}, "eos": {"pooling": "eos"},
        "bos": {"pooling": "lasttoken", "bos": True}
    }  # fmt: skip
    made = {}
    for name, how in settings.items():
        embedder = lastword.Embedder.from_pretrained(
            base, template="ccw", dtype="float32", device="cpu", **how
        )
        made[name] = embedder.save(folder / name)
    scaled = folder / "scaled-base"
    shutil.copytree(model_source(base), scaled)
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 64}  # fmt: skip
    _rope(**llama3)(scaled)
    embedder = lastword.Embedder.from_pretrained(
        scaled, template="ccw", pooling="lasttoken", dtype="float32", device="cpu"
    )
    made["scaled"] = embedder.save(folder / "scaled")
    return made


def plant(models: dict[str, Path], fault: str, folder: Path) -> Path:
    """A copy of a model with a fault in its files."""
    model, _, edit = FOLDERS[fault]
    shutil.copytree(models[model], folder)
    edit(folder)
    return folder


def row(where: str, fault: str, expected: str, card: lastword.CheckResult) -> dict[str, Any]:
    named = [cause.name for cause in card.causes]
    return {
        "where": where, "fault": fault, "expected": expected, "caught": not card.passed,
        "named": named[:1] == [expected], "causes": named,
        "least": min((r.value for r in card.rows if "cosine" in r.name), default=None),
        "evidence": card.causes[0].evidence if card.causes else "",
    }  # fmt: skip


def cases(models: dict[str, Path], copy: Path) -> Iterator[tuple[str, str, Callable[[], dict[str, Any]]]]:
    """Where, the fault, and what measures it."""

    def folder(fault: str) -> dict[str, Any]:
        model, expected, _ = FOLDERS[fault]
        right = models[model] if fault in WITH_REFERENCE else None
        card = lastword.check(plant(models, fault, copy), reference=right)
        shutil.rmtree(copy)
        return row("folder", fault, expected, card)

    def server(fault: str) -> dict[str, Any]:
        with served(OwnServer(models["last"], fault).encode, tei=len(fault) % 2 == 1) as url:
            card = lastword.check(url, reference=models["last"])
        if not fault:
            return {"where": "server", "fault": "none", "passed": card.passed}
        return row("server", fault, SERVERS[fault], card)

    for name, path in models.items():
        fault = f"none ({name})"
        yield "folder", fault, lambda path=path, fault=fault: {  # type: ignore[misc]
            "where": "folder", "fault": fault, "passed": lastword.check(path).passed,
        }  # fmt: skip
    for fault in FOLDERS:
        yield "folder", fault, lambda fault=fault: folder(fault)  # type: ignore[misc]
    for fault in ("", *SERVERS):
        yield "server", fault or "none", lambda fault=fault: server(fault)  # type: ignore[misc]


def main() -> int:
    known = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() and "--again" not in sys.argv else []
    measured = {(entry["where"], entry["fault"]): entry for entry in known}
    rows = []
    with tempfile.TemporaryDirectory() as parent:
        for where, fault, measure in cases(make_models(Path(parent)), Path(parent) / "copy"):
            entry = measured.get((where, fault)) or measure()
            rows.append(entry)
            print(json.dumps(entry), flush=True)
            rest = [
                entry
                for key, entry in measured.items()
                if key not in {(r["where"], r["fault"]) for r in rows}
            ]
            RESULTS.write_text(json.dumps({"model": "mini", "rows": [*rows, *rest]}, indent=1) + "\n")
    wrong = [entry["fault"] for entry in rows if not entry.get("passed", entry.get("named"))]
    RESULTS.write_text(json.dumps({"model": "mini", "rows": rows}, indent=1) + "\n")
    print(f"{len(rows)} cases, not as expected: {wrong or 'none'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
