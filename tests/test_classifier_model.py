import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold

from boundary_research import DataError, NarrativeClassifier
from boundary_research.classifier.model import ThinCategoryWarning


def test_learns_and_generalises(small_codes):
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    assert model.classes_.tolist() == ["money", "gossip", "absence"]
    predicted = model.predict(["She lent him money.", "He gossiped about her diagnosis.", "Tea."])
    assert predicted.dtype == bool
    assert predicted[:, :2].tolist() == [[True, False], [False, True], [False, False]]
    probabilities = model.predict_proba(texts)
    assert probabilities.shape == codes.shape
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_thresholds_come_from_cross_validation(small_codes):
    texts, codes = small_codes
    rng = np.random.default_rng(3)
    noisy = codes ^ (rng.random(codes.shape) < 0.2)
    model = NarrativeClassifier().fit(texts, noisy)
    assert not np.isclose(model.thresholds_, 0.5).any()
    # Half of the best expected F1 of the cross-validated probabilities.
    ranked = np.sort(model.cv_probabilities_[:, 0])[::-1]
    expected = 2 * np.cumsum(ranked) / (np.arange(1, len(ranked) + 1) + ranked.sum())
    assert model.thresholds_[0] == pytest.approx(expected.max() / 2)


def test_same_seed_same_model_whatever_the_global_generator(small_codes):
    texts, codes = small_codes
    np.random.seed(1)  # noqa: NPY002 - to show that it is not used
    first = NarrativeClassifier(random_state=4).fit(texts, codes).predict_proba(texts)
    np.random.seed(2)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    second = NarrativeClassifier(random_state=4).fit(texts, codes).predict_proba(texts)
    assert (first == second).all()
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_array_codes_and_clone(small_codes):
    texts, codes = small_codes
    model = NarrativeClassifier(C=2.0, cv=3)
    copy = clone(model)
    assert copy.get_params() == model.get_params()
    copy.fit(texts, codes.to_numpy().astype(int))
    assert copy.classes_.tolist() == ["0", "1", "2"]
    assert not hasattr(model, "coef_")


def test_categories_without_or_with_one_positive_are_told_and_never_predicted(small_codes):
    texts, codes = small_codes
    codes = codes.assign(never=False, once=[True] + [False] * (len(texts) - 1))
    with pytest.warns(ThinCategoryWarning) as told:
        model = NarrativeClassifier().fit(texts, codes)
    assert {str(w.message).split("'")[1] for w in told} == {"never", "once"}
    assert not model.predict(texts)[:, 3:].any()
    assert set(model.decide(model.predict_proba(texts))[:, 3]) == {"absent"}
    assert model.notes_["never"].startswith("0 positive")


