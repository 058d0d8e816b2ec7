import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pandas as pd
import pytest

from boundary_research._checks import DataError
from boundary_research.codebook.model import load_codebook
from boundary_research.coding._front_end import STATIC, join_modules
from boundary_research.coding.page import coding_widget, create_app, serve_page
from boundary_research.coding.store import CodingStore, create_study_store

pytest.importorskip("starlette")

TEXT = "They met for coffee 😀 at weekends.\r\nShe told nobody."
IDS = ["n0", "n/1 ?", "n2"]
TIE = {"dual_social": {"severity": 1, "spans": [[0, 8], [5, 20]]}}
SAVE = "0123456789abcdef"


def key_of(link):
    return link.partition("#key=")[2]


@pytest.fixture
def study(tmp_path):
    incidents = pd.DataFrame({"incident_id": IDS, "narrative": [f"{TEXT} {i}" for i in IDS]})
    sample = pd.DataFrame({"incident_id": IDS, "inclusion_probability": [0.1, 0.2, 0.3]})
    path = tmp_path / "study.db"
    links = create_study_store(
        path, incidents, sample, load_codebook(), ["ana", "ben", "cy"], adjudicators=["pi"],
        coders_per_narrative=2, random_state=2,
    )  # fmt: skip
    return path, links


@pytest.fixture
def store(study):
    with CodingStore(study[0]) as opened:
        yield opened


class Client:
    """Asks the application without a network."""

    def __init__(self, app, links, base_url="http://127.0.0.1:8765"):
        self.app, self.links, self.base_url = app, links, base_url

    def request(self, method, path, **arguments):
        async def ask():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=self.base_url) as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(ask())

    def get(self, path, **arguments):
        return self.request("GET", path, **arguments)


@pytest.fixture
def client(study, store):
    return Client(create_app(store), study[1])


def ask(client, person, method, path, body=None):
    headers = {"Authorization": f"Bearer {key_of(client.links[person])}"}
    return client.request(method, f"/api/{path}", headers=headers, json=body)


def save(client, person, position, content, *, state="open", expected=None, save_id=SAVE):
    body = {"content": content, "state": state, "expected": expected, "save_id": save_id}
    return ask(client, person, "PUT", f"narratives/{position}", body)


def submit_everywhere(store, incident, contents):
    coders = store.verdicts().query("incident_id == @incident")["coder_id"].tolist()
    for coder, content in zip(coders, contents, strict=True):
        store.save(coder, incident, content, state="submitted")
    return coders


class TestAccess:
    @pytest.mark.parametrize(
        "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic abc", "Bearer \xe9"]
    )
    def test_without_a_valid_token_nothing_is_told(self, client, header):
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        for method, path in (
            ("GET", "session"),
            ("GET", "narratives/1"),
            ("PUT", "narratives/1"),
            ("GET", "queue"),
        ):
            answer = client.request(method, f"/api/{path}", headers=headers)
            assert answer.status_code == 401
            assert answer.json() == {"error": "This link is not valid. Ask for a new one."}

    def test_a_token_in_the_address_is_no_token(self, client):
        key = key_of(client.links["ana"])
        assert client.get(f"/api/session?key={key}").status_code == 401
        assert client.get("/api/session", headers={"Cookie": f"key={key}"}).status_code == 401

    def test_a_coder_sees_her_own_assignment_alone(self, client, store):
        for coder in ("ana", "ben", "cy"):
            session = ask(client, coder, "GET", "session").json()
            own = store.verdicts(coder_id=coder)["incident_id"].tolist()
            assert [item["incident_id"] for item in session["items"]] == own
            for position, incident in enumerate(own, start=1):
                assert (
                    ask(client, coder, "GET", f"narratives/{position}").json()["incident_id"]
                    == incident
                )
            beyond = ask(client, coder, "GET", f"narratives/{len(own) + 1}")
            assert beyond.status_code == 400
            assert TEXT[:10] not in beyond.text

    def test_coders_do_not_see_each_other(self, client, store):
        coders = submit_everywhere(
            store, "n0", [{"categories": TIE, "note": "hers alone"}, {"verdict": "none"}]
        )
        seen = []
        for path in ("session", "narratives/1", "narratives/2"):
            seen.append(ask(client, coders[1], "GET", path).text)
        assert "hers alone" not in "".join(seen)
        assert f'"{coders[0]}"' not in "".join(seen)

    @pytest.mark.parametrize(
        ("person", "method", "path"),
        [
            ("ana", "GET", "queue"),
            ("ana", "GET", "disagreements?incident_id=n0"),
            ("ana", "POST", "decisions"),
            ("pi", "GET", "narratives/1"),
            ("pi", "PUT", "narratives/1"),
            ("ana", "GET", ""),
            ("ana", "GET", "narratives"),
            ("ana", "GET", "narratives/-1"),
            ("ana", "GET", "narratives/1/undo"),
            ("ana", "POST", "narratives/1"),
        ],
    )
    def test_other_peoples_paths(self, client, person, method, path):
        body = {"save_id": SAVE, "content": {}} if method != "GET" else None
        answer = ask(client, person, method, path, body)
        assert answer.status_code == 404
        assert answer.json() == {"error": "There is no such page."}

    def test_an_adjudicator_sees_only_what_everybody_has_submitted(self, client, store):
        coders = store.verdicts().query("incident_id == 'n0'")["coder_id"].tolist()
        store.save(coders[0], "n0", {"categories": TIE}, state="submitted")
        assert ask(client, "pi", "GET", "session").json()["queue"] == []
        early = ask(client, "pi", "GET", "disagreements?incident_id=n0")
        assert (early.status_code, early.json()) == (
            400,
            {"error": "This narrative is not in the queue."},
        )

    def test_host_names(self, study, store):
        app = create_app(store, allowed_hosts=["127.0.0.1"])
        for base, status in (("http://127.0.0.1:8765", 200), ("http://evil.example", 400)):
            assert Client(app, {}, base).get("/").status_code == status


