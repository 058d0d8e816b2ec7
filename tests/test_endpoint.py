"""The endpoint coder against a stub server on this machine: codes, repeats, refusals, cache."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from boundary_research import DataError, load_codebook
from boundary_research.classifier._endpoint_prompt import build_instructions, build_schema
from boundary_research.classifier.endpoint import EndpointCoder

BOOK = load_codebook()
FIRST = BOOK.category_ids[0]
INCIDENTS = pd.DataFrame(
    {
        "incident_id": ["a", "b", "c"],
        "narrative": ["They met at the lake.", "He lent money.", "Nothing happened."],
    }
)


def answer_for(text):
    codes = {name: {"present": False, "evidence": ""} for name in BOOK.category_ids}
    if "lake" in text:
        codes[FIRST] = {"present": True, "evidence": "at the lake"}
    if "money" in text:
        codes[FIRST] = {"present": True, "evidence": "words that are not there"}
    return codes


class Stub:
    """An OpenAI-compatible server; `script` may replace the answer to a narrative, in order."""

    def __init__(self):
        self.seen, self.keys, self.script = [], [], {}
        self.lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = body["messages"][-1]["content"]
                with stub.lock:
                    stub.seen.append(body)
                    stub.keys.append(self.headers.get("Authorization"))
                    planned = stub.script.get(text, [])
                    step = planned.pop(0) if planned else None
                status, message, finish = 200, {"content": json.dumps(answer_for(text))}, "stop"
                if isinstance(step, int):
                    status = step
                elif step is not None:
                    message, finish = step
                reply = {
                    "choices": [{"message": message, "finish_reason": finish}],
                    "usage": {"prompt_tokens": 100, "completion_tokens": 10},
                }
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def stub():
    server = Stub()
    yield server
    server.close()


def coder(stub, **options):
    return EndpointCoder(
        stub.url, "m", BOOK, narratives_may_leave=True, pause=lambda _: None, **options
    )


def test_nothing_is_sent_without_the_flag(stub):
    for flag in (False, "yes", 1):
        with pytest.raises(DataError, match="may leave"):
            EndpointCoder(stub.url, "m", BOOK, narratives_may_leave=flag)
    assert stub.seen == []


def test_codes_evidence_and_cost(stub, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    coding, usage = coder(stub, prices=(2.0, 10.0)).code(INCIDENTS)
    assert len(coding.coded) == 3 * len(BOOK)
    present = coding.coded[coding.coded["predicted"]]
    assert present["incident_id"].tolist() == ["a", "b"]
    # Only a passage that stands in the narrative so is evidence.
    assert coding.evidence[["incident_id", "start", "end"]].to_numpy().tolist() == [["a", 9, 20]]
    assert (usage.requests, usage.retries, usage.refusals, usage.failures) == (3, 0, 0, 0)
    assert usage.cost == pytest.approx(3 * (100 * 2 + 10 * 10) / 1e6)
    assert stub.keys == ["Bearer secret"] * 3
    request = stub.seen[0]
    assert request["response_format"]["json_schema"]["schema"] == build_schema(BOOK)
    assert request["temperature"] == 0
    assert request["messages"][0]["content"] == build_instructions(BOOK)


def test_answers_that_do_not_fit_are_asked_again_then_set_aside(stub):
    lake, money, nothing = INCIDENTS["narrative"]
    short = json.dumps({FIRST: {"present": True, "evidence": ""}})
    stub.script = {
        lake: [503, ({"content": "no JSON"}, "stop")],
        money: [({"content": short}, "stop")] * 9,
        nothing: [({"content": None, "refusal": "I can't"}, "stop")],
    }
    coding, usage = coder(stub, retries=2).code(INCIDENTS)
    assert coding.coded["incident_id"].unique().tolist() == ["a"]
    reasons = dict(zip(coding.rejects["incident_id"], coding.rejects["reason"], strict=True))
    assert reasons["c"] == "the model refused to answer"
    assert "is missing" in reasons["b"]
    assert (usage.requests, usage.retries, usage.refusals, usage.failures) == (7, 4, 1, 1)
    for reason in reasons.values():
        assert not any(text[:8] in reason for text in INCIDENTS["narrative"])


def test_the_cache_answers_without_a_request_and_holds_no_text(stub, tmp_path):
    first, _ = coder(stub, cache=tmp_path / "cache").code(INCIDENTS)
    n = len(stub.seen)
    second, usage = coder(stub, cache=tmp_path / "cache").code(INCIDENTS)
    assert len(stub.seen) == n
    assert usage.cached == 3
    pd.testing.assert_frame_equal(first.coded, second.coded)
    pd.testing.assert_frame_equal(first.evidence, second.evidence)
    files = list((tmp_path / "cache").iterdir())
    held = "".join(file.read_text() + file.name for file in files)
    assert len(files) == 3
    assert "lake" not in held
    assert "money" not in held
    files[0].write_text("{}")
    _, usage = coder(stub, cache=tmp_path / "cache").code(INCIDENTS)
    assert (usage.cached, usage.requests) == (2, 1)
    _, usage = EndpointCoder(
        stub.url, "other", BOOK, narratives_may_leave=True, cache=tmp_path / "cache"
    ).code(INCIDENTS)
    assert usage.cached == 0


def test_a_refused_key_stops_with_one_line_and_no_text(stub):
    stub.script = {text: [401] for text in INCIDENTS["narrative"]}
    with pytest.raises(DataError, match="answered 401") as error:
        coder(stub).code(INCIDENTS)
    assert "lake" not in str(error.value)


def test_no_server_and_wrong_address(stub):
    with pytest.raises(DataError, match="must start with http"):
        EndpointCoder("ftp://x", "m", BOOK, narratives_may_leave=True)
    gone = EndpointCoder("http://127.0.0.1:9/v1", "m", BOOK, narratives_may_leave=True)
    with pytest.raises(DataError, match="cannot be reached"):
        gone.code(INCIDENTS)


def test_what_a_user_corrects_is_what_came_back(stub):
    from boundary_research.classifier.predictions import read_predictions

    coding, _ = coder(stub).code(INCIDENTS)
    table = read_predictions(coding.coded, codebook=BOOK, incidents=INCIDENTS)
    pd.testing.assert_frame_equal(table, coding.coded, check_dtype=False)