def test_category_of_every_narrative(small_codes):
    texts, codes = small_codes
    with pytest.warns(ThinCategoryWarning):
        model = NarrativeClassifier().fit(texts, codes.assign(always=True))
    assert model.predict(["Something else."])[0, 3]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_handful_of_narratives_does_not_crash(n):
    texts = [f"text number {i} about money" for i in range(n)]
    codes = pd.DataFrame({"a": [True] + [False] * (n - 1), "b": [i % 2 == 0 for i in range(n)]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ThinCategoryWarning)
        model = NarrativeClassifier().fit(texts, codes)
    assert model.predict_proba(["anything", ""]).shape == (2, 2)


def test_groups_are_never_split(small_codes, monkeypatch):
    from boundary_research.classifier import _calibration

    texts, codes = small_codes
    groups = np.arange(len(texts)) // 8
    for train, test in _calibration.split_folds(codes.to_numpy(), groups, 5, 0):
        assert not set(groups[train]) & set(groups[test])


def test_auxiliary_narratives_are_learned_from_in_every_fold_and_never_held_out(small_codes):
    from boundary_research.classifier import _calibration

    labels = small_codes[1].to_numpy()
    auxiliary = np.arange(len(labels)) % 3 == 0
    groups = (np.arange(len(labels)) // 4).tolist()
    for given in (None, groups):
        folds = list(_calibration.split_folds(labels, given, 5, 0, auxiliary=auxiliary))
        held = np.concatenate([test for _, test in folds])
        assert sorted(held) == np.flatnonzero(~auxiliary).tolist()
        for train, test in folds:
            assert set(np.flatnonzero(auxiliary)) <= set(train)
            assert not set(train) & set(test)


def test_only_narratives_that_are_not_auxiliary_calibrate(small_codes):
    texts, codes = small_codes
    # Narratives that teach: every one shows the category, which says nothing of its share.
    more = texts + [f"The worker gave the tenant {n} pounds of money." for n in range(30)]
    extra = pd.DataFrame(False, index=range(30), columns=codes.columns).assign(money=True)
    taught = pd.concat([codes, extra], ignore_index=True)
    auxiliary = np.arange(len(more)) >= len(texts)
    model = NarrativeClassifier().fit(more, taught, auxiliary=auxiliary)
    assert np.isnan(model.cv_probabilities_[auxiliary]).all()
    own = model.cv_probabilities_[~auxiliary]
    assert own.shape == codes.shape
    assert abs(own[:, 0].mean() - codes["money"].mean()) < 0.05
    assert model.n_positive_[0] == codes["money"].sum() + 30
    alone = NarrativeClassifier().fit(texts, codes)
    assert model.decision_function(["pounds"])[0, 0] > alone.decision_function(["pounds"])[0, 0]


@pytest.mark.parametrize(
    ("auxiliary", "message"),
    [
        ([True], "1 entries for 40"),
        ([True] * 40, "none is left"),
        ([0, 1] * 20, "True or False"),
    ],
)
def test_wrong_auxiliary_is_refused(small_codes, auxiliary, message):
    with pytest.raises(DataError, match=message):
        NarrativeClassifier().fit(*small_codes, auxiliary=auxiliary)


def test_folds_balance_every_category(small_codes):
    from boundary_research.classifier import _calibration

    labels = small_codes[1].to_numpy()
    counts = [labels[test].sum(axis=0) for _, test in _calibration.split_folds(labels, None, 5, 0)]
    assert np.ptp(counts, axis=0).max() <= 1


def test_decisions_agree_with_predictions(small_codes):
    texts, codes = small_codes
    noisy = codes ^ (np.random.default_rng(0).random(codes.shape) < 0.2)
    model = NarrativeClassifier().fit(texts, noisy)
    probabilities = np.tile(np.linspace(0, 1, 101)[:, None], (1, 3))
    decided = model.decide(probabilities)
    predicted = probabilities >= model.thresholds_
    assert predicted[decided == "present"].all()
    assert not predicted[decided == "absent"].any()


def test_no_texts_give_no_rows(small_codes):
    model = NarrativeClassifier().fit(*small_codes)
    for answer in (model.predict_proba, model.predict, model.decision_function):
        assert answer([]).shape == (0, 3)
    assert model.decide(model.predict_proba([])).shape == (0, 3)


def test_texts_without_a_word_have_the_score_of_no_features(small_codes):
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    assert model.decision_function(["", " \n", "…"])[0] == pytest.approx(model.intercept_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ThinCategoryWarning)
        wordless = NarrativeClassifier(characters=None).fit(["!", "?", ".", ","] * 3, codes[:12])
    assert wordless.coef_.shape == (3, 0)
    assert wordless.predict_proba(["a word", ""]).shape == (2, 3)
    assert wordless.predict_proba([]).shape == (0, 3)


def test_either_block_can_be_left_out_but_not_both(small_codes):
    texts, codes = small_codes
    for words, characters in (((1, 2), None), (None, (3, 5))):
        model = NarrativeClassifier(words=words, characters=characters).fit(texts, codes)
        assert model.predict_proba(texts[:2]).shape == (2, 3)
    with pytest.raises(DataError, match="both None"):
        NarrativeClassifier(words=None, characters=None).fit(texts, codes)


def test_saved_model_predicts_the_same_and_holds_no_pickle(small_codes, tmp_path):
    texts, codes = small_codes
    with pytest.warns(ThinCategoryWarning):
        model = NarrativeClassifier().fit(texts, codes.assign(never=False))
    path = model.save(tmp_path / "model.npz")
    loaded = NarrativeClassifier.load(path)
    assert (loaded.predict_proba(texts) == model.predict_proba(texts)).all()
    assert loaded.notes_ == model.notes_
    assert loaded.get_params() == model.get_params()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            array = np.load(archive.open(name), allow_pickle=False)
            assert array.dtype.kind in "fiu"


def test_rare_words_are_not_in_the_model_file(small_codes, tmp_path):
    texts, codes = small_codes
    texts = [text + (" Zebulon Quirke 0164-7731" if i < 2 else "") for i, text in enumerate(texts)]
    model = NarrativeClassifier().fit(texts, codes)
    with np.load(model.save(tmp_path / "m.npz"), allow_pickle=False) as arrays:
        terms = b"".join(arrays[name].tobytes() for name in arrays.files if name.endswith("terms"))
    assert b"zebulon" not in terms
    assert b"7731" not in terms


@pytest.mark.parametrize("content", [b"no model", b"PK\x03\x04broken"])
def test_other_files_are_no_models(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match="not a model"):
        NarrativeClassifier.load(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("texts", "codes", "said"),
    [
        ("one text", [[1]], "must be a sequence"),
        (["a", None], [[1], [0]], "entry 2 is NoneType"),
        (["a", "b"], [[1]], "one row for each of the 2"),
        (["a", "b"], [[1], [2]], "1/0 in every cell"),
        (["a", "b"], [[1.0], [np.nan]], "1/0 in every cell"),
        ([], np.zeros((0, 2)), "at least one row"),
    ],
)
def test_bad_input_is_refused_in_words(texts, codes, said):
    with pytest.raises(DataError, match=said):
        NarrativeClassifier().fit(texts, codes)


def test_estimator_checks_that_apply():
    from sklearn.utils.estimator_checks import check_estimator

    # The checks that feed number matrices do not apply to an estimator of texts; those that look
    # at the estimator itself do.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(NarrativeClassifier(), on_fail=None, on_skip=None)
    failed = {result["check_name"] for result in results if result["status"] == "failed"}
    passed = {result["check_name"] for result in results if result["status"] == "passed"}
    assert not failed
    assert passed


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_get_params_invariance",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_estimator_itself(check):
    from sklearn.utils import estimator_checks

    getattr(estimator_checks, check)("NarrativeClassifier", NarrativeClassifier())


def test_real_tags_are_learned(real_data):
    table = pd.read_csv(real_data / "govtrack_misconduct.csv")
    tags = ["corruption", "crime", "elections", "ethics", "sexual-harassment-abuse"]
    texts, codes = table["text"].fillna("").to_numpy(), table[tags] == "X"
    predicted = np.zeros(codes.shape, dtype=bool)
    for train, test in KFold(5, shuffle=True, random_state=0).split(texts):
        model = NarrativeClassifier().fit(texts[train].tolist(), codes.iloc[train])
        predicted[test] = model.predict(texts[test].tolist())
    assert f1_score(codes, predicted, average="micro") >= 0.79
    assert f1_score(codes, predicted, average="macro") >= 0.78


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"C": 0}, "C must be above 0, got 0"),
        ({"C": -1.0}, "C must be above 0"),
        ({"C": "4"}, "C must be a number, got str"),
        ({"C": np.nan}, "C must be a finite number"),
        ({"alpha": 0.0}, "alpha must be above 0"),
        ({"character_weight": -1}, "character_weight must be 0 or more"),
        ({"evidence_weight": -0.1}, "evidence_weight must be 0 or more"),
        ({"min_narratives": 0}, "min_narratives must be a whole number from 1, got 0"),
        ({"min_narratives": 2.5}, "min_narratives must be a whole number"),
        ({"words": (0, 2)}, "words must rise from 1"),
        ({"words": 2}, "words must be None or two whole numbers"),
        ({"characters": (5, 3)}, "characters must rise"),
        ({"characters": (3.0, 5.0)}, "characters must be None or two whole"),
        ({"cv": 1}, "cv must be at least 2, got 1"),
        ({"cv": 0}, "cv must be a whole number from 1"),
        ({"cv": True}, "cv must be a whole number"),
        ({"precision": 80}, "precision"),
        ({"miss_rate": 1}, "miss_rate"),
        ({"ratio_share": -1}, "ratio_share"),
        ({"random_state": None}, "random_state must be a whole number from 0"),
        ({"random_state": 2**32}, "random_state must be at most"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(small_codes, parameters, message):
    with pytest.raises(DataError, match=message):
        NarrativeClassifier(**parameters).fit(*small_codes)


def test_parameters_at_the_edge_of_their_range_fit(small_codes):
    edge = {"character_weight": 0, "evidence_weight": 0, "min_narratives": np.int64(1), "cv": 2}
    model = NarrativeClassifier(words=[1, 1], **edge).fit(*small_codes)
    assert model.predict_proba(["money"]).shape == (1, 3)


def test_rows_in_another_order_are_refused(small_codes):
    texts, codes = small_codes
    ids = [f"id{i}" for i in range(40)]
    series, table = pd.Series(texts, ids), codes.set_axis(ids)
    groups = pd.Series(np.arange(40) // 4, ids)
    expected = NarrativeClassifier().fit(texts, codes, groups=groups.tolist()).predict_proba(texts)

    def refused(message, *given, **options):
        with pytest.raises(DataError, match=message):
            NarrativeClassifier().fit(*given, **options)

    refused("texts and codes have the same index labels in another order", series[::-1], table)
    refused("codes.loc\\[texts.index\\]", pd.Series(texts)[::-1], codes)
    refused("codes and groups have the same index labels", texts, table, groups=groups[::-1])
    refused("texts and groups", series, codes, groups=groups[::-1])
    refused("indexes of texts and codes differ", series, table.set_axis([f"x{i}" for i in ids]))
    auxiliary = pd.Series([False] * 40, ids)
    refused("codes and auxiliary", texts, table, auxiliary=auxiliary[::-1])
    # The same order, or a plain index on either side.
    for one, other in ((series, table), (pd.Series(texts), table), (series, codes)):
        model = NarrativeClassifier().fit(one, other, groups=groups)
        np.testing.assert_array_equal(model.predict_proba(texts), expected)
    later = codes.set_axis(pd.RangeIndex(100, 140))
    NarrativeClassifier().fit(series, later)


def test_series_of_groups_is_taken_by_position_beside_auxiliary_narratives(small_codes):
    texts, codes = small_codes
    auxiliary = np.arange(40) < 8
    owners = np.arange(40) // 4
    expected = NarrativeClassifier().fit(texts, codes, groups=owners.tolist(), auxiliary=auxiliary)
    groups = pd.Series(owners, index=range(100, 140))
    found = NarrativeClassifier().fit(texts, codes, groups=groups, auxiliary=auxiliary)
    np.testing.assert_array_equal(found.cv_probabilities_, expected.cv_probabilities_)


def test_what_cannot_be_held_out_is_told(small_codes):
    texts, codes = small_codes
    with pytest.raises(DataError, match="all 40 narratives are of one group"):
        NarrativeClassifier().fit(texts, codes, groups=["a"] * 40)
    auxiliary = [True] * 20 + [False] * 20
    with pytest.raises(DataError, match="all 20 narratives that are not auxiliary are of one"):
        NarrativeClassifier().fit(texts, codes, groups=["a"] * 20 + ["b"] * 20, auxiliary=auxiliary)
    with pytest.raises(DataError, match="auxiliary is False for one narrative only"):
        NarrativeClassifier().fit(texts, codes, auxiliary=[True] * 39 + [False])


def test_codes_that_are_text_name_their_column_and_the_remedy(small_codes):
    texts, codes = small_codes
    with pytest.raises(DataError, match=r"codes: column 'gossip' .* Map yes and no to True and"):
        NarrativeClassifier().fit(texts, codes.assign(gossip="no"))
    digits = codes.replace({True: "1", False: "0"})
    model = NarrativeClassifier().fit(texts, digits)
    assert model.n_positive_.tolist() == codes.sum().tolist()
    with pytest.raises(DataError, match="got a DataFrame"):
        NarrativeClassifier().fit(pd.DataFrame({"narrative": texts}), codes)


def test_score_takes_columns_by_name(small_codes):
    texts, codes = small_codes
    model = NarrativeClassifier().fit(texts, codes)
    assert model.score(texts, codes[["gossip", "absence", "money"]].assign(other=True)) == 1
    with pytest.raises(DataError, match="column 'money' not found"):
        model.score(texts, codes[["gossip", "absence"]])


def test_a_limit_that_nothing_reaches_is_infinite_and_stays_so_in_a_file(small_codes, tmp_path):
    texts, codes = small_codes
    shuffled = codes.sample(frac=1, random_state=0).to_numpy()  # nothing to learn
    model = NarrativeClassifier(precision=1.0).fit(texts, shuffled)
    assert np.isinf(model.review_high_).any()
    assert "present" not in model.decide(np.ones((1, 3)))[:, np.isinf(model.review_high_)]
    path = model.save(tmp_path / "model.npz")
    with np.load(path) as arrays:
        assert np.isfinite(arrays["review_high_"]).all()  # as earlier versions read it
    loaded = NarrativeClassifier.load(path)
    np.testing.assert_array_equal(loaded.review_high_, model.review_high_)
    assert loaded.risk_control_ == {}
