"""A language model behind an OpenAI-compatible endpoint as a coder (Ollama, vLLM and the like)."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from boundary_research._checks import DataError, check_output_folder
from boundary_research._files import write_json
from boundary_research._tables import check_table
from boundary_research.classifier._endpoint_prompt import (
    BadAnswer,
    build_instructions,
    build_schema,
    parse_answer,
)
from boundary_research.classifier.decisions import CodedIncidents, tabulate
from boundary_research.classifier.evidence import EVIDENCE_COLUMNS
from boundary_research.codebook.model import Codebook
from boundary_research.corpus.incidents import REJECT_COLUMNS

if TYPE_CHECKING:
    import httpx

_RETRIED = {408, 409, 425, 429, 500, 502, 503, 504}


@dataclass
class Usage:
    """What a coding has cost.

    Attributes
    ----------
    requests, retries, cached, refusals, failures : int
        Requests sent, those that were repeats, narratives answered from the cache, refused by the
        model, and given up.
    prompt_tokens, completion_tokens : int
    cost : float
        In the currency of the prices given; missing without prices.
    seconds : float
    """

    requests: int = 0
    retries: int = 0
    cached: int = 0
    refusals: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = float("nan")
    seconds: float = 0.0


@dataclass
class _Answer:
    """What came back for one narrative: decisions, or why there are none."""

    codes: dict[str, tuple[bool, list[tuple[int, int]]]] | None = None
    reason: str = ""
    refused: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    cached: bool = False


@dataclass
class EndpointCoder:
    """Codes narratives by asking a language model over an OpenAI-compatible HTTP interface.

    Off by default: the narratives are sent to the address given, so the coder refuses to work
    until `narratives_may_leave` says that they may leave this machine. A server on this machine
    counts, too: whether it passes texts on is not to be seen from here.

    Parameters
    ----------
    base_url : str
        Such as ``http://127.0.0.1:11434/v1``; ``/chat/completions`` is added.
    model : str
        The name that the server knows the model by.
    codebook : Codebook
        Its definitions are the instructions; the answer must hold exactly its categories.
    narratives_may_leave : bool
        Must be True.
    api_key_variable : str
        Environment variable that holds the key, if there is one; the key is never written.
    cache : str or pathlib.Path, optional
        Folder of answers, so that nothing is asked (and paid) twice. Files hold codes and the
        offsets of evidence, never text; their names are hashes.
    workers : int
        Requests at a time.
    retries : int
        Repeats after a failed request or an answer that does not fit, with growing pauses.
    timeout : float
        Seconds for one request.
    prices : tuple of float, optional
        Price of a million prompt and of a million completion tokens.
    random_state : int
        Sent as ``seed``; temperature is 0. Servers differ in whether they keep to it.
    transport : httpx.BaseTransport, optional
        For tests.
    pause : callable, optional
        Waits so many seconds; for tests.

    Examples
    --------
    >>> from boundary_research.codebook.model import load_codebook
    >>> EndpointCoder("http://127.0.0.1:11434/v1", "a-model", load_codebook())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    boundary_research._checks.DataError: narratives would be sent to http://127.0.0.1:11434/v1. ...
    """

    base_url: str
    model: str
    codebook: Codebook
    narratives_may_leave: bool = False
    api_key_variable: str = "OPENAI_API_KEY"
    cache: str | Path | None = None
    workers: int = 4
    retries: int = 3
    timeout: float = 120.0
    prices: tuple[float, float] | None = None
    random_state: int = 0
    transport: Any = None
    pause: Callable[[float], None] | None = None

    def __post_init__(self) -> None:
        if self.narratives_may_leave is not True:
            raise DataError(
                f"narratives would be sent to {self.base_url}. If consent, contracts and the law "
                f"allow it, say that they may leave this machine: narratives_may_leave=True."
            )
        if not self.base_url.startswith(("http://", "https://")):
            raise DataError(f"base_url must start with http:// or https://, got {self.base_url!r}.")
        try:
            import httpx  # noqa: F401
        except ImportError:
            raise DataError(
                "the endpoint coder needs httpx. Install boundary-research[endpoint]."
            ) from None
        self._instructions = build_instructions(self.codebook)
        self._schema = build_schema(self.codebook)
        self._folder = None if self.cache is None else check_output_folder(self.cache)

    def code(
        self, incidents: pd.DataFrame, *, progress: bool = False
    ) -> tuple[CodedIncidents, Usage]:
        """Code incidents; what the model refused or answered wrongly is set aside, never guessed.

        Parameters
        ----------
        incidents : DataFrame
            With `incident_id` and `narrative`.
        progress : bool
            Show a progress bar.

        Returns
        -------
        coding : CodedIncidents
            `coded` has `probability` 1 or 0 (a language model's own confidence is no probability);
            `evidence` holds passages that the model quoted and that stand in the narrative so;
            `rejects` the narratives without codes, each with its reason. A correction needs
            predictions for every incident: recode the rejects or leave them out and say so.
        usage : Usage

        Raises
        ------
        DataError
            If columns are missing, or the server cannot be reached or refuses the key or model.
        """
        import httpx

        table = check_table(incidents, "incidents")
        headers = {"Content-Type": "application/json"}
        if os.environ.get(self.api_key_variable):
            headers["Authorization"] = f"Bearer {os.environ[self.api_key_variable]}"
        started = time.perf_counter()
        with (
            httpx.Client(
                base_url=self.base_url.rstrip("/"),
                headers=headers,
                timeout=self.timeout,
                transport=self.transport,
            ) as client,
            ThreadPoolExecutor(max(1, self.workers)) as pool,
        ):
            work = [pool.submit(self._answer, client, text) for text in table["narrative"].tolist()]
            try:
                answers = [job.result() for job in tqdm(work, disable=not progress)]
            except DataError:
                pool.shutdown(cancel_futures=True)
                raise
        return self._assemble(table, answers, time.perf_counter() - started)

    def _answer(self, client: httpx.Client, text: str) -> _Answer:
        file = None if self._folder is None else self._folder / f"{self._key(text)}.json"
        if file is not None and file.is_file():
            try:
                stored = json.loads(file.read_text("utf-8"))
                codes = {
                    name: (bool(value[0]), [tuple(span) for span in value[1]])
                    for name, value in stored["codes"].items()
                }
                return _Answer(codes, cached=True)
            except (ValueError, KeyError, TypeError, IndexError):
                file.unlink(missing_ok=True)
        answer = self._ask(client, text)
        if file is not None and answer.codes is not None:
            write_json(file, {"codes": answer.codes})
        return answer

    def _key(self, text: str) -> str:
        parts = [self.model, self._instructions, json.dumps(self._schema), str(self.random_state)]
        return hashlib.sha256("\0".join([*parts, text]).encode("utf-8", "replace")).hexdigest()

    def _ask(self, client: httpx.Client, text: str) -> _Answer:
        import httpx

        answer = _Answer()
        for attempt in range(self.retries + 1):
            if attempt:
                (self.pause or time.sleep)(min(2.0**attempt, 30.0))
            answer.requests += 1
            try:
                response = client.post("/chat/completions", json=self._request(text))
            except httpx.TimeoutException:
                answer.reason = f"no answer within {self.timeout:g} s"
                continue
            except httpx.HTTPError as error:
                raise DataError(
                    f"endpoint {self.base_url} cannot be reached ({type(error).__name__}). Start "
                    f"the server or correct the address."
                ) from None
            if response.status_code in _RETRIED:
                answer.reason = f"server answered {response.status_code}"
                continue
            if response.status_code != 200:
                raise DataError(
                    f"endpoint {self.base_url} answered {response.status_code} to model "
                    f"{self.model!r}. Check the address, the model's name and the key in "
                    f"{self.api_key_variable}."
                )
            try:
                content, refused, tokens = _read(response)
                answer.prompt_tokens += tokens[0]
                answer.completion_tokens += tokens[1]
                if refused:
                    answer.refused, answer.reason = True, "the model refused to answer"
                    return answer
                decided = parse_answer(content, self.codebook)
                answer.codes = {
                    n: (yes, _spans(text, quote)) for n, (yes, quote) in decided.items()
                }
                return answer
            except BadAnswer as error:
                answer.reason = f"answer does not fit the codebook: {error}"
        return answer

    def _request(self, text: str) -> dict[str, Any]:
        return {
            "model": self.model,
            "temperature": 0,
            "seed": self.random_state,
            "messages": [
                {"role": "system", "content": self._instructions},
                {"role": "user", "content": text},
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "codes", "strict": True, "schema": self._schema},
            },
        }

    def _assemble(
        self, table: pd.DataFrame, answers: list[_Answer], seconds: float
    ) -> tuple[CodedIncidents, Usage]:
        names = self.codebook.category_ids
        ids = table["incident_id"].tolist()
        good = [i for i, answer in enumerate(answers) if answer.codes is not None]
        predicted = np.zeros((len(good), len(names)), dtype=bool)
        found: list[tuple[str, str, int, int, float]] = []
        for row, i in enumerate(good):
            codes = answers[i].codes or {}
            for j, name in enumerate(names):
                predicted[row, j], spans = codes[name]
                found += [(ids[i], name, *span, 1.0) for span in spans if predicted[row, j]]
        decisions = np.where(predicted, "present", "absent").astype(object)
        coded = tabulate(
            [ids[i] for i in good], names, predicted.astype(float), predicted, decisions
        )
        bad = [i for i, answer in enumerate(answers) if answer.codes is None]
        rejects = pd.DataFrame(
            [(i + 1, ids[i], answers[i].reason) for i in bad],
            columns=["row", "incident_id", "reason"],
        ).reindex(columns=REJECT_COLUMNS)
        usage = Usage(
            requests=sum(a.requests for a in answers),
            retries=sum(max(a.requests - 1, 0) for a in answers),
            cached=sum(a.cached for a in answers),
            refusals=sum(a.refused for a in answers),
            failures=sum(a.codes is None and not a.refused for a in answers),
            prompt_tokens=sum(a.prompt_tokens for a in answers),
            completion_tokens=sum(a.completion_tokens for a in answers),
            seconds=seconds,
        )
        if self.prices is not None:
            usage.cost = (
                usage.prompt_tokens * self.prices[0] + usage.completion_tokens * self.prices[1]
            ) / 1e6
        evidence = pd.DataFrame(found, columns=EVIDENCE_COLUMNS)
        return CodedIncidents(coded, evidence, rejects, names), usage


def _read(response: httpx.Response) -> tuple[str, bool, tuple[int, int]]:
    """Return an answer's text, whether it is a refusal, and its tokens."""
    try:
        body = response.json()
        choice = body["choices"][0]
        message = choice["message"]
        usage: Mapping[str, Any] = body.get("usage") or {}
        tokens = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
        refused = bool(message.get("refusal")) or choice.get("finish_reason") == "content_filter"
        return str(message.get("content") or ""), refused, tokens
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise BadAnswer("no chat completion in it") from None


def _spans(text: str, quote: str) -> list[tuple[int, int]]:
    """Return where a quoted passage stands in the narrative; none if it was not quoted exactly."""
    start = text.find(quote) if quote else -1
    return [] if start < 0 else [(start, start + len(quote))]
