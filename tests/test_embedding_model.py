"""Logistic regression on the embeddings of an encoder that the user brings."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from boundary_research._checks import DataError
from boundary_research.classifier import embedding_model
from boundary_research.classifier.combined_model import load_classifier
from boundary_research.classifier.decisions import code
from boundary_research.classifier.embedding_model import EncoderClassifier
from boundary_research.classifier.model import NarrativeClassifier, ThinCategoryWarning
from boundary_research.classifier.risk_control import control_risk


class WordCounts:
    """An encoder whose dimensions are words, on any scale."""

    WORDS = ("money", "diagnosis", "visit", "worker", "log")

    def __init__(self, scale=1.0, n=5):
        self.scale, self.n, self.asked = scale, n, 0

    def encode(self, sentences):
        assert isinstance(sentences, list)
        self.asked += len(sentences)
        rows = [[text.count(word) for word in self.WORDS[: self.n]] for text in sentences]
        return np.array(rows, dtype=np.float32) * self.scale


@pytest.fixture
def fitted(small_codes):
    return EncoderClassifier(WordCounts()).fit(*small_codes)


def test_it_codes_what_the_embedding_shows(fitted, small_codes):
    texts, codes = small_codes
    np.testing.assert_array_equal(fitted.predict(texts), codes.to_numpy())
    assert fitted.score(texts, codes) == 1
    assert list(fitted.classes_) == list(codes.columns)
    assert set(fitted.decide(fitted.predict_proba(texts)).ravel()) <= {
        "present",
        "absent",
        "review",
    }
    assert fitted.predict_proba([]).shape == (0, 3)


def test_calibration_and_thresholds_are_those_of_the_linear_classifier(fitted, small_codes):
    """Given the same cross-validated scores, both choose the same."""
    _, codes = small_codes
    scores = np.random.default_rng(0).normal(codes.to_numpy(), 1)
    other = NarrativeClassifier()
    for model in (fitted, other):
        model.classes_, model.notes_ = np.array(codes.columns), {}
        model._calibrate(scores, codes.to_numpy())
    for name in ("slope_", "offset_", "thresholds_", "review_low_", "review_high_"):
        np.testing.assert_array_equal(getattr(fitted, name), getattr(other, name))


def test_the_encoder_s_scale_does_not_matter(small_codes):
    texts, _ = small_codes
    one, other = (EncoderClassifier(WordCounts(s)).fit(*small_codes) for s in (1.0, 1000.0))
    np.testing.assert_allclose(one.predict_proba(texts), other.predict_proba(texts), atol=1e-4)


def test_groups_are_not_split_between_folds(small_codes):
    texts, codes = small_codes
    # A group whose codes are the reverse of all others', so that only its own rows could teach it.
    codes = codes.copy()
    codes.iloc[:4] = ~codes.iloc[:4]
    groups = ["odd"] * 4 + [f"g{i}" for i in range(36)]
    model = EncoderClassifier(WordCounts(), cv=3).fit(texts, codes, groups=groups)
    own, wrong = model.cv_probabilities_[:4], codes.to_numpy()[:4]
    assert own[wrong].mean() < own[~wrong].mean()


def test_marked_evidence_is_learned_as_passages(small_codes):
    """Money and worker always come together; only the evidence says which of them counts."""
    texts = ["She paid money. The worker wrote.", "The diagnosis was told. Nobody came."] * 10
    codes = pd.DataFrame({"money": [True, False] * 10})
    spans = pd.DataFrame(
        {"incident_id": range(0, 20, 2), "category": "money", "start": 0, "end": 15}
    )
    plain = EncoderClassifier(WordCounts()).fit(texts, codes)
    taught = EncoderClassifier(WordCounts()).fit(texts, codes, evidence=spans)
    worker = WordCounts.WORDS.index("worker")
    assert plain.coef_[0, worker] > 0.1
    assert taught.coef_[0, worker] < plain.coef_[0, worker] / 2
    ignored = EncoderClassifier(WordCounts(), evidence_weight=0).fit(texts, codes, evidence=spans)
    np.testing.assert_array_equal(ignored.coef_, plain.coef_)


def test_code_shows_the_clause_without_which_the_score_is_lower(fitted):
    text = "The worker parked the van. He lent money to the tenant. Nobody wrote in the log."
    table = pd.DataFrame({"incident_id": ["a"], "narrative": [text]})
    coded = code(table, fitted)
    assert coded.wide().loc[0, "money"] == 1
    (span,) = coded.evidence.itertuples(index=False)
    assert text[span.start : span.end] == "He lent money to the tenant."
    assert span.weight == pytest.approx(fitted.coef_[0, 0])


def test_saved_without_the_encoder_and_loaded_with_it(fitted, small_codes, tmp_path, monkeypatch):
    texts, _ = small_codes
    path = fitted.save(tmp_path / "model.npz")
    again = EncoderClassifier.load(path, WordCounts())
    np.testing.assert_array_equal(again.predict_proba(texts), fitted.predict_proba(texts))
    assert b"tenant" not in path.read_bytes()
    controlled, _ = control_risk(fitted, *small_codes)
    kept = EncoderClassifier.load(controlled.save(tmp_path / "controlled.npz"), WordCounts())
    assert kept.risk_control_ == controlled.risk_control_ != {}
    np.testing.assert_array_equal(kept.review_high_, controlled.review_high_)
    with pytest.raises(DataError, match="must have a method encode"):
        EncoderClassifier.load(path).predict(texts)
    with pytest.raises(DataError, match="gives 3 dimensions; the classifier was trained with 5"):
        EncoderClassifier.load(path, WordCounts(n=3)).predict(texts)
    linear = NarrativeClassifier().fit(*small_codes).save(tmp_path / "linear.npz")
    with pytest.raises(DataError, match="not an EncoderClassifier"):
        EncoderClassifier.load(linear, WordCounts())
    with pytest.raises(DataError, match="needs its encoder"):
        NarrativeClassifier.load(path)
    later = EncoderClassifier.load(path)
    monkeypatch.setattr(embedding_model, "FILE_FORMAT", 2)
    later.save(path)
    monkeypatch.undo()
    with pytest.raises(DataError, match="has format 2; this version reads up to 1"):
        EncoderClassifier.load(path)


def test_fitting_again_takes_an_encoder_of_other_dimensions(fitted, small_codes):
    again = clone(fitted).set_params(encoder=WordCounts(n=3))
    fitted.set_params(encoder=again.encoder)
    np.testing.assert_array_equal(fitted.fit(*small_codes).coef_, again.fit(*small_codes).coef_)


class Fixed:
    def __init__(self, array):
        self.array = array

    def encode(self, sentences):
        return self.array


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (None, "must have a method encode"),
        (Fixed(np.zeros(40)), r"shape \(40,\) for 40 texts"),
        (Fixed(np.zeros((3, 2))), r"shape \(3, 2\) for 40 texts"),
        (Fixed(np.r_[np.zeros((39, 2)), [[np.nan, 0]]]), "numbers for entry 40"),
    ],
)
def test_encoders_that_give_no_embeddings_are_refused(encoder, message, small_codes):
    with pytest.raises(DataError, match=message):
        EncoderClassifier(encoder).fit(*small_codes)


def test_wrong_arguments_are_refused(small_codes):
    texts, codes = small_codes
    with pytest.raises(DataError, match="groups has 1 entries"):
        EncoderClassifier(WordCounts()).fit(texts, codes, groups=["a"])
    with pytest.raises(DataError, match="C must be above 0"):
        EncoderClassifier(WordCounts(), C=0).fit(texts, codes)
    with pytest.raises(DataError, match="cv must be at least 2"):
        EncoderClassifier(WordCounts(), cv=1).fit(texts, codes)
    with pytest.raises(DataError, match="evidence_weight must be 0 or more"):
        EncoderClassifier(WordCounts(), evidence_weight=-1).fit(texts, codes)
    with pytest.raises(DataError, match="all 40 narratives are of one group"):
        EncoderClassifier(WordCounts()).fit(texts, codes, groups=["a"] * 40)
    with pytest.raises(DataError, match="texts and codes have the same index labels in another"):
        EncoderClassifier(WordCounts()).fit(pd.Series(texts), codes[::-1])


def test_a_category_without_positives_is_never_predicted(small_codes):
    texts, codes = small_codes
    with pytest.warns(ThinCategoryWarning, match="never"):
        model = EncoderClassifier(WordCounts()).fit(texts, codes.assign(never=False))
    assert not model.predict(texts)[:, 3].any()


def test_an_encoder_that_says_nothing_gives_the_shares(small_codes):
    texts, codes = small_codes
    model = EncoderClassifier(Fixed(np.zeros((40, 2)))).fit(texts, codes)
    np.testing.assert_allclose(model.predict_proba(texts), 0.25, atol=0.03)


def test_a_clone_keeps_the_encoder(fitted):
    copy = clone(fitted)
    assert copy.encoder is fitted.encoder
    assert not hasattr(copy, "coef_")
    assert copy.get_params(deep=False) == fitted.get_params(deep=False)


def test_a_file_without_its_encoder_is_not_loaded_as_another_model(fitted, tmp_path):
    path = fitted.save(tmp_path / "model.npz")
    with pytest.raises(DataError, match=r"EncoderClassifier, .*EncoderClassifier.load\(path, enc"):
        load_classifier(path)