class TestHeaders:
    @pytest.mark.parametrize(
        "path", ["/", "/static/coding-page.js", "/api/session", "/nowhere", "/static/../page.py"]
    )
    def test_every_answer_is_strict(self, client, path):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"

    def test_files_outside_static_stay_there(self, client):
        for path in (
            "/static/../page.py",
            "/static/%2e%2e/page.py",
            "/static//etc/passwd",
            "/static/",
        ):
            assert client.get(path).status_code in (404, 405)

    def test_the_page_asks_nobody_else(self):
        for file in STATIC.iterdir():
            content = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?://|//cdn|@import|innerHTML|eval\(", content), file.name
        index = (STATIC / "index.html").read_text("utf-8")
        assert " style=" not in index
        assert "onclick" not in index

    def test_modules_join_into_one(self):
        names = {}
        for file in STATIC.glob("*.js"):
            for name in re.findall(
                r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)",
                file.read_text("utf-8"),
                re.M,
            ):
                assert names.setdefault(name, file.name) == file.name, name
        joined = join_modules()
        assert "import " not in re.sub(r"//.*", "", joined)
        assert re.findall(r"^export .*", joined, re.M) == [
            "export async function mount(root, request, { titled = false } = {}) {",
            "export default { render };",
        ]
        files = {file.name for file in STATIC.glob("*.js")} - {"served-page.js"}
        heads = {(STATIC / name).read_text("utf-8").splitlines()[0] for name in files}
        assert all(joined.count(head) == 1 for head in heads)


