import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from boundary_research import DataError, NarrativeClassifier, crossfit, evaluate


@pytest.fixture
def scored():
    rng = np.random.default_rng(5)
    codes = pd.DataFrame(rng.random((300, 3)) < [0.5, 0.2, 0.05], columns=list("abc"))
    probabilities = np.clip(0.3 * codes + 0.7 * rng.random((300, 3)), 0, 1).to_numpy()
    return codes, probabilities, probabilities > 0.5


def test_point_values_equal_scikit_learn(scored):
    codes, probabilities, predicted = scored
    table = evaluate(codes, probabilities, predicted, n_boot=0).set_index(["category", "metric"])
    value = table["estimate"]
    for j, name in enumerate(codes):
        y, p, hat = codes[name], probabilities[:, j], predicted[:, j]
        assert value[name, "precision"] == pytest.approx(metrics.precision_score(y, hat))
        assert value[name, "recall"] == pytest.approx(metrics.recall_score(y, hat))
        assert value[name, "f1"] == pytest.approx(metrics.f1_score(y, hat))
        assert value[name, "auc"] == pytest.approx(metrics.roc_auc_score(y, p))
        assert value[name, "brier"] == pytest.approx(metrics.brier_score_loss(y, p))
    assert value["(micro)", "f1"] == pytest.approx(
        metrics.f1_score(codes, predicted, average="micro")
    )
    assert value["(macro)", "f1"] == pytest.approx(
        metrics.f1_score(codes, predicted, average="macro")
    )


def test_intervals_hold_the_estimate_and_widen_with_groups(scored):
    codes, probabilities, predicted = scored
    single = evaluate(codes, probabilities, predicted)
    counted = single[single["metric"].isin(["precision", "recall", "f1"])]
    assert (counted["conf_low"] <= counted["estimate"]).all()
    assert (counted["conf_high"] >= counted["estimate"]).all()
    order = np.argsort(predicted[:, 0] == codes["a"], kind="stable")
    groups = np.empty(300, dtype=int)
    groups[order] = np.arange(300) // 30
    grouped = evaluate(codes, probabilities, predicted, groups=groups)
    width = [
        t[(t.category == "a") & (t.metric == "f1")].eval("conf_high - conf_low").item()
        for t in (single, grouped)
    ]
    assert width[1] > 1.5 * width[0]


def test_undefined_metrics_are_missing_not_zero():
    codes = pd.DataFrame({"never": [False] * 4, "some": [True, False, True, False]})
    table = evaluate(codes, np.full((4, 2), 0.4), np.zeros((4, 2), dtype=bool))
    value = table.set_index(["category", "metric"])["estimate"]
    assert np.isnan(value["never", "recall"])
    assert np.isnan(value["some", "precision"])
    assert value["some", "f1"] == 0
    assert value["(macro)", "f1"] == 0


def test_crossfit_predicts_each_narrative_once_and_never_in_its_own_fold(small_codes):
    texts, codes = small_codes
    groups = np.arange(len(texts)) // 8
    probabilities, predicted, _, fold = crossfit(
        NarrativeClassifier(cv=3), texts, codes, groups=groups
    )
    assert not np.isnan(probabilities).any()
    assert predicted.shape == codes.shape
    assert (pd.Series(fold).groupby(groups).nunique() == 1).all()
    assert set(fold) == set(range(5))


def test_crossfit_of_one_group_is_refused(small_codes):
    texts, codes = small_codes
    with pytest.raises(DataError, match="at least 2 groups"):
        crossfit(NarrativeClassifier(), texts, codes, groups=["a"] * len(texts))


def test_shapes_must_fit(scored):
    codes, probabilities, predicted = scored
    with pytest.raises(DataError, match="shape of codes"):
        evaluate(codes, probabilities[:10], predicted)


