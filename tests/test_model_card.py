"""Model cards say what a reader must know, and hold no narrative."""

import numpy as np
import pandas as pd
import pytest

from boundary_research import DataError, NarrativeClassifier
from boundary_research._files import hash_file
from boundary_research.classifier.evaluation import evaluate
from boundary_research.classifier.model_card import describe_model, save_with_card

TEXTS = ["He lent money to Zebulon.", "She left early."] * 10
CODES = pd.DataFrame({"money": [True, False] * 10})


@pytest.fixture(scope="module")
def model():
    return NarrativeClassifier().fit(TEXTS, CODES)


def test_card_is_written_with_the_model_and_names_its_hash(model, tmp_path):
    metrics = evaluate(CODES, model.predict_proba(TEXTS), model.predict(TEXTS), n_boot=50)
    file, card = save_with_card(
        model,
        tmp_path / "m.npz",
        name="Trial",
        trained_on="Made-up sentences.",
        metrics=metrics,
        measured_on="On the same sentences.",
        notice="Fictional.",
        limits=["Only a trial."],
    )
    text = card.read_text("utf-8")
    assert card.name == "m.md"
    assert hash_file(file) in text
    for part in ("> Fictional.", "Made-up sentences.", "On the same sentences.", "- Only a trial."):
        assert part in text
    f1 = metrics.set_index(["category", "metric"]).loc[("money", "f1")]
    cell = f"{f1['estimate']:.2f} ({f1['conf_low']:.2f}–{f1['conf_high']:.2f})"
    assert cell in text
    assert "| money | 10 |" in text
    assert "zebulon" not in text.lower()
    loaded = NarrativeClassifier.load(file)
    assert np.allclose(loaded.predict_proba(TEXTS), model.predict_proba(TEXTS))


def test_sentences_end_with_a_full_stop(model):
    card = describe_model(model, name="x", trained_on="Made-up sentences")
    assert "Made-up sentences. The file holds" in card
    assert ".." not in card


def test_without_metrics_the_card_says_so(model):
    assert "Not measured" in describe_model(model, name="x", trained_on="y.")


def test_a_table_that_is_no_evaluation_is_refused(model):
    with pytest.raises(DataError, match="columns 'category', 'metric'"):
        describe_model(model, name="x", trained_on="y.", metrics=pd.DataFrame({"a": [1]}))