class TestCoding:
    def test_session(self, client):
        session = ask(client, "ana", "GET", "session").json()
        assert session["coder_id"] == "ana"
        assert session["phase"] == "blind"
        assert session["resume"] == 1
        assert len(session["codebook"]["categories"]) == 14
        assert session["codebook"]["categories"][2]["levels"] == [1, 2]
        assert "queue" not in session

    def test_saving_is_on_disk_when_answered(self, client, study):
        answer = save(client, "ana", 1, {"categories": TIE, "note": "é😀"})
        assert answer.status_code == 200
        with CodingStore(study[0]) as other:
            row = other.history().iloc[0]
        assert (row["revision_id"], row["note"]) == (answer.json()["revision"], "é😀")
        shown = ask(client, "ana", "GET", "narratives/1").json()
        assert shown["content"] == {"categories": TIE, "note": "é😀", "verdict": ""}
        assert shown["state"] == "open"
        assert shown["can_undo"] is True
        assert "suggestions" not in shown

    def test_repeated_conflicting_and_undone_saves(self, client):
        first = save(client, "ana", 1, {"note": "a"}).json()
        assert save(client, "ana", 1, {"note": "a"}).json() == first
        assert save(client, "ana", 1, {"note": "b"}, save_id="other-save").status_code == 409
        undone = ask(
            client,
            "ana",
            "POST",
            "narratives/1/undo",
            {"expected": first["revision"], "save_id": "undo-save"},
        )
        assert undone.json()["content"]["note"] == ""
        assert undone.json()["can_undo"] is False

    def test_incomplete(self, client):
        answer = save(client, "ana", 1, {"categories": {"dual_social": {}}}, state="submitted")
        assert answer.status_code == 422
        assert answer.json()["missing"] == [
            {"category": "dual_social", "needs": "evidence"},
            {"category": "dual_social", "needs": "severity"},
        ]

    @pytest.mark.parametrize(
        "body",
        [
            {"content": {}, "save_id": "short"},
            {"content": {}, "save_id": 5},
            {"content": {}, "save_id": SAVE, "expected": "1"},
            {"content": {}, "save_id": SAVE, "expected": True},
            {"content": {}, "save_id": SAVE, "state": "done"},
            {"content": {"categories": {"zzz": {}}}, "save_id": SAVE},
            {"content": None, "save_id": SAVE},
            [1, 2],
            "text",
        ],
    )
    def test_bad_bodies(self, client, store, body):
        assert ask(client, "ana", "PUT", "narratives/1", body).status_code == 400
        assert store.history().empty

    def test_bodies_that_are_no_json_or_too_large(self, client):
        headers = {"Authorization": f"Bearer {key_of(client.links['ana'])}"}
        for content in (b"{", b"\xff\xfe", b"[" * 200_000, b" " * 1_100_000):
            assert (
                client.request(
                    "PUT", "/api/narratives/1", headers=headers, content=content
                ).status_code
                == 400
            )

    def test_resume(self, client):
        assert save(client, "ana", 1, {}, state="skipped").status_code == 200
        assert ask(client, "ana", "GET", "session").json()["resume"] == 2
        assert save(client, "ana", 2, {"note": "x"}).status_code == 200
        assert ask(client, "ana", "GET", "session").json()["resume"] == 2
        latest = ask(client, "ana", "GET", "narratives/2").json()["revision"]
        save(
            client,
            "ana",
            2,
            {"verdict": "none"},
            state="submitted",
            expected=latest,
            save_id="second-save",
        )
        assert ask(client, "ana", "GET", "session").json()["resume"] == 1  # what was skipped
        latest = ask(client, "ana", "GET", "narratives/1").json()["revision"]
        save(
            client,
            "ana",
            1,
            {"verdict": "none"},
            state="submitted",
            expected=latest,
            save_id="third-save",
        )
        assert ask(client, "ana", "GET", "session").json()["resume"] is None

    def test_assisted_phase(self, client, store):
        incident = ask(client, "ana", "GET", "narratives/1").json()["incident_id"]
        table = pd.DataFrame(
            {"incident_id": [incident], "category": ["gifts_favours"], "probability": [0.8]}
        )
        store.set_phase("assisted", table)
        shown = ask(client, "ana", "GET", "narratives/1").json()
        assert shown["suggestions"] == [{"category": "gifts_favours", "probability": 0.8}]
        assert (
            save(client, "ana", 1, {"verdict": "none"}, state="submitted").json()["phase"]
            == "assisted"
        )

    def test_a_locked_store_is_503(self, client, store, monkeypatch):
        store._connection.execute("PRAGMA busy_timeout = 20")
        with CodingStore(store.path) as other:
            other._connection.execute("BEGIN IMMEDIATE")
            answer = save(client, "ana", 1, {"note": "x"})
            other._connection.execute("ROLLBACK")
        assert answer.status_code == 503
        assert save(client, "ana", 1, {"note": "x"}).status_code == 200