def test_narratives_without_gold_codes_are_predicted_and_not_learned_from(small_codes):
    texts, codes = small_codes
    half = codes.astype(object)
    half.iloc[::2] = None
    # Nonsense texts without gold codes must not change what is learned.
    odd = [text if i % 2 else "zzz " * 20 for i, text in enumerate(texts)]
    first = crossfit(NarrativeClassifier(cv=3), texts, half, n_folds=4)
    second = crossfit(NarrativeClassifier(cv=3), odd, half, n_folds=4)
    assert not np.isnan(first.probabilities).any()
    assert first.probabilities[1::2] == pytest.approx(second.probabilities[1::2])
    assert first.probabilities[::2] != pytest.approx(second.probabilities[::2])


def test_a_narrative_coded_in_part_is_refused(small_codes):
    texts, codes = small_codes
    part = codes.astype(object)
    part.iloc[0, 0] = None
    with pytest.raises(DataError, match="some categories only"):
        crossfit(NarrativeClassifier(cv=3), texts, part)


@given(st.integers(0, 10_000))
def test_weighted_ranks_equal_scikit_learn(seed):

    from boundary_research.classifier._metrics import _ranked

    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 60))
    y = rng.random(n) < 0.4
    y[:2] = True, False
    p = rng.random(n).round(int(rng.integers(1, 3)))  # with ties
    weights = rng.integers(0, 4, size=(5, n)).astype(float)
    weights[:, :2] += 1
    found = _ranked(y, p, weights)
    for draw in range(5):
        w = weights[draw]
        assert found["average_precision"][draw] == pytest.approx(
            metrics.average_precision_score(y, p, sample_weight=w)
        )
        assert found["auc"][draw] == pytest.approx(metrics.roc_auc_score(y, p, sample_weight=w))
        assert found["brier"][draw] == pytest.approx(
            metrics.brier_score_loss(y, p, sample_weight=w)
        )


def test_every_metric_has_an_interval_around_its_estimate():
    rng = np.random.default_rng(3)
    y = rng.random(300) < 0.3
    p = np.clip(0.3 * y + rng.random(300) * 0.7, 0, 1)
    codes = pd.DataFrame({"a": y})
    table = evaluate(codes, p[:, None], p[:, None] > 0.5).set_index(["category", "metric"])
    part = table.loc["a"]
    assert set(part.index) == {"precision", "recall", "f1", "average_precision", "auc", "brier"}
    assert (part["conf_low"] < part["estimate"]).all()
    assert (part["estimate"] < part["conf_high"]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda codes: codes.replace({True: "yes", False: "no"}), "column 'a' .* row 1 is neither"),
        (lambda codes: codes.mask(codes.index.to_series() == 3), "column 'a' .* row 4 is missing"),
        (lambda codes: codes.astype(int) * 2, "column 'a'"),
        (lambda codes: codes.assign(c="no"), "column 'c' .* Map yes and no to True and False"),
    ],
)
def test_codes_that_are_not_yes_or_no_are_refused(scored, wrong, message):
    codes, probabilities, predicted = scored
    codes.iloc[0] = True
    with pytest.raises(DataError, match=message):
        evaluate(wrong(codes), probabilities, predicted)


def test_ones_and_zeros_as_text_are_the_codes_that_they_say(scored):
    codes, probabilities, predicted = scored
    expected = evaluate(codes, probabilities, predicted, n_boot=20)
    text = codes.replace({True: "1", False: "0"})
    found = evaluate(text, probabilities, predicted.astype(int), n_boot=20)
    pd.testing.assert_frame_equal(found, expected)


def test_tables_of_predictions_are_taken_by_name(scored):
    codes, probabilities, predicted = scored
    codes = codes.set_axis([f"id{i}" for i in range(300)])
    tables = [pd.DataFrame(t, codes.index, codes.columns) for t in (probabilities, predicted)]
    expected = evaluate(codes, probabilities, predicted, n_boot=20)
    found = evaluate(codes, *(table[["c", "a", "b"]] for table in tables), n_boot=20)
    pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(DataError, match=r"probabilities: its columns .* 'd' is not in both"):
        evaluate(codes, tables[0].rename(columns={"a": "d"}).assign(a=0), tables[1])
    with pytest.raises(DataError, match="predicted: its index must be that of codes"):
        evaluate(codes, tables[0], tables[1][::-1])
    with pytest.raises(DataError, match="probabilities: its index must be that of codes"):
        evaluate(codes, tables[0].reset_index(drop=True), predicted)


