"""A shallow student is near to its teacher, an interrupted distillation goes on, and what cannot work is refused."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tests.distillation.test_distill import Teacher, sentences

from lastword import Embedder, distill
from lastword.config import TrainConfig
from lastword.distillation import distill as verb
from lastword.distillation import tokens
from lastword.distillation.shallow import FromTeacher, NearTeacher, TeacherObjective, TeacherStep
from lastword.distillation.teacher import TeacherVectors
from lastword.encoders import in_parts as passes
from lastword.errors import RequestError
from lastword.geometry import unit
from lastword.training import LastStep, train

Refused = Callable[..., str]
SETTINGS: dict[str, Any] = {"student": "shallow", "template": "ccw", "pooling": "lasttoken", "device": "cpu"}


def folder_of_layers(folder: Path, layers: int) -> Path:
    """A tiny decoder with the tokenizer of `folder`."""
    import shutil

    from transformers import AutoConfig, AutoModelForCausalLM

    new = folder.parent / f"layers-{layers}"
    if not new.exists():
        shutil.copytree(folder, new, ignore=shutil.ignore_patterns("*.safetensors"))
        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(folder, num_hidden_layers=layers)
        AutoModelForCausalLM.from_config(config).save_pretrained(new)
    return new


@pytest.fixture
def model(llama_folder: Path) -> Path:
    return folder_of_layers(llama_folder, 4)


def test_the_first_layers_learn_the_vectors_of_the_whole_model(model: Path, tmp_path: Path) -> None:
    result = distill(model, sentences(300), tmp_path / "out", steps=60, **SETTINGS)
    teacher = Embedder.from_pretrained(model, template="ccw", pooling="lasttoken", device="cpu")
    untrained = teacher.variant(layer=1)
    new = sentences(60, seed=1)
    wanted = teacher.encode(new, normalize=True)
    loaded = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(new)
    assert (unit(loaded) * wanted).sum(1).mean() > (untrained.encode(new, normalize=True) * wanted).sum(
        1
    ).mean()
    assert (result.student, result.layers, result.dim) == ("shallow", 1, teacher.dim)
    assert result.step in (10, 20, 40, 60)
    content = json.loads((tmp_path / "out" / "distilled.json").read_text())
    assert content == result.to_dict()
    assert not {"tokens", "strength"} & content.keys()
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert result.bytes == sum(file.stat().st_size for file in files if file.name != "distilled.json")
    recipe = json.loads((tmp_path / "out" / "lastword.json").read_text())["recipe"]
    assert (recipe["pairs"], recipe["teacher"]) == ([], teacher.identity)


def test_the_loss_is_the_squared_distance_of_unit_vectors() -> None:
    targets = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)))
    step = TeacherStep(["a", "b", "c"], targets)
    assert step.loss_of(7 * targets).item() == pytest.approx(0, abs=1e-6)
    assert step.loss_of(-targets).item() == pytest.approx(4, abs=1e-5)
    assert step.negatives == 2


def test_each_epoch_has_every_text_with_its_own_vector() -> None:
    texts = [str(number) for number in range(10)]
    vectors = np.arange(10, dtype=np.float32)[:, None]
    objective = TeacherObjective(texts, vectors, TrainConfig(batch_pairs=5, steps=4))
    steps = [objective.step(number) for number in range(2)]
    assert sorted(text for step in steps for text in step.texts) == texts
    assert all([float(text) for text in step.texts] == step.targets[:, 0].tolist() for step in steps)


def weights(folder: Path) -> dict[str, bytes]:
    """What embeds in the folder of a student."""
    files = [path for name in ("*.safetensors", "tokenizer.json") for path in folder.rglob(name)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


RUN = """
import json, sys
from lastword import distill
from lastword.training import loop
from tests.distillation.test_distill import sentences
loop._KEEP_S = 0
print("begun", flush=True)
distill(sys.argv[1], sentences(1100), sys.argv[2], resume=True, **json.loads(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("student", ["static", "shallow"])
def test_kills_at_random_moments_change_no_byte(model: Path, tmp_path: Path, student: str) -> None:
    """A shallow student is kept between its checkpoints after each step."""
    settings = SETTINGS | {"student": student} | ({"steps": 100} if student == "shallow" else {})

    def run(name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", RUN, str(model), str(tmp_path / name), json.dumps(settings)]
        child = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        return child

    def files() -> int:
        return sum(path.is_file() for path in (tmp_path / "out.partial").rglob("*"))

    with run("whole") as child:
        assert child.wait() == 0
    rng, kills = random.Random(3), 0
    for _ in range(4):
        before = files()
        with run("out") as child:
            while files() <= before and child.poll() is None:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.05))
            child.send_signal(signal.SIGKILL)
            kills += child.wait() == -signal.SIGKILL
    assert kills >= 2
    if not (tmp_path / "out").exists():
        with run("out") as child:
            assert child.wait() == 0
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")


@pytest.mark.parametrize("student", ["static", "shallow"])
def test_an_interrupted_run_goes_on_to_the_same_student(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, student: str
) -> None:
    """It is interrupted while texts go through the teacher, and again while the student is made."""
    texts = sentences(1100)
    settings = SETTINGS | {"student": student} | ({"steps": 12} if student == "shallow" else {})
    whole = distill(model, texts, tmp_path / "whole", **settings)
    encoded, passed = passes.encode_distinct, list[int]()

    def interrupted(encoder: Any, window: Any) -> Any:
        if len(passed) == 2:
            raise KeyboardInterrupt
        passed.append(len(window))
        return encoded(encoder, window)

    monkeypatch.setattr(passes, "encode_distinct", interrupted)
    with pytest.raises(KeyboardInterrupt):
        distill(model, texts, tmp_path / "out", **settings)
    assert passed == [512, 512]
    monkeypatch.setattr(passes, "encode_distinct", encoded)
    measured = verb._measured
    monkeypatch.setattr(verb, "_measured", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        distill(model, texts, tmp_path / "out", resume=True, **settings)
    monkeypatch.setattr(verb, "_measured", measured)
    monkeypatch.setattr(passes, "encode_distinct", lambda *args: 1 / 0)  # nothing goes through it again
    monkeypatch.setattr(tokens, "train_tokenizer", lambda *args: 1 / 0)
    again = distill(model, texts, tmp_path / "out", resume=True, **settings)
    assert (again.cosine, again.neighbours) == (whole.cosine, whole.neighbours)
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")
    assert not list(tmp_path.glob("*.partial*"))


def test_a_run_is_resumed_with_the_same_texts_settings_and_teacher(
    model: Path, llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setattr(verb, "_measured", lambda *args: 1 / 0)
    settings = SETTINGS | {"steps": 2}
    with pytest.raises(ZeroDivisionError):
        distill(model, sentences(100), tmp_path / "out", **settings)

    def message(**changes: Any) -> str:
        arguments = {"model": model, "texts": sentences(100), "resume": True} | settings | changes
        first, texts = arguments.pop("model"), arguments.pop("texts")
        return refused(RequestError, distill, first, texts, tmp_path / "out", **arguments)

    assert "steps was 2 and is now 3" in message(steps=3)
    assert "student was 'shallow' and is now 'static'" in message(student="static", steps=None)
    assert "the texts has changed" in message(texts=sentences(101))
    assert f"the model {llama_folder} is no input" in message(model=llama_folder)


def test_requests_that_cannot_work(model: Path, llama_folder: Path, tmp_path: Path, refused: Refused) -> None:
    def message(teacher: Any = model, texts: Any = None, **settings: Any) -> str:
        arguments = {"student": "shallow"} | settings
        return refused(RequestError, distill, teacher, texts or sentences(150), tmp_path / "x", **arguments)

    fewer = f"{model} has 4 layers, and a shallow student keeps fewer: give 1 to 3"
    assert message(layer=4) == f"layer=4: {fewer}"
    assert message(layer=40) == f"layer=40: {fewer}"
    assert message(layer=0) == "layer=0: give 1 or more"
    assert message(folder_of_layers(llama_folder, 1)).endswith("use student='static'")
    assert "only a shallow student has it" in message(layer=1, student="static")
    assert "only a static student has it" in message(vocabulary=2000)
    assert "unknown student" in message(student="deep")
    assert "and teacher is none that can be cut" in message(Teacher())
    assert "none that can be cut" in message("sentence-transformers:somewhere")
    assert message(texts=["the same"] * 500) == "the list has 1 distinct texts: give at least 100"
    assert not list(tmp_path.iterdir())


def test_fewer_layers_than_those_that_a_folder_pools(model: Path, tmp_path: Path, refused: Refused) -> None:
    """The folder has as many layers as its model pools; that is known when it is loaded."""
    Embedder.from_pretrained(model, layer=2, device="cpu").save(tmp_path / "cut")
    message = refused(
        RequestError, distill, tmp_path / "cut", sentences(150), tmp_path / "x", student="shallow", layer=2
    )
    assert message.startswith("layer=2:")
    assert message.endswith("has 2 layers, and a shallow student keeps fewer: give 1 to 1")


def test_a_teacher_of_another_vector_length(model: Path, tmp_path: Path, refused: Refused) -> None:
    teacher = Embedder.from_pretrained(model, device="cpu")
    texts = sentences(100)
    vectors = unit(np.random.default_rng(0).normal(size=(100, 24))).astype(np.float32)
    variant = FromTeacher(TeacherVectors(texts, vectors, 1.0), "teacher", teacher.spec)
    assert str(variant) == "learning the vectors of 100 texts, those held out included"  # as a run logs it
    message = refused(
        RequestError, train, tmp_path / "x", variant=variant, scorer=LastStep(), model=str(model), layer=2
    )
    assert message.startswith(f"the teacher's vectors have 24 dimensions and those of {model} {teacher.dim}:")


def test_the_score_is_the_mean_cosine(model: Path) -> None:
    embedder, texts = Embedder.from_pretrained(model, device="cpu"), sentences(20)
    vectors = embedder.encode(texts, normalize=True)
    assert NearTeacher(texts, vectors)(embedder).value == pytest.approx(1, abs=1e-5)
    assert NearTeacher(texts, -vectors)(embedder).value == pytest.approx(-1, abs=1e-5)
