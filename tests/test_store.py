import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boundary_research._checks import DataError
from boundary_research._tables import check_table
from boundary_research.codebook.model import load_codebook
from boundary_research.coding._revisions import ConflictError, IncompleteError
from boundary_research.coding.store import CodingStore, StoreUnavailableError, create_study_store

TEXT = "They met for coffee 😀 at weekends.\r\nShe told nobody."
IDS = [f"n{i}" for i in range(10)]
TIE = {"dual_social": {"severity": 1, "spans": [[0, 8], [5, 20]]}}


def tables(ids=IDS):
    incidents = pd.DataFrame({"incident_id": ids, "narrative": [f"{TEXT} {i}" for i in ids]})
    sample = pd.DataFrame(
        {
            "incident_id": ids,
            "inclusion_probability": [(k + 1) / (3 * len(ids)) for k in range(len(ids))],
            "stratum": "all",
            "design": "poisson",
            "draw": range(len(ids)),
        }
    )
    return incidents, sample


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.db"


@pytest.fixture
def store(path):
    create_study_store(
        path, *tables(), load_codebook(), ["ana", "ben"], adjudicators=["pi"], random_state=1
    )
    with CodingStore(path) as opened:
        yield opened


def submit(store, coder, incident, **content):
    latest = store.latest(coder, incident).revision_id
    return store.save(coder, incident, content, state="submitted", expected=latest)


