import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from boundary_research import DataError, NarrativeClassifier
from boundary_research.classifier.diagnostics import (
    agreement_with_gold,
    calibration_error,
    errors_by_group,
    example_scores,
    learning_curve,
    reliability_diagram,
)


@pytest.fixture
def scored():
    rng = np.random.default_rng(5)
    probabilities = rng.random((4000, 2))
    codes = pd.DataFrame(rng.random((4000, 2)) < probabilities, columns=["a", "b"])
    return codes, probabilities


def test_calibrated_probabilities_have_a_small_error_and_shifted_ones_the_shift(scored):
    codes, probabilities = scored
    assert calibration_error(codes, probabilities).max() < 0.03
    low = (probabilities < 0.8).all(axis=1)
    shifted = calibration_error(codes[low], probabilities[low] + 0.2)
    assert shifted["(micro)"] == pytest.approx(0.2, abs=0.02)


def test_diagram_counts_every_decision_once(scored):
    codes, probabilities = scored
    table = reliability_diagram(codes, np.where(probabilities > 0.97, 1.0, probabilities))
    assert (table.groupby("category")["n"].sum() == [8000, 4000, 4000]).all()
    assert (table["mean_probability"] >= table["low"]).all()
    assert (table["mean_probability"] <= table["high"]).all()


def test_example_scores_equal_scikit_learn(scored):
    codes, probabilities = scored
    predicted = probabilities > 0.4
    ours = example_scores(codes, predicted)
    options = {"average": "samples", "zero_division": 0}
    both_empty = (~codes.any(axis=1) & ~predicted.any(axis=1)).mean()
    assert ours["f1"] == pytest.approx(metrics.f1_score(codes, predicted, **options) + both_empty)
    assert ours["jaccard"] == pytest.approx(
        metrics.jaccard_score(codes, predicted, **options) + both_empty
    )
    assert ours["exact_match"] == pytest.approx(metrics.accuracy_score(codes, predicted))
    assert ours["hamming"] == pytest.approx(1 - metrics.hamming_loss(codes, predicted))


def test_errors_by_group_by_hand():
    codes = pd.DataFrame({"a": [True, False, True], "b": [False, False, True]})
    predicted = np.array([[True, True], [False, False], [False, True]])
    table = errors_by_group(codes, predicted, ["x", "x", None]).set_index("group")
    assert table.loc["x", "false_positive_rate"] == pytest.approx(1 / 3)
    assert table.loc["x", "miss_rate"] == 0
    assert table.loc["x", "exact_match"] == 0.5
    assert np.isnan(table.loc["(missing)", "false_positive_rate"])
    assert table.loc["(missing)", "f1"] == pytest.approx(2 / 3)


def test_learning_curve_rises_where_there_is_something_to_learn(small_codes):
    texts, codes = small_codes
    noise = np.random.default_rng(1).permutation(len(texts))
    texts, codes = [texts[i] for i in noise], codes.iloc[noise].reset_index(drop=True)
    curve = learning_curve(NarrativeClassifier(cv=3), texts, codes, shares=(0.5, 1.0), n_folds=3)
    mean = curve.groupby("share")["macro_f1"].mean()
    assert mean[1.0] > mean[0.5]
    assert len(curve) == 6
    assert (curve.groupby("share")["n_narratives"].max() <= [14, 27]).all()


def test_shapes_bins_and_shares_are_checked(scored):
    codes, probabilities = scored
    with pytest.raises(DataError, match="shape of codes"):
        example_scores(codes, probabilities[:5] > 0.5)
    with pytest.raises(DataError, match="n_bins"):
        reliability_diagram(codes, probabilities, n_bins=0)
    with pytest.raises(DataError, match="groups has 1"):
        errors_by_group(codes, probabilities > 0.5, ["x"])
    with pytest.raises(DataError, match="shares"):
        learning_curve(NarrativeClassifier(), ["a"], codes[:1], shares=(0, 1))


def test_agreement_with_gold_stands_beside_that_of_coders():
    from boundary_research import load_corpus

    corpus = load_corpus()
    codes = corpus.codes.iloc[:200]
    flipped = codes.to_numpy().copy()
    flipped[::5] = ~flipped[::5]
    codings = corpus.codings[corpus.codings["coder_id"].isin(["coder_a", "coder_b"])]
    table = agreement_with_gold(codes, flipped, codings=codings).set_index("between")
    assert table.loc["model and gold", "estimate"] < 0.9 < table.loc["coders", "estimate"]
    assert (table["conf_low"] < table["estimate"]).all()
    same = agreement_with_gold(codes, codes.to_numpy())
    assert same["estimate"].item() == 1


MEASURES = {
    "reliability_diagram": lambda codes, p: reliability_diagram(codes, p),
    "calibration_error": lambda codes, p: calibration_error(codes, p),
    "example_scores": lambda codes, p: example_scores(codes, p >= 0.5),
    "errors_by_group": lambda codes, p: errors_by_group(codes, p >= 0.5, ["x"] * len(codes)),
    "agreement_with_gold": lambda codes, p: agreement_with_gold(codes, p >= 0.5),
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize("bad", [None, np.nan, "yes", "no", 2])
def test_codes_that_are_not_yes_or_no_are_refused_by_every_measure(scored, measure, bad):
    codes, probabilities = scored[0][:100].astype(object), scored[1][:100]
    codes.iloc[7, 1] = bad
    with pytest.raises(DataError, match=r"codes: column 'b' .* row 8"):
        measure(codes, probabilities)


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_ones_and_zeros_are_codes_and_tables_are_taken_by_name(scored, measure):
    codes, probabilities = scored[0][:100], scored[1][:100]
    expected = measure(codes, probabilities)
    turned = pd.DataFrame(probabilities, columns=codes.columns)[["b", "a"]]
    for same in (codes.astype(int).astype(str), codes.astype("boolean"), codes.astype(float)):
        for table in (probabilities, turned):
            found = measure(same, table)
            assert found.equals(expected)


def test_learning_curve_refuses_what_cannot_be_learned_from(small_codes):
    texts, codes = small_codes
    with pytest.raises(DataError, match="column 'money'"):
        learning_curve(NarrativeClassifier(), texts, codes.replace({True: "yes", False: "no"}))
    with pytest.raises(DataError, match="n_folds must be at least 2"):
        learning_curve(NarrativeClassifier(), texts, codes, n_folds=1)
    with pytest.raises(DataError, match="of one group"):
        learning_curve(NarrativeClassifier(), texts, codes, groups=["a"] * 40)
    with pytest.raises(DataError, match="shares: 1 of a training part is 20 narratives of one"):
        learning_curve(
            NarrativeClassifier(), texts, codes, groups=["a", "b"] * 20, shares=[1], n_folds=2
        )
    with pytest.raises(DataError, match="another order"):
        learning_curve(NarrativeClassifier(), pd.Series(texts)[::-1], codes)


def test_groups_in_another_order_are_refused(scored):
    codes, probabilities = scored
    groups = pd.Series(["x", "y"] * 2000)[::-1]
    with pytest.raises(DataError, match="codes and groups have the same index labels in another"):
        errors_by_group(codes, probabilities > 0.5, groups)
