import platformdirs
import pytest

from boundary_research import default_classifier, load_corpus
from boundary_research.classifier import default_model


@pytest.fixture
def fresh(monkeypatch, tmp_path, small_codes):
    """A default model that trains on a few narratives, with an empty cache and memory."""
    from boundary_research import NarrativeClassifier

    trained = []

    def train():
        trained.append(1)
        return NarrativeClassifier().fit(*small_codes)

    monkeypatch.setattr(default_model, "train_default_classifier", train)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    default_classifier.cache_clear()
    yield trained, tmp_path
    default_classifier.cache_clear()


def test_trained_once_then_read_from_the_cache(fresh):
    trained, folder = fresh
    first = default_classifier()
    default_classifier.cache_clear()
    second = default_classifier()
    assert len(trained) == 1
    assert (first.predict_proba(["money"]) == second.predict_proba(["money"])).all()
    assert [p.suffix for p in (folder / "boundary-research").iterdir()] == [".npz"]


def test_another_corpus_setting_or_code_is_another_model(monkeypatch):
    before = default_model.default_model_id()
    assert default_model.default_model_id() == before
    with monkeypatch.context() as patch:
        patch.setattr(default_model, "EVIDENCE_PARAMETERS", {"C": 3.0})
        assert default_model.default_model_id() != before
    whole = default_model.hash_file
    for changed in ("evidence.csv", "_linear.py", "text.py"):
        with monkeypatch.context() as patch:
            patch.setattr(
                default_model,
                "hash_file",
                lambda path, changed=changed: "x" if path.name == changed else whole(path),
            )
            assert default_model.default_model_id() != before


def test_broken_cache_is_trained_anew(fresh):
    trained, folder = fresh
    default_classifier()
    file = next((folder / "boundary-research").iterdir())
    file.write_bytes(b"rubbish")
    default_classifier.cache_clear()
    default_classifier()
    assert len(trained) == 2


def test_without_a_writable_cache_it_lives_in_memory(fresh):
    trained, folder = fresh
    (folder / "boundary-research").write_text("a file in the way")
    assert default_classifier() is default_classifier()
    assert len(trained) == 1


def test_test_authors_are_left_alone(monkeypatch):
    seen = {}

    class Spy:
        def __init__(self, **parameters):
            pass

        def get_params(self):
            return {}

        def fit(self, texts, codes, groups=None, **options):
            seen.update(texts=texts, groups=groups)
            return self

    monkeypatch.setattr(default_model, "NarrativeClassifier", Spy)
    default_model.train_default_classifier()
    incidents = load_corpus().incidents
    test = set(incidents.loc[incidents["split"] == "test", "author_id"])
    assert test
    assert not test & set(seen["groups"])
    assert len(seen["texts"]) == (incidents["split"] != "test").sum()


def test_no_planted_identifier_is_in_the_model_file(tmp_path):
    corpus = load_corpus()
    texts = corpus.incidents.set_index("incident_id")["narrative"]
    planted = {
        texts[row.incident_id][row.start : row.end].lower()
        for row in corpus.identifiers.itertuples()
        if row.kind in ("phone", "email", "case_number", "date_of_birth")
    }
    model = default_classifier()
    known = set(model.vectorizer_.vocabulary_["words"])
    assert len(planted) > 300
    assert not {p for p in planted if p in known}
