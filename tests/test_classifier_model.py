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
