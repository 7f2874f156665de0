"""A real server that fails in many ways, and the official client."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lastword.errors import RequestError, WorkError
from lastword.pairs import make_pairs
from lastword.pairs.generating import Endpoint, Rewriting
from lastword.pairs.generating.engine import Answer, Prompt
from tests.pairs.generating.server import Behaviour, serving
from tests.pairs.test_make import write
from tests.processes import before, command, run, run_killed

Refused = Callable[..., str]
INSTRUCTIONS = {"say": "{text}"}


def upper(prompt: str) -> str:
    return f"in other words, {prompt}"


def endpoint(url: str, **settings: object) -> Endpoint:
    return Endpoint(
        **{"model": "good-model", "url": url, "key": "secret", "longest_wait_s": 0.05, **settings}
    )  # type: ignore[arg-type]


def prompts(count: int) -> list[Prompt]:
    return [Prompt(f"the river number {i} was low", i) for i in range(count)]


@pytest.mark.parametrize(
    "trouble",
    [["429"], ["500", "500"], ["drop"], ["malformed"], ["truncated"], ["html"], ["empty list"],
     ["500", "drop", "malformed", "truncated", "429"]],
    ids=lambda trouble: ", ".join(trouble),
)  # fmt: skip
def test_temporary_errors(trouble: list[str]) -> None:
    behaviour = Behaviour(upper, trouble)
    with serving(behaviour) as url:
        answers = endpoint(url).answers(prompts(5))
    assert answers == [Answer(upper(prompt.text)) for prompt in prompts(5)]
    assert set(behaviour.seen.values()) == {len(trouble) + 1}


def test_retry_after_is_respected() -> None:
    behaviour = Behaviour(upper, ["429 1"])
    with serving(behaviour) as url:
        endpoint(url, longest_wait_s=5.0).answers(prompts(1))
    assert 0.9 < behaviour.arrivals[1] - behaviour.arrivals[0] < 3.0


def test_a_lasting_error_stops_the_run_with_one_line(refused: Refused) -> None:
    behaviour = Behaviour(upper, ["500"] * 99)
    with serving(behaviour) as url:
        message = refused(WorkError, endpoint(url, attempts=3).answers, prompts(4))
    assert message.startswith(f"{url}/ failed 3 times: ")
    assert message.endswith("; continue later with resume=True")
    assert max(behaviour.seen.values()) == 3


def test_slow_answers_time_out_and_are_requested_again(refused: Refused) -> None:
    behaviour = Behaviour(upper, slow_s=0.5)
    with serving(behaviour) as url:
        assert "timed out" in refused(WorkError, endpoint(url, timeout_s=0.1, attempts=2).answers, prompts(1))
    assert list(behaviour.seen.values()) == [2]


def test_wrong_key_and_unknown_model_and_no_server(refused: Refused) -> None:
    with serving(Behaviour(upper)) as url:
        assert refused(RequestError, endpoint(url, key="wrong").answers, prompts(2)).startswith(
            f"{url}/ refuses the key (401): "
        )
        assert refused(RequestError, endpoint(url, model="godo-model").answers, prompts(2)) == (
            f"{url}/ has no model 'godo-model'; it has: good-model"
        )
    assert "failed 2 times: Connection error" in refused(
        WorkError, endpoint(url, attempts=2).answers, prompts(1)
    )


def test_no_key(monkeypatch: pytest.MonkeyPatch, refused: Refused) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert refused(RequestError, Endpoint, "m", "http://localhost:1/v1") == (
        "no key for http://localhost:1/v1: set OPENAI_API_KEY (a local server accepts any value)"
    )


def test_a_refused_text_costs_one_pair(tmp_path: Path) -> None:
    file = write(tmp_path / "texts.txt", ["the river was low", "the poison was strong", "she sold the house"])
    with serving(Behaviour(upper)) as url:
        result = make_pairs(Rewriting(endpoint(url), instructions=INSTRUCTIONS), file, tmp_path / "out.jsonl")
    assert (result.pairs, result.rejected) == (2, {"refused by the endpoint (400)": 1})


def test_a_request_that_fails_for_every_text_stops_the_run(refused: Refused) -> None:
    poison = [Prompt(f"poison number {i}", i) for i in range(40)]
    behaviour = Behaviour(upper)
    with serving(behaviour) as url:
        message = refused(RequestError, endpoint(url, concurrency=2).answers, poison)
        assert len(behaviour.seen) < 20, "it did not stop"
        late = endpoint(url, concurrency=1)
        assert sum(not answer.problem for answer in late.answers([*prompts(1), *poison])) == 1
    assert message == (
        f"{url}/ refused the first 10 texts (400): this prompt breaks our policy; "
        "change the fields of a request with request={…}"
    )


def test_a_failed_call_does_not_spoil_the_next_one(refused: Refused) -> None:
    """Neither the stop nor the refusals of the first call count for the second, which begins with a refused text."""
    poison = [Prompt(f"poison number {i}", i) for i in range(40)]
    with serving(Behaviour(upper, ["500"])) as url:
        chat = endpoint(url, attempts=1, concurrency=1)
        refused(WorkError, chat.answers, prompts(2))
        assert chat.answers(prompts(1)) == [Answer(upper(prompts(1)[0].text))]
        chat = endpoint(url, concurrency=1)
        refused(RequestError, chat.answers, poison)
        answers = chat.answers([*poison[:2], *prompts(1)])
    assert [bool(answer.problem) for answer in answers] == [True, True, False]


def test_fields_of_a_request(tmp_path: Path) -> None:
    """Servers differ: some have another name for the limit, some an option against thinking."""
    behaviour = Behaviour(upper)
    with serving(behaviour) as url:
        endpoint(url).answers(prompts(1))
        changed = endpoint(url, request={"max_tokens": None, "max_completion_tokens": 99, "seed": 7})
        changed.answers(prompts(1))
    default, extended = behaviour.fields
    assert default == {"temperature": 0.7, "max_tokens": 256, "seed": 0}
    assert extended == {"temperature": 0.7, "max_completion_tokens": 99, "seed": 7}
    assert changed.settings() != endpoint(url).settings(), "a resumed run must send the same requests"


def test_a_truncated_answer_is_rejected() -> None:
    with serving(Behaviour(upper, finish="length")) as url:
        (answer,) = endpoint(url).answers(prompts(1))
    assert answer.problem == "answer truncated at the token limit"


def test_requests_run_at_the_same_time_but_not_more_than_allowed() -> None:
    behaviour = Behaviour(upper, slow_s=0.05)
    with serving(behaviour) as url:
        endpoint(url, concurrency=4).answers(prompts(24))
    assert 2 <= behaviour.together <= 4


def test_requests_keep_to_the_rate() -> None:
    behaviour = Behaviour(upper)
    with serving(behaviour) as url:
        endpoint(url, per_minute=1200.0).answers(prompts(11))
    assert behaviour.arrivals[-1] - behaviour.arrivals[0] >= 0.45, "ten pauses of a twentieth of a second"


def test_concurrency_changes_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "texts.txt", [f"the river number {i} was low" for i in range(40)])
    outs = []
    with serving(Behaviour(upper)) as url:
        for concurrency in (1, 8):
            method = Rewriting(
                endpoint(url, concurrency=concurrency), instructions=INSTRUCTIONS, chunk=7 * concurrency
            )
            outs.append(
                make_pairs(method, file, tmp_path / f"{concurrency}.jsonl", seed=3).output.read_text()
            )
    assert outs[0] == outs[1]


def set_key() -> None:
    os.environ["OPENAI_API_KEY"] = "secret"


def test_a_killed_run_resumes(tmp_path: Path) -> None:
    """kill -9 in the middle, with a live server: the same file, and only the open chunk is requested twice."""
    count = 600
    file = write(tmp_path / "texts.txt", [f"the river number {i} was low" for i in range(count)])
    toml = tmp_path / "instructions.toml"
    toml.write_text('say = "{text}"\n')
    out, stderr = tmp_path / "out.jsonl", tmp_path / "stderr.txt"
    behaviour = Behaviour(upper)
    with serving(behaviour) as url:
        arguments = ["pairs", "generate", file, "--model", "good-model", "--endpoint", url, "--instructions", toml,
                     "--output", out]  # fmt: skip
        moment = before("lastword.files.chunk_run.write_part", 2)
        run_killed(moment, command, arguments, stderr, prepare=[set_key])
        assert not out.exists()
        run(command, [*arguments, "--resume"], stderr, prepare=[set_key])
        whole = make_pairs(
            Rewriting(endpoint(url), instructions=INSTRUCTIONS), file, tmp_path / "whole.jsonl"
        )
    assert out.read_bytes() == whole.output.read_bytes()
    twice = [prompt for prompt, times in behaviour.seen.items() if times > 2]  # once is the run `whole`
    assert len(behaviour.seen) == count
    assert len(twice) == 256, "the open chunk was requested again"
