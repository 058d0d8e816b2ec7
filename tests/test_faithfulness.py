import numpy as np
import pandas as pd
import pytest

from boundary_research import DataError, NarrativeClassifier
from boundary_research.classifier.faithfulness import measure_faithfulness, span_agreement


def test_evidence_carries_the_decision_more_than_random_words(small_codes):
    texts, codes = small_codes
    texts = [f"It rained hard for the whole day. {text} The bus came late again." for text in texts]
    noisy = codes ^ (np.random.default_rng(0).random(codes.shape) < 0.05)
    model = NarrativeClassifier().fit(texts, noisy)
    table = measure_faithfulness(model, texts)
    assert len(table) > 20
    assert (table["n_words"] > 0).all()
    gain = table["without_random"] - table["without_evidence"]
    assert gain.mean() > 0
    assert (gain > 0).mean() > 0.5
    assert table.equals(measure_faithfulness(model, texts))


def test_nothing_predicted_nothing_measured(small_codes):
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    assert measure_faithfulness(model, [""]).empty
    with pytest.raises(DataError, match="n_random"):
        measure_faithfulness(model, texts, n_random=0)


def spans(*rows):
    return pd.DataFrame(rows, columns=["incident_id", "category", "start", "end"])


def test_agreement_counts_characters_once():
    found = spans(("a", "gift", 0, 10), ("a", "gift", 5, 20), ("b", "gift", 0, 5), ("c", "x", 0, 3))
    marked = spans(("a", "gift", 10, 30), ("b", "gift", 50, 60))
    table = span_agreement(found, marked).set_index("category")
    assert table.loc["gift", "n"] == 2
    assert table.loc["gift", "precision"] == pytest.approx(10 / 25)
    assert table.loc["gift", "recall"] == pytest.approx(10 / 30)
    assert table.loc["gift", "f1"] == pytest.approx(20 / 55)
    assert table.loc["(all)", "touched"] == 0.5
    assert "x" not in table.index


def test_agreement_of_nothing_is_empty():
    assert span_agreement(spans(), spans()).empty