class TestCreation:
    def test_links_open_and_only_hashes_are_kept(self, path):
        links = create_study_store(
            path, *tables(), load_codebook(), ["ana", "ben"], adjudicators=["pi"]
        )
        assert list(links) == ["ana", "ben", "pi"]
        content = path.read_bytes()
        with CodingStore(path) as store:
            for person, link in links.items():
                token = link.partition("#key=")[2]
                assert len(token) >= 43
                identity = store.identify(token)
                assert (identity.coder_id, identity.role) == (
                    person,
                    "adjudicator" if person == "pi" else "coder",
                )
                assert token.encode() not in content
            assert store.identify("") is None
            assert store.identify(token[:-1]) is None

    def test_file_is_the_owners_alone(self, store, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_never_overwrites(self, store, path):
        with pytest.raises(DataError, match="exists already"):
            create_study_store(path, *tables(), load_codebook(), ["ana"])

    def test_only_sampled_narratives_are_stored(self, path):
        incidents, sample = tables()
        create_study_store(path, incidents, sample.head(3), load_codebook(), ["ana"])
        with CodingStore(path) as store:
            assert sorted(store.verdicts()["incident_id"]) == IDS[:3]
            with pytest.raises(DataError, match="not in this store"):
                store.narrative("n5")

    def test_sample_comes_back_unchanged(self, store):
        pd.testing.assert_frame_equal(store.sample(), tables()[1], check_exact=True)

    def test_sample_that_is_not_among_the_incidents(self, path):
        incidents, sample = tables()
        with pytest.raises(DataError, match="7 of 10 narratives are not among the incidents"):
            create_study_store(path, incidents.head(3), sample, load_codebook(), ["ana"])
        assert not path.exists()

    def test_half_characters_are_refused_without_the_text(self, path):
        incidents, sample = tables()
        texts = pd.Series([TEXT] * 9 + ["secret \ud83d"], dtype=object)
        with pytest.raises(DataError, match="in row 10 holds half a character") as refused:
            create_study_store(
                path, incidents.assign(narrative=texts), sample, load_codebook(), ["ana"]
            )
        assert "secret" not in str(refused.value)

    @pytest.mark.parametrize(
        ("coders", "adjudicators", "message"),
        [
            ([], [], "at least one id"),
            (["ana", "ana"], [], "must all differ"),
            (["ana"], ["ana"], "must all differ"),
            ("ana", [], "must be lists"),
            (["ana", " "], [], "at least one id"),
        ],
    )
    def test_people(self, path, coders, adjudicators, message):
        with pytest.raises(DataError, match=message):
            create_study_store(path, *tables(), load_codebook(), coders, adjudicators=adjudicators)

    @pytest.mark.parametrize("number", [0, 3, 1.5, True])
    def test_coders_per_narrative_out_of_range(self, path, number):
        with pytest.raises(DataError, match="from 1 to 2"):
            create_study_store(
                path, *tables(), load_codebook(), ["a", "b"], coders_per_narrative=number
            )

    @settings(max_examples=25, deadline=None)
    @given(
        n=st.integers(1, 30),
        coders=st.integers(1, 6),
        each=st.integers(1, 6),
        seed=st.integers(0, 99),
    )
    def test_loads_are_even_and_each_narrative_has_its_coders(
        self, tmp_path_factory, n, coders, each, seed
    ):
        each = min(each, coders)
        people = [f"c{i}" for i in range(coders)]
        path = tmp_path_factory.mktemp("s") / "study.db"
        ids = [f"i{k}" for k in range(n)]
        create_study_store(
            path,
            *tables(ids),
            load_codebook(),
            people,
            coders_per_narrative=each,
            random_state=seed,
        )
        with CodingStore(path) as store:
            verdicts = store.verdicts()
            loads = store.coders()["n_assigned"]
        assert (verdicts.groupby("incident_id")["coder_id"].nunique() == each).all()
        assert loads.max() - loads.min() <= 1
        for _, own in verdicts.groupby("coder_id"):
            assert list(own["position"]) == list(range(1, len(own) + 1))

    def test_same_seed_same_assignment_and_orders_differ_between_coders(self, tmp_path):
        orders = []
        for name in ("a.db", "b.db"):
            create_study_store(
                tmp_path / name, *tables(), load_codebook(), ["x", "y"], random_state=5
            )
            with CodingStore(tmp_path / name) as store:
                orders.append(store.verdicts()[["coder_id", "incident_id"]])
        assert orders[0].equals(orders[1])
        by_coder = [list(own["incident_id"]) for _, own in orders[0].groupby("coder_id")]
        assert by_coder[0] != by_coder[1]

    def test_opening_what_is_no_store(self, tmp_path):
        other = tmp_path / "other.db"
        with sqlite3.connect(other) as connection:
            connection.execute("CREATE TABLE t (x)")
        connection.close()
        for file, message in ((other, "is not a store"), (tmp_path / "none.db", "does not exist")):
            with pytest.raises(DataError, match=message):
                CodingStore(file)
        text = tmp_path / "text.db"
        text.write_text("incident_id,narrative\n" * 100)
        with pytest.raises(DataError, match="is not a store"):
            CodingStore(text)

    def test_store_of_a_later_version(self, store, path):
        store.close()
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        with pytest.raises(DataError, match="later version"):
            CodingStore(path)


class TestCodings:
    def test_submitting_writes_a_row_for_every_category(self, store):
        submit(store, "ana", "n0", categories=TIE, note="brief")
        codings = check_table(store.codings(), "codings")
        assert set(codings["category"]) == set(load_codebook().category_ids)
        present = codings[codings["present"]]
        assert list(present["category"]) == ["dual_social"] * 2
        assert present[["evidence_start", "evidence_end"]].to_numpy().tolist() == [[0, 8], [5, 20]]
        assert (present["severity"] == 1).all()
        absent = codings[~codings["present"]]
        assert len(absent) == 13
        assert absent[["severity", "evidence_start", "evidence_end"]].isna().all(axis=None)
        assert (codings["codebook_version"] == load_codebook().version).all()
        assert (codings["phase"] == "blind").all()
        assert (codings["note"] == "brief").all()

    def test_spans_are_code_points(self, store):
        text = store.narrative("n0")
        start, end = text.index("😀"), text.index("She")
        submit(
            store, "ana", "n0", categories={"dual_social": {"severity": 1, "spans": [[start, end]]}}
        )
        row = store.codings().iloc[0]
        assert text[int(row["evidence_start"]) : int(row["evidence_end"])] == "😀 at weekends.\r\n"

    def test_only_submitted_narratives_are_codings(self, store):
        revision = store.save("ana", "n0", {"categories": TIE})
        store.save("ana", "n1", {"categories": TIE}, state="skipped")
        assert store.codings().empty
        assert check_table(store.codings(), "codings").empty
        revision = store.save(
            "ana", "n0", revision.coding.to_dict(), state="submitted", expected=revision.revision_id
        )
        assert set(store.codings()["incident_id"]) == {"n0"}
        # Changing it later opens it again until it is submitted again.
        store.save("ana", "n0", {"verdict": "none"}, expected=revision.revision_id)
        assert store.codings().empty

    def test_none_and_unclear(self, store):
        submit(store, "ana", "n0", verdict="none")
        submit(store, "ana", "n1", verdict="unclear")
        codings = store.codings()
        assert set(codings["incident_id"]) == {"n0"}
        assert not codings["present"].any()
        verdicts = store.verdicts(coder_id="ana").set_index("incident_id")
        assert verdicts.loc[["n0", "n1"], "verdict"].tolist() == ["none", "unclear"]
        assert verdicts.loc["n2", "state"] == "untouched"

    @pytest.mark.parametrize(
        ("content", "missing"),
        [
            ({}, [("", "decision")]),
            ({"categories": {"dual_social": {"severity": 1}}}, [("dual_social", "evidence")]),
            ({"categories": {"dual_social": {"spans": [[0, 1]]}}}, [("dual_social", "severity")]),
        ],
    )
    def test_incomplete_codings_cannot_be_submitted(self, store, content, missing):
        with pytest.raises(IncompleteError) as refused:
            submit(store, "ana", "n0", **content)
        assert [(m["category"], m["needs"]) for m in refused.value.missing] == missing
        assert store.latest("ana", "n0").revision_id is None

    def test_evidence_and_severity_may_be_left_to_the_coder(self, path):
        create_study_store(
            path,
            *tables(),
            load_codebook(),
            ["ana"],
            require_evidence=False,
            require_severity=False,
        )
        with CodingStore(path) as store:
            submit(store, "ana", "n0", categories={"dual_social": {}})
            assert store.codings()["present"].sum() == 1

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ([], "an object with categories"),
            ({"categories": []}, "an object with categories"),
            ({"categories": {"unheard": {}}}, "not found. Available: dual_social"),
            ({"categories": {"dual_social": 3}}, "needs severity and spans"),
            ({"categories": {"dual_social": {"severity": 3}}}, "must be one of 0, 1, 2"),
            ({"categories": {"sexual_romantic": {"severity": 0}}}, "must be one of 1, 2"),
            ({"categories": {"dual_social": {"severity": True}}}, "must be one of"),
            ({"categories": {"dual_social": {"spans": [[3, 3]]}}}, "pairs of character offsets"),
            ({"categories": {"dual_social": {"spans": [[-1, 3]]}}}, "pairs of character offsets"),
            ({"categories": {"dual_social": {"spans": [[0, 999]]}}}, "pairs of character offsets"),
            ({"categories": {"dual_social": {"spans": [[0.0, 3]]}}}, "pairs of character offsets"),
            ({"categories": {"dual_social": {"spans": "x"}}}, "pairs of character offsets"),
            ({"verdict": "maybe"}, "verdict must be"),
            ({"verdict": "none", "categories": TIE}, "cannot stand beside"),
            ({"note": 7}, "note must be text"),
            ({"note": "\ud83d"}, "half a character"),
            ({"note": "x" * 20_001}, "at most 20,000"),
        ],
    )
    def test_what_is_not_allowed_is_not_saved(self, store, content, message):
        with pytest.raises(DataError, match=message) as refused:
            store.save("ana", "n0", content)
        assert "coffee" not in str(refused.value)
        assert store.history().empty

    def test_not_assigned(self, store):
        with pytest.raises(DataError, match="not assigned"):
            store.save("ana", "n99", {})
        with pytest.raises(DataError, match="not assigned"):
            store.save("pi", "n0", {})