class TestAdjudicating:
    def test_side_by_side_and_decided(self, client, store):
        incident = "n/1 ?"
        coders = submit_everywhere(
            store, incident, [{"categories": TIE, "note": "hm"}, {"verdict": "none"}]
        )
        queue = ask(client, "pi", "GET", "session").json()["queue"]
        assert queue == [{"incident_id": incident, "n_questions": 1, "n_open": 1}]
        item = ask(client, "pi", "GET", "disagreements?incident_id=n%2F1%20%3F").json()
        assert item["narrative"].startswith(TEXT)
        assert [c["label"] for c in item["coders"]] == ["Coder A", "Coder B"]
        assert not any(coder in json.dumps(item) for coder in coders)  # who is who stays unknown
        assert sorted(len(c["content"]["categories"]) for c in item["coders"]) == [0, 1]
        assert item["questions"] == [
            {"category": "dual_social", "kind": "presence", "decision": None}
        ]
        body = {"incident_id": incident, "category": "dual_social", "present": True, "severity": 2,
                "reason": "A tie.", "save_id": SAVE}  # fmt: skip
        for _ in range(2):  # an answer that got lost is asked for again
            answer = ask(client, "pi", "POST", "decisions", body)
        assert answer.json()["questions"][0]["decision"] == {
            "present": True,
            "severity": 2,
            "reason": "A tie.",
        }
        assert ask(client, "pi", "GET", "queue").json()["queue"][0]["n_open"] == 0
        assert len(store.decisions()) == 1
        gold = store.gold().set_index("category").loc["dual_social"]
        assert (gold["source"], gold["severity"], gold["inclusion_probability"]) == (
            "adjudicated",
            2,
            0.2,
        )

    @pytest.mark.parametrize(
        "change",
        [
            {"present": None},
            {"reason": " "},
            {"category": "zz"},
            {"incident_id": "n2"},
            {"save_id": 1},
            {"severity": 9},
        ],
    )
    def test_refused(self, client, store, change):
        submit_everywhere(store, "n0", [{"categories": TIE}, {"verdict": "none"}])
        body = {"incident_id": "n0", "category": "dual_social", "present": True, "severity": 2,
                "reason": "A tie.", "save_id": SAVE, **change}  # fmt: skip
        assert ask(client, "pi", "POST", "decisions", body).status_code == 400
        assert store.decisions().empty


class TestServing:
    def test_port_in_use(self, study):
        with (
            socket.create_server(("127.0.0.1", 0)) as taken,
            pytest.raises(DataError, match="cannot listen"),
        ):
            serve_page(study[0], port=taken.getsockname()[1], announce=lambda line: None)

    def test_port_out_of_range(self, study):
        with pytest.raises(DataError, match="from 0"):
            serve_page(study[0], port=99999, announce=lambda line: None)

    def test_certificate_needs_a_key(self, study):
        with pytest.raises(DataError, match="both a certificate and a key"):
            serve_page(study[0], certificate="x.pem")

    def test_a_certificate_that_is_none(self, study, tmp_path):
        for name in ("c.pem", "k.pem"):
            (tmp_path / name).write_text("nothing")
        with pytest.raises(DataError, match="must be PEM files"):
            serve_page(
                study[0], port=0, certificate=tmp_path / "c.pem", key=tmp_path / "k.pem", announce=lambda line: None,
            )  # fmt: skip

    def test_it_listens_on_loopback_logs_no_token_and_stops(self, study):
        path, links = study
        code = (
            "import functools, sys\nfrom boundary_research.coding.page import serve_page\n"
            "serve_page(sys.argv[1], port=0, announce=functools.partial(print, flush=True))"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        server = subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
        )  # fmt: skip
        try:
            said = server.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/", said).group()
            deadline = time.monotonic() + 20
            while True:
                try:
                    headers = {"Authorization": f"Bearer {key_of(links['ana'])}"}
                    answer = httpx.get(address + "api/session", headers=headers, trust_env=False)
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            assert answer.json()["coder_id"] == "ana"
            assert "server" not in answer.headers
            assert (
                httpx.get(address, headers={"Host": "evil.example"}, trust_env=False).status_code
                == 400
            )
        finally:
            server.send_signal(signal.SIGINT)
            rest = server.communicate(timeout=20)[0]
        assert server.returncode == 0
        assert "Traceback" not in rest
        assert not any(key_of(link) in said + rest for link in links.values())


class TestWidget:
    @pytest.fixture
    def messages(self, monkeypatch):
        anywidget = pytest.importorskip("anywidget")
        sent = []
        monkeypatch.setattr(
            anywidget.AnyWidget, "send", lambda self, content, buffers=None: sent.append(content)
        )
        return sent

    def test_the_same_service_answers_messages(self, study, messages):
        widget = coding_widget(study[0], "ana")
        widget._handle_custom_msg({"id": "m1", "method": "GET", "path": "session", "body": {}}, [])
        assert (messages[-1]["id"], messages[-1]["status"]) == ("m1", 200)
        assert messages[-1]["content"]["coder_id"] == "ana"
        body = {"content": {"note": "x"}, "expected": None, "save_id": SAVE}
        widget._handle_custom_msg(
            {"id": "m2", "method": "PUT", "path": "narratives/1", "body": body}, []
        )
        assert messages[-1]["content"]["state"] == "open"
        widget._handle_custom_msg("rubbish", [])
        assert messages[-1]["status"] == 404
        with CodingStore(study[0]) as store:
            assert store.history()["coder_id"].tolist() == ["ana"]

    def test_who_is_not_in_the_study(self, study):
        with pytest.raises(DataError, match="Available: ana, ben, cy, pi"):
            coding_widget(study[0], "eve")
