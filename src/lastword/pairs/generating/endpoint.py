"""A chat model behind an OpenAI-compatible endpoint: vLLM, Ollama, llama.cpp, a hosted service."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from lastword.console import progress, warn
from lastword.errors import RequestError, WorkError
from lastword.extras import needed
from lastword.pairs.generating.engine import TRUNCATED, Answer, Prompt

PURPOSE = "an endpoint"
MAX_REFUSALS = 10  # refused texts before the first answer; then the request is wrong, not the texts


@dataclass
class Endpoint:
    """A chat model behind HTTP, through the official client.

    Attributes:
        model: its name on the server.
        url: such as http://localhost:8000/v1; None is the client's default (OPENAI_BASE_URL, or OpenAI's).
        key: None is the client's default (OPENAI_API_KEY).
        concurrency: requests at the same time.
        per_minute: most requests a minute; None is without limit.
        temperature: of the answers.
        max_tokens: longest answer; a truncated one is rejected.
        request: further fields of each request, such as {"reasoning_effort": "none"}; None leaves a field out.
        attempts: how often a request is sent before the run stops.
        timeout_s: longest time of one request.
        longest_wait_s: longest pause between two attempts.
    """

    model: str
    url: str | None = None
    key: str | None = None
    concurrency: int = 8
    per_minute: float | None = None
    temperature: float = 0.7
    max_tokens: int = 256
    request: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 6
    timeout_s: float = 120.0
    longest_wait_s: float = 60.0
    _client: Any = field(init=False, repr=False)
    _answered: bool = field(init=False, default=False, repr=False)
    _refusals: int = field(init=False, default=0, repr=False)
    _next: float = field(init=False, default=0.0, repr=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock, repr=False)
    _stop: threading.Event = field(init=False, default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        """Make the client, without its own retries: those here respect Retry-After and the rate limit."""
        openai: Any = needed("openai", "pairs", PURPOSE)
        if self.concurrency < 1 or self.attempts < 1:
            raise RequestError(
                f"concurrency={self.concurrency}, attempts={self.attempts}: both must be at least 1"
            )
        try:
            self._client = openai.OpenAI(
                base_url=self.url, api_key=self.key, max_retries=0, timeout=self.timeout_s
            )
        except openai.OpenAIError as error:
            raise RequestError(
                f"no key for {self.url or 'the endpoint'}: set OPENAI_API_KEY (a local server accepts any value)"
            ) from error

    def settings(self) -> dict[str, Any]:
        """See `Engine`."""
        settings = {"model": self.model, "temperature": self.temperature, "max_tokens": self.max_tokens}
        return settings | ({"request": dict(self.request)} if self.request else {})

    def answers(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """See `Engine`.

        Raises:
            RequestError: a wrong key, an unknown model, or a request that the server refuses for every text.
            WorkError: the endpoint failed `attempts` times in a row.
        """
        if self._stop.is_set():  # an earlier call failed
            self._stop.clear()
            self._refusals = 0
        with ThreadPoolExecutor(self.concurrency) as threads, progress("answers", len(prompts)) as advance:
            futures = [threads.submit(self._retried, prompt) for prompt in prompts]
            try:
                for future in as_completed(futures):
                    future.result()  # a lasting error stops the run immediately
                    advance(1)
                return [future.result() for future in futures]
            except BaseException:
                self._stop.set()  # ends the pauses of the other threads
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _retried(self, prompt: Prompt) -> Answer:
        """One answer; temporary errors are followed by a pause and another attempt."""
        tenacity: Any = needed("tenacity", "pairs", PURPOSE)
        openai: Any = needed("openai", "pairs", PURPOSE)
        temporary = (
            openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError,
            openai.APIResponseValidationError, openai.ConflictError, _MalformedAnswerError, ValueError,
        )  # fmt: skip
        growing = tenacity.wait_random_exponential(multiplier=0.5, max=self.longest_wait_s)

        def pause(state: Any) -> float:
            wait_s = _retry_after(state.outcome.exception())
            return float(growing(state)) if wait_s is None else min(wait_s, self.longest_wait_s)

        attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=pause,
            retry=tenacity.retry_if_exception_type(temporary),
            sleep=tenacity.sleep_using_event(self._stop),
            reraise=True,
        )
        try:
            answer: Answer = attempts(self._once, prompt)
        except temporary as error:
            raise WorkError(
                f"{self._client.base_url} failed {self.attempts} times: {_message(error)}; "
                "continue later with resume=True"
            ) from error
        except openai.APIStatusError as error:
            return self._refused(error)
        return answer

    def _once(self, prompt: Prompt) -> Answer:
        if self._stop.is_set():
            raise _MalformedAnswerError("the run has stopped")
        self._wait_for_turn()
        fields = {"temperature": self.temperature, "max_tokens": self.max_tokens, "seed": prompt.seed}
        fields |= self.request
        completion = self._client.chat.completions.create(
            model=self.model,
            messages=[{"role": "user", "content": prompt.text}],
            extra_body={name: value for name, value in fields.items() if value is not None},
        )
        choices = getattr(completion, "choices", None)
        if not choices or getattr(choices[0], "message", None) is None:
            raise _MalformedAnswerError("the answer is not a chat completion")
        self._answered = True
        text = choices[0].message.content
        if choices[0].finish_reason == "length":
            return Answer("", TRUNCATED)
        return Answer(text or "", "" if text else "empty answer")

    def _refused(self, error: Any) -> Answer:
        """A request that fails every time: stop the run, or reject this text."""
        message = _message(error)
        if error.status_code in (401, 403):
            raise RequestError(
                f"{self._client.base_url} refuses the key ({error.status_code}): {message}"
            ) from error
        if error.status_code == 404:
            raise RequestError(
                f"{self._client.base_url} has no model {self.model!r}; it has: {self._models()}"
            ) from error
        with self._lock:
            self._refusals += 1
        if self._refusals >= MAX_REFUSALS and not self._answered:
            raise RequestError(
                f"{self._client.base_url} refused the first {MAX_REFUSALS} texts ({error.status_code}): {message}; "
                "change the fields of a request with request={…}"
            ) from error
        warn(f"a text was refused ({error.status_code}): {message}")
        return Answer("", f"refused by the endpoint ({error.status_code})")

    def _models(self) -> str:
        try:
            return ", ".join(model.id for model in self._client.models.list().data[:12]) or "none"
        except Exception:  # only a hint in an error message
            return "(the server does not list them)"

    def _wait_for_turn(self) -> None:
        """Spread the requests of all threads evenly over the minute."""
        if self.per_minute is None:
            return
        with self._lock:
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + 60.0 / self.per_minute
        self._stop.wait(turn - now)


class _MalformedAnswerError(Exception):
    """An answer that is not a chat completion."""


def _retry_after(error: Any) -> float | None:
    """Seconds to wait that the server asks for."""
    response = getattr(error, "response", None)
    seconds = response.headers.get("retry-after") if response is not None else None
    try:
        return max(0.0, float(seconds)) if seconds else None
    except ValueError:  # a date; the growing pause is used instead
        return None


def _message(error: BaseException) -> str:
    body = getattr(error, "body", None)  # the server's message, without the client's text around it
    message = body.get("message") if isinstance(body, dict) else None
    text = str(message or getattr(error, "message", "") or error or type(error).__name__)
    return text.splitlines()[0][:200]