class TestHistory:
    def test_a_changed_decision_keeps_the_old_one_with_its_time(self, store):
        first = submit(store, "ana", "n0", categories=TIE)
        submit(store, "ana", "n0", verdict="none")
        history = store.history()
        assert history["state"].tolist() == ["submitted", "submitted"]
        assert history["categories"][0] == [
            {"category": "dual_social", "severity": 1, "spans": [[0, 8], [5, 20]]}
        ]
        assert history["saved_at"].is_monotonic_increasing
        then = store.codings(as_of=first.saved_at)
        assert then["present"].any()
        assert not store.codings()["present"].any()
        assert store.codings(as_of="2020-01-01").empty

    @pytest.mark.parametrize("table", ["revisions", "codings", "evidence", "decisions", "phases"])
    def test_the_file_itself_refuses_changes(self, store, path, table):
        submit(store, "ana", "n0", categories=TIE)
        submit(store, "ben", "n0", verdict="none")
        store.decide("pi", "n0", "dual_social", present=True, severity=1, reason="a tie")
        connection = sqlite3.connect(path)
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET rowid = rowid + 1000"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
        connection.close()

    def test_conflict_and_repeated_save(self, store):
        one = store.save("ana", "n0", {"note": "a"}, save_id="s1")
        again = store.save("ana", "n0", {"note": "a"}, save_id="s1")
        assert again.revision_id == one.revision_id
        with pytest.raises(ConflictError, match="another window"):
            store.save("ana", "n0", {"note": "b"}, save_id="s2")
        assert len(store.history()) == 1

    @settings(
        max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        notes=st.lists(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=1, max_size=6
        )
    )
    def test_undo_walks_back_through_every_state(self, store, notes):
        incident = "n4"
        base = store.latest("ben", incident)
        while base.depth:
            base = store.undo("ben", incident, expected=base.revision_id)
        states = [base.coding]
        latest = base.revision_id
        for note in notes:
            revision = store.save("ben", incident, {"note": note}, expected=latest)
            latest = revision.revision_id
            states.append(revision.coding)
        for state in reversed(states[:-1]):
            revision = store.undo("ben", incident, expected=latest)
            latest = revision.revision_id
            assert revision.coding == state
        assert revision.depth == 0
        with pytest.raises(DataError, match="nothing to undo"):
            store.undo("ben", incident, expected=latest)

    def test_undo_of_a_submission_opens_it_again(self, store):
        one = store.save("ana", "n0", {"categories": TIE})
        two = store.save(
            "ana", "n0", {"categories": TIE}, state="submitted", expected=one.revision_id
        )
        undone = store.undo("ana", "n0", expected=two.revision_id)
        assert (undone.state, undone.coding) == ("open", one.coding)
        assert store.codings().empty