@pytest.mark.parametrize("bad", [-0.01, 1.01, np.nan, np.inf])
def test_probabilities_outside_0_and_1_are_refused(scored, bad):
    codes, probabilities, predicted = scored
    probabilities = probabilities.copy()
    probabilities[5, 1] = bad
    with pytest.raises(DataError, match=r"probabilities: column 'b' must lie in \[0, 1\].* row 6"):
        evaluate(codes, probabilities, predicted)


def test_other_arguments_of_evaluate_are_checked(scored):
    codes, *given = scored
    with pytest.raises(DataError, match="predicted: column 'a'"):
        evaluate(codes, given[0], given[0])
    with pytest.raises(DataError, match="groups has 2 entries"):
        evaluate(codes, *given, groups=["a", "b"])
    with pytest.raises(DataError, match="another order"):
        evaluate(codes, *given, groups=pd.Series(range(300))[::-1])
    with pytest.raises(DataError, match="n_boot"):
        evaluate(codes, *given, n_boot=-1)
    with pytest.raises(DataError, match="conf_level"):
        evaluate(codes, *given, conf_level=95)


def test_crossfit_refuses_codes_that_are_not_yes_or_no_and_reads_text_digits(small_codes):
    texts, codes = small_codes
    with pytest.raises(DataError, match=r"codes: column 'money' .* row 1 is neither"):
        crossfit(NarrativeClassifier(), texts, codes.replace({True: "yes", False: "no"}))
    with pytest.raises(DataError, match="no narrative has gold codes"):
        crossfit(NarrativeClassifier(), texts, codes.astype(object).where(codes.isna(), None))
    with pytest.raises(DataError, match="must be a DataFrame"):
        crossfit(NarrativeClassifier(), texts, codes.to_numpy())
    expected = crossfit(NarrativeClassifier(cv=3), texts, codes, n_folds=2)
    digits = codes.replace({True: "1", False: "0"})
    found = crossfit(NarrativeClassifier(cv=3), texts, digits, n_folds=2)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


def test_crossfit_refuses_rows_in_another_order_and_too_few_groups(small_codes):
    texts, codes = small_codes
    with pytest.raises(DataError, match="texts and codes have the same index labels in another"):
        crossfit(NarrativeClassifier(), pd.Series(texts), codes[::-1])
    with pytest.raises(DataError, match="codes and groups have the same index labels"):
        crossfit(NarrativeClassifier(), texts, codes, groups=pd.Series(range(40))[::-1])
    with pytest.raises(DataError, match="n_folds must be at least 2, got 1"):
        crossfit(NarrativeClassifier(), texts, codes, n_folds=1)
    with pytest.raises(DataError, match="of the groups with gold codes 1 remains to learn from"):
        crossfit(NarrativeClassifier(), texts, codes, groups=["a", "b"] * 20)


def test_positives_of_one_group_tell_nothing_of_the_variance():
    codes = pd.DataFrame({"a": np.arange(200) < 10})
    agency = np.arange(200) // 10
    p = np.where(codes, 0.6, 0.4) + np.linspace(-0.3, 0.3, 200)[:, None]
    table = evaluate(codes, p, p > 0.5, groups=agency).set_index(["category", "metric"])
    limits = table[["conf_low", "conf_high"]]
    for metric in ("recall", "average_precision", "auc"):
        assert limits.loc["a", metric].isna().all()
    assert limits.loc["a", "precision"].notna().all()
    assert limits.loc["a", "brier"].notna().all()


def test_macro_is_missing_where_no_category_defines_it():
    codes = pd.DataFrame({"a": [False] * 6, "b": [False] * 6})
    p = np.full((6, 2), 0.2)
    table = evaluate(codes, p, p > 0.5).set_index(["category", "metric"])
    assert np.isnan(table.loc[("(macro)", "recall"), "estimate"])
    with pytest.raises(DataError, match="at least 2, got 1"):
        evaluate(codes, p, p > 0.5, n_boot=1)
