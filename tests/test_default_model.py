import hashlib
import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from boundary_research import (
    NarrativeClassifier,
    code,
    default_classifier,
    load_contrasts,
    load_corpus,
)
from boundary_research.classifier import default_model
from boundary_research.classifier.combined_model import CombinedClassifier, load_classifier
from boundary_research.classifier.embedding_model import EncoderClassifier
from boundary_research.classifier.encoder_model import TransformerClassifier
from boundary_research.classifier.fast_coding import FastCoder
from boundary_research.corpus.bundled import data_folder

MODELS = data_folder() / "models"
# Of the vocabulary file of the public weights (BERT, uncased), one token a line.
PUBLIC_VOCABULARY = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"


FILES = ("ngrams.npz", "ngrams_held_out.csv", "encoder.zip", "encoder_held_out.csv")


def test_it_reads_its_files_once_and_trains_nothing(monkeypatch):
    monkeypatch.setattr(NarrativeClassifier, "fit", None)
    monkeypatch.setattr(TransformerClassifier, "fit", None)
    default_classifier.cache_clear()
    for fast in (True, False):
        model = default_classifier(fast=fast)
        assert model is default_classifier(fast=fast)
        assert model.predict(["He lent her money."]).shape == (1, len(model.classes_))


@pytest.fixture(scope="module")
def trained():
    return default_model.train_default_ngrams()