class TestPhases:
    SUGGESTIONS = pd.DataFrame(
        {"incident_id": ["n0", "n0", "zz"], "category": ["dual_social", "unheard", "dual_social"],
         "probability": [0.7, 0.9, 0.1]}
    )  # fmt: skip

    def test_blind_until_switched_on_and_recorded_for_good(self, store):
        assert store.phase() == "blind"
        assert store.read_suggestions("ana", "n0") is None
        before = submit(store, "ana", "n1", categories=TIE)
        store.set_phase("assisted", self.SUGGESTIONS)
        assert store.read_suggestions("ana", "n0") == [
            {"category": "dual_social", "probability": 0.7}
        ]
        assert submit(store, "ana", "n0", categories=TIE).phase == "assisted"
        # Ben saw nothing: his coding is blind. What Ana coded before stays blind.
        assert submit(store, "ben", "n0", verdict="none").phase == "blind"
        store.set_phase("blind")
        assert store.read_suggestions("ben", "n2") is None
        assert submit(store, "ana", "n0", verdict="none").phase == "assisted"
        assert submit(store, "ana", "n2", verdict="none").phase == "blind"
        phases = store.codings().groupby(["coder_id", "incident_id"])["phase"].first()
        assert phases["ana", "n1"] == before.phase == "blind"
        assert phases["ana", "n0"] == "assisted"

    def test_phase_and_suggestions_go_together(self, store):
        for phase, suggestions in (("assisted", None), ("blind", self.SUGGESTIONS)):
            with pytest.raises(DataError, match="needs suggestions"):
                store.set_phase(phase, suggestions)
        with pytest.raises(DataError, match="Available: blind, assisted"):
            store.set_phase("open")


class TestAdjudication:
    def test_from_codings_to_gold(self, store):
        submit(store, "ana", "n0", categories=TIE)
        assert store.disagreements().empty  # Ben has not submitted it
        submit(store, "ben", "n0", verdict="none")
        submit(store, "ana", "n1", categories=TIE)
        submit(store, "ben", "n1", verdict="unclear")
        queue = store.disagreements()
        assert queue[["incident_id", "category", "kind"]].to_numpy().tolist() == [
            ["n0", "dual_social", "presence"],
            ["n1", "dual_social", "unclear"],
        ]
        assert queue["unclear_by"].tolist() == [[], ["ben"]]
        with pytest.raises(DataError, match="1 disagreements are not decided, in incidents n0"):
            store.gold()
        store.decide("pi", "n0", "dual_social", present=True, severity=2, reason="first thoughts")
        store.decide("pi", "n0", "dual_social", present=True, severity=1, reason=" A lasting tie. ")
        gold = check_table(store.gold(), "gold").set_index(["incident_id", "category"])
        row = gold.loc[("n0", "dual_social")]
        assert (row["present"], row["severity"], row["source"]) == (True, 1, "adjudicated")
        assert row["inclusion_probability"] == 1 / 30
        assert gold.loc[("n0", "gifts_favours"), "source"] == "agreed"
        assert gold.loc[("n1", "dual_social"), "source"] == "single"
        assert gold.loc[("n1", "dual_social"), "inclusion_probability"] == 2 / 30
        decisions = store.decisions()
        assert decisions["reason"].tolist() == ["first thoughts", "A lasting tie."]
        assert decisions["basis"].tolist() == [[1, 2], [1, 2]]
        assert len(store.disagreements()) == 1
        assert len(store.disagreements(decided=True)) == 2

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"reason": "  "}, "needs a reason"),
            ({"category": "unheard"}, "Available"),
            ({"severity": 5}, "must be one of"),
            ({"present": False}, "severity belongs"),
            ({"adjudicator_id": "ana"}, "not an adjudicator"),
            ({"incident_id": "n99"}, "not in this store"),
        ],
    )
    def test_decisions_that_are_refused(self, store, change, message):
        arguments = {"adjudicator_id": "pi", "incident_id": "n0", "category": "dual_social",
                     "present": True, "severity": 1, "reason": "because", **change}  # fmt: skip
        with pytest.raises(DataError, match=message):
            store.decide(**arguments)
        assert store.decisions().empty


def test_new_token_replaces_the_old_one(path):
    links = create_study_store(path, *tables(), load_codebook(), ["ana"])
    with CodingStore(path) as store:
        token = store.renew_token("ana")
        assert store.identify(token).coder_id == "ana"
        assert store.identify(links["ana"].partition("#key=")[2]) is None
        with pytest.raises(DataError, match="Available: ana"):
            store.renew_token("eve")


WRITER = """
import sys
from boundary_research.coding.store import CodingStore
store, coder = CodingStore(sys.argv[1]), sys.argv[2]
latest = None
for number in range(int(sys.argv[3])):
    incident = f"n{number % 10}"
    expected = store.latest(coder, incident).revision_id
    revision = store.save(coder, incident, {"note": str(number)}, expected=expected)
    print(revision.revision_id, number, flush=True)
"""


def start_writer(path, coder, times):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", WRITER, str(path), coder, str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_nothing_reported_as_saved_is_lost_when_two_writers_are_killed(store, path):
    store.close()
    writers = [start_writer(path, coder, 100_000) for coder in ("ana", "ben")]
    reported = [[writer.stdout.readline() for _ in range(40)] for writer in writers]
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    for writer, lines in zip(writers, reported, strict=True):
        lines += writer.communicate()[0].splitlines()
    with CodingStore(path) as again:
        kept = again.history().set_index("revision_id")[["coder_id", "note"]]
        assert again.latest("ana", "n0").coding.note
    for coder, lines in zip(("ana", "ben"), reported, strict=True):
        complete = [line.split() for line in lines if len(line.split()) == 2]
        assert len(complete) >= 40
        for revision_id, number in complete[:-1]:
            assert kept.loc[int(revision_id)].tolist() == [coder, number]


def test_threads_share_one_store(store):
    def work(coder):
        for incident in IDS:
            submit(store, coder, incident, categories=TIE)

    threads = [threading.Thread(target=work, args=(coder,)) for coder in ("ana", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codings = store.codings()
    assert len(codings) == 2 * len(IDS) * 15
    assert store.disagreements().empty
    assert (store.gold()["source"] == "agreed").all()


def test_a_locked_store_is_said_to_be_unavailable(store, path, monkeypatch):
    store._connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="cannot be used now"):
        store.save("ana", "n0", {"note": "x"})
    other.execute("ROLLBACK")
    other.close()
    assert store.save("ana", "n0", {"note": "x"}).revision_id == 1


def test_settings_of_the_file(store, path):
    connection = store._connection
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert (
        json.loads(
            connection.execute("SELECT value FROM study WHERE key = 'codebook_hash'").fetchone()[0]
        )
        == load_codebook().content_hash
    )