def test_the_bundled_n_grams_are_what_training_gives(trained):
    bundled = default_classifier(fast=True)
    assert bundled.get_params() == trained.get_params()
    assert list(bundled.classes_) == list(trained.classes_)
    for name, terms in trained.vectorizer_.vocabulary_.items():
        assert list(bundled.vectorizer_.vocabulary_[name]) == list(terms)
    # The file's weights have 24 bits, its held-out probabilities six decimals.
    np.testing.assert_allclose(bundled.coef_, trained.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(bundled.cv_probabilities_, trained.cv_probabilities_, atol=1e-5)
    np.testing.assert_allclose(bundled.thresholds_, trained.thresholds_, atol=1e-5)
    texts = load_corpus().split("development").incidents["narrative"].tolist()
    np.testing.assert_allclose(
        bundled.predict_proba(texts), trained.predict_proba(texts), rtol=0, atol=1e-5
    )


def changes(monkeypatch, name, *, fast):
    """Return whether the default's identity changes with a file."""
    before, whole = default_model.default_model_id(fast=fast), default_model.hash_file
    with monkeypatch.context() as patch:
        patch.setattr(
            default_model, "hash_file", lambda path: "x" if path.name == name else whole(path)
        )
        return default_model.default_model_id(fast=fast) != before


@pytest.mark.parametrize("name", ["ngrams.npz", "model.py", "text.py"])
def test_other_n_grams_are_another_model(monkeypatch, name):
    assert changes(monkeypatch, name, fast=True)
    assert changes(monkeypatch, name, fast=False)


@pytest.mark.parametrize(
    "name", [*FILES[1:], "gold.csv", "_calibration.py", "combined_model.py", "_encoder_windows.py"]
)
def test_another_encoder_or_calibration_is_another_model_but_the_same_n_grams(monkeypatch, name):
    assert changes(monkeypatch, name, fast=False)
    assert not changes(monkeypatch, name, fast=True)


def test_test_authors_are_left_alone():
    learned = default_model.default_training_set()
    incidents = load_corpus().incidents
    test = set(incidents.loc[incidents["split"] == "test", "author_id"])
    assert test
    assert not test & set(learned.options["groups"])
    own = (incidents["split"] != "test").sum()
    assert len(learned.texts) == own + len(load_contrasts().incidents)
    # Contrast narratives only teach: none is held out, and none calibrates.
    assert (~np.array(learned.options["auxiliary"])).sum() == own
    assert len(default_classifier(fast=True).cv_probabilities_) == own


def test_it_is_the_calibrated_mean_of_the_encoder_and_the_n_grams():
    model, ngrams = default_classifier(), default_classifier(fast=True)
    assert type(model) is CombinedClassifier
    assert type(ngrams) is NarrativeClassifier
    assert model.members_[1] is ngrams
    texts = ["He lent her money and told nobody.", "Tea was made."]
    members = [TransformerClassifier.load(MODELS / "encoder.zip"), ngrams]
    odds = [np.log(p / (1 - p)) for p in (member.predict_proba(texts) for member in members)]
    score = (2 * odds[0] + odds[1]) / 3 * model.slope_ + model.offset_
    np.testing.assert_allclose(model.predict_proba(texts), 1 / (1 + np.exp(-score)), atol=1e-9)
    assert list(model.classes_) == load_corpus().codes.columns.tolist()
    assert not model.notes_


def test_its_mean_is_calibrated_on_train_authors_that_both_members_held_out():
    model, corpus = default_classifier(), load_corpus()
    incidents = corpus.incidents[corpus.incidents["split"] != "test"].set_index("incident_id")
    held = pd.read_csv(MODELS / "encoder_held_out.csv")["incident_id"]
    assert set(held) <= set(incidents.index)
    authors = incidents.loc[held, "author_id"]
    # Whole authors, for the encoder had seen nothing of theirs.
    assert len(held) == incidents["author_id"].isin(set(authors)).sum()
    seen = np.isfinite(model.cv_probabilities_).all(axis=1)
    assert set(incidents.index[seen]) == set(held)
    codes = corpus.codes.loc[incidents.index[seen]].to_numpy()
    assert abs(model.cv_probabilities_[seen].mean() - codes.mean()) < 0.01
    # Better than the n-grams alone are on narratives that they held out (.58).
    predicted = model.cv_probabilities_[seen] >= model.thresholds_
    true = (predicted & codes).sum(axis=0)
    assert (2 * true / (predicted.sum(axis=0) + codes.sum(axis=0))).mean() > 0.6


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_chunks_and_company_change_nothing(threads):
    encoder = TransformerClassifier.load(MODELS / "encoder.zip").set_params(threads=threads)
    texts = load_corpus().split("development").incidents["narrative"].tolist()[:12]
    model = default_classifier()
    together = encoder.predict_proba(texts)
    np.testing.assert_allclose(together, model.members_[0].predict_proba(texts), rtol=0, atol=1e-6)
    alone = np.vstack([encoder.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)


def test_evidence_is_the_encoders_and_lies_in_the_text():
    corpus = load_corpus().split("development")
    incidents = corpus.incidents.iloc[:6]
    found = code(incidents, default_classifier()).evidence
    assert len(found)
    texts = incidents.set_index("incident_id")["narrative"]
    for row in found.itertuples():
        assert 0 <= row.start < row.end <= len(texts[row.incident_id])
    encoder = default_classifier().members_[0]
    row = next(found.itertuples())
    category = list(encoder.classes_).index(row.category)
    own = FastCoder(encoder).find_evidence(texts[row.incident_id], [category])
    assert (row.start, row.end) in {span[1:3] for span in own}


@pytest.fixture(scope="module")
def planted():
    corpus = load_corpus()
    texts = corpus.incidents.set_index("incident_id")["narrative"]
    found = {
        texts[row.incident_id][row.start : row.end].lower()
        for row in corpus.identifiers.itertuples()
        if row.kind in ("phone", "email", "case_number", "date_of_birth")
    }
    assert len(found) > 300
    return found


def test_no_planted_identifier_is_in_the_n_grams(planted):
    with np.load(MODELS / "ngrams.npz", allow_pickle=False) as arrays:
        content = b"\n".join(arrays[name].tobytes().lower() for name in arrays.files)
    known = set(default_classifier(fast=True).vectorizer_.vocabulary_["words"])
    assert b"supervis" in content
    assert not [p for p in planted if p in known or p.encode("utf-8") in content]


def test_no_planted_identifier_is_in_the_encoders_files(planted):
    with zipfile.ZipFile(MODELS / "encoder.zip") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert sorted(parts) == ["header.json", "model.onnx", "tokenizer.json"]
    # Words that the tokenizer knows are those of the public weights, and none of the narratives'.
    tokens = json.loads(parts["tokenizer.json"])["model"].pop("vocab")
    lines = "".join(f"{token}\n" for token in sorted(tokens, key=tokens.__getitem__))
    assert hashlib.sha256(lines.encode("utf-8")).hexdigest() == PUBLIC_VOCABULARY
    tables = [(MODELS / name).read_bytes().lower() for name in FILES if name.endswith(".csv")]
    for content in (*(part.lower() for part in parts.values()), *tables):
        assert not [p for p in planted if p.encode("utf-8") in content]


def test_the_network_does_not_say_where_it_was_made():
    with zipfile.ZipFile(MODELS / "encoder.zip") as archive:
        network = archive.read("model.onnx")
    for trace in (b"site-packages", b'File "', b".py", b"/home", b"/tmp"):
        assert trace not in network


def test_the_model_card_is_that_of_these_files():
    card = (MODELS / "MODEL_CARD.md").read_text("utf-8")
    assert "fictional" in card.splitlines()[2]
    assert "no human coders" in card
    for name in FILES:
        digest = hashlib.sha256((MODELS / name).read_bytes()).hexdigest()
        assert f"`{name}`, SHA-256 `{digest}`" in card


def test_the_bundled_encoder_says_under_which_licence_it_is():
    assert "Apache License 2.0" in (MODELS / "README.md").read_text("utf-8")
    assert "Version 2.0, January 2004" in (MODELS / "LICENSE-APACHE").read_text("utf-8")
    assert (MODELS / "encoder.zip").stat().st_size < 23_000_000


# Embeddings


def test_an_embedding_is_the_mean_over_the_whole_text_whatever_stands_beside_it():
    encoder = default_model.default_encoder()
    texts = ["He lent her money.", "She was never visited. " * 80, ""]
    together = encoder.encode(texts)
    assert together.shape == (3, 3 * 384)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_allclose(encoder.encode([text])[0], row, atol=1e-5)
    changed = encoder.encode(["She was never visited. " * 79 + "He kissed her. "])[0]
    assert np.abs(changed - together[1]).max() > 1e-3
    assert encoder.encode([]).shape[0] == 0


def test_texts_alike_in_meaning_lie_closer_than_texts_alike_in_words():
    one, like, unlike = default_model.default_encoder().encode(
        ["He lent her money.", "She got a loan from him.", "He left her early."]
    )
    assert np.linalg.norm(one - like) < np.linalg.norm(one - unlike)


def test_the_encoder_serves_another_codebook_and_goes_into_the_model_file(small_codes, tmp_path):
    texts, codes = small_codes
    encoder = default_model.default_encoder()
    before = encoder.predict_proba(["He lent her money."])
    members = [EncoderClassifier(encoder, C=0.01), NarrativeClassifier()]
    model = CombinedClassifier(members, weights="learned").fit(texts, codes)
    assert (model.predict(texts) == codes.to_numpy()).mean() > 0.9
    assert model.members_[0].encoder is encoder
    np.testing.assert_array_equal(encoder.predict_proba(["He lent her money."]), before)
    unseen = ["He let the tenant have some cash.", "The kettle was cold."]
    again = load_classifier(model.save(tmp_path / "own.zip"))
    np.testing.assert_allclose(again.predict_proba(unseen), model.predict_proba(unseen))
