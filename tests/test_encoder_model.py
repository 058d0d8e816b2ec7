"""A fine-tuned encoder: windows, coding without torch, evidence, files, and what can go wrong."""

import importlib.util
import json
import pickle
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from boundary_research._checks import DataError
from boundary_research.classifier import _encoder_quantization
from boundary_research.classifier._encoder_examples import find_weights, keep_pairs_together
from boundary_research.classifier._encoder_scoring import TokenScorer, TokenScores
from boundary_research.classifier._encoder_windows import WindowTokenizer, group_by_length, pad
from boundary_research.classifier.decisions import code
from boundary_research.classifier.encoder_model import TransformerClassifier
from boundary_research.classifier.evidence import find_evidence
from boundary_research.classifier.model import NarrativeClassifier
from boundary_research.classifier.risk_control import control_risk

pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")
REFERENCE = ROOT / "tests" / "reference"
FILE = REFERENCE / "encoder_tiny.zip"
TEXT = "The worker filled the kettle. She parked the van. He lent money to the tenant at the shop."


@pytest.fixture(scope="module")
def model():
    return TransformerClassifier.load(FILE)


@pytest.fixture(scope="module")
def tokenizer(model):
    return WindowTokenizer(model.tokenizer_, longest=12, overlap=4)


def without(monkeypatch, *names):
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


# Windows


def test_windows_hold_every_token_once_with_its_place(tokenizer):
    whole = WindowTokenizer(tokenizer.definition, longest=1000).cut([TEXT])[0]
    windows = tokenizer.cut([TEXT])
    assert len(windows) > 1
    assert all(len(window.ids) <= 12 for window in windows)
    counted = np.concatenate([w.places[w.counts] for w in windows])
    np.testing.assert_array_equal(counted, whole.places[whole.counts])
    words = [TEXT[start:end].lower() for start, end in counted]
    assert words[:6] == ["the", "worker", "filled", "the", "kettle", "."]


def test_a_text_of_exactly_one_window_is_not_cut(tokenizer):
    assert len(tokenizer.cut(["the " * 10])) == 1
    assert len(tokenizer.cut(["the " * 11])) == 2


def test_each_token_is_seen_with_words_on_both_sides(tokenizer):
    for window in tokenizer.cut([TEXT * 3])[1:-1]:
        counted = np.flatnonzero(window.counts)
        # Two of the four shared tokens and a special one lie before and after.
        assert counted[0] >= 3
        assert len(window.ids) - 1 - counted[-1] >= 3


@given(st.lists(st.text(max_size=120), max_size=4))
def test_any_text_is_cut_into_places_inside_it(texts):
    cutter = WindowTokenizer(_definition(), longest=12, overlap=4)
    windows = cutter.cut(texts)
    assert sorted({window.row for window in windows}) == list(range(len(texts)))
    for row, text in enumerate(texts):
        own = [window for window in windows if window.row == row]
        places = np.concatenate([w.places[w.counts] for w in own])
        inside = places[places[:, 0] >= 0]
        assert (inside[:, 0] <= inside[:, 1]).all()
        assert (inside[:, 1] <= len(text)).all()
        assert (np.diff(inside[:, 0]) >= 0).all()
        assert len(places) >= 1


def _definition():
    with zipfile.ZipFile(FILE) as archive:
        return archive.read("tokenizer.json").decode()


def test_padding_and_batches_keep_all_windows(tokenizer):
    windows = tokenizer.cut([TEXT, "the", "", TEXT * 4])
    batches = list(group_by_length(windows, most_tokens=30))
    assert sorted(i for batch in batches for i in batch) == list(range(len(windows)))
    for batch in batches:
        ids, mask = pad([windows[i] for i in batch])
        assert ids.shape == mask.shape
        assert ids.size <= 30
        assert mask.sum() == sum(len(windows[i].ids) for i in batch)


@pytest.mark.parametrize("overlap", [-1, 10])
def test_an_overlap_as_long_as_a_window_is_refused(tokenizer, overlap):
    with pytest.raises(DataError, match="overlap must be from 0 to 9"):
        WindowTokenizer(tokenizer.definition, longest=12, overlap=overlap)


def test_what_is_no_tokenizer_is_refused():
    with pytest.raises(DataError, match="not a definition"):
        WindowTokenizer("{}")


# Pooling


def test_pooled_score_is_the_log_of_summed_odds_and_parts_weigh_what_they_add():
    scores = np.log(np.array([[1.0, 4.0], [2.0, 4.0], [1.0, 8.0]]))
    tokens = TokenScores(scores, np.array([[0, 3], [4, 6], [7, 9]]))
    np.testing.assert_allclose(tokens.pool(), np.log([4, 16]))
    weights = tokens.weigh(np.array([0, 7]))
    np.testing.assert_allclose(weights, np.log([[4 / 1, 16 / 8], [4 / 3, 16 / 8]]))


def test_a_token_before_the_first_part_or_without_a_place_belongs_to_none():
    tokens = TokenScores(np.zeros((3, 1)), np.array([[-1, -1], [0, 2], [5, 6]]))
    np.testing.assert_allclose(tokens.weigh(np.array([4])), [[np.log(3 / 2)]])


# Coding


def test_probabilities_are_those_of_torch(model):
    expected = json.loads((REFERENCE / "encoder_tiny.json").read_text("utf-8"))
    found = model.predict_proba(expected["texts"])
    np.testing.assert_allclose(found, expected["probabilities"], atol=1e-5)
    # Alone or in company, a narrative has the same probabilities.
    alone = np.vstack([model.predict_proba([text]) for text in expected["texts"]])
    np.testing.assert_allclose(alone, found, atol=1e-5)


def test_it_codes_what_it_was_taught(model):
    texts = [
        "He lent money to the tenant.",
        "The worker gossiped about the diagnosis, and nobody asked.",
        "He cancelled every visit to the family.",
        "She parked the van.",
    ]
    expected = np.vstack([np.eye(3, dtype=bool), np.zeros((1, 3), dtype=bool)])
    assert list(model.classes_) == ["money", "gossip", "absence"]
    np.testing.assert_array_equal(model.predict(texts), expected)
    probabilities = model.predict_proba(texts)
    np.testing.assert_array_equal(model.decide(probabilities) == "present", expected)
    np.testing.assert_array_equal(probabilities >= model.thresholds_, expected)


def test_empty_texts_no_texts_and_texts_that_are_none(model):
    assert model.predict_proba([]).shape == (0, 3)
    assert np.isfinite(model.predict_proba(["", "   ", "\n"])).all()
    with pytest.raises(DataError, match="entry 2"):
        model.predict_proba(["a", None])


@given(st.text(max_size=60))
def test_any_unicode_text_has_probabilities_and_evidence_inside_it(text):
    model = _loaded()
    probabilities = model.predict_proba([text])
    assert ((probabilities > 0) & (probabilities < 1)).all()
    for _, start, end, weight in find_evidence(model, text, [0, 1, 2]):
        assert 0 <= start < end <= len(text)
        assert weight > 0


_CACHE = {}


def _loaded():
    return _CACHE.setdefault("model", TransformerClassifier.load(FILE))


def test_lone_surrogates_shift_nothing(model):
    marked = "\ud800 " + TEXT
    np.testing.assert_array_equal(
        model.token_scores(marked).places, model.token_scores("� " + TEXT).places
    )


def test_evidence_is_the_clause_that_says_it_wherever_it_stands(model):
    act = "He borrowed money from the tenant."
    for text in (f"{act} She parked the van.", f"😀 The Väter parked. {act}", f"{TEXT[:50]}{act}"):
        ((_, start, end, weight),) = find_evidence(model, text, [0], most=1)
        assert text[start:end] == act
        assert weight > 0


def test_a_long_text_is_read_to_its_end(model):
    filler = "The worker filled the kettle. " * 30
    plain, tokens = model.token_scores(filler), model.token_scores(filler + TEXT[50:])
    assert len(tokens.scores) > 150
    assert tokens.pool()[0] > plain.pool()[0] + 1
    start, end = tokens.places[np.argmax(tokens.scores[:, 0])]
    assert len(filler) <= start < end <= len(filler) + len(TEXT[50:])


def test_code_gives_the_same_tables_as_for_the_default(model):
    incidents = pd.DataFrame(
        {"incident_id": ["a", "b"], "narrative": [TEXT, "She parked the van."]}
    )
    coded = code(incidents, model, chunk_size=1)
    assert coded.categories == ["money", "gossip", "absence"]
    wide = coded.wide().set_index("incident_id")
    assert wide.loc["a", "money"] == 1
    assert wide.loc["b", ["money", "gossip", "absence"]].tolist() == [0, 0, 0]
    np.testing.assert_allclose(
        wide["money_probability"], model.predict_proba(incidents["narrative"])[:, 0], atol=1e-4
    )
    spans = coded.evidence.set_index("incident_id")
    assert set(spans.index) == {"a"}
    span = spans.loc[["a"]].iloc[0]
    assert "lent money" in TEXT[span["start"] : span["end"]]


def test_token_scores_are_remembered_of_the_last_texts_only(model, monkeypatch):
    model.predict_proba([TEXT])
    asked = []
    monkeypatch.setattr(model, "_score_tokens", lambda texts: asked.append(texts) or [None])
    model.token_scores(TEXT)
    assert not asked
    model.token_scores("another")
    assert asked == [["another"]]


# Files


def test_a_file_of_an_earlier_version_has_no_embeddings_and_says_so(model):
    with pytest.raises(DataError, match="earlier version"):
        model.encode(["a text"])


def test_save_and_load_give_the_same_model_and_the_same_file(model, tmp_path):
    first = model.save(tmp_path / "first.zip")
    again = TransformerClassifier.load(first)
    np.testing.assert_array_equal(again.predict_proba([TEXT]), model.predict_proba([TEXT]))
    assert again.notes_ == model.notes_
    assert again.get_params() == model.get_params()
    assert again.save(tmp_path / "second.zip").read_bytes() == first.read_bytes()
    assert FILE.stat().st_size < 100_000


def test_a_saved_model_holds_no_folder_and_no_text(tmp_path):
    model = TransformerClassifier.load(FILE).set_params(weights="/home/somebody/weights")
    model.predict_proba(["A secret sentence"])
    with zipfile.ZipFile(model.save(tmp_path / "model.zip")) as archive:
        assert sorted(archive.namelist()) == ["header.json", "model.onnx", "tokenizer.json"]
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert b"somebody" not in content
    assert b"secret" not in content


def test_pickled_for_another_process_it_leaves_narratives_behind(model):
    model.predict_proba(["A secret sentence"])
    data = pickle.dumps(model)
    assert b"secret" not in data
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.predict_proba([TEXT]), model.predict_proba([TEXT]))


def test_clone_is_untrained(model):
    other = clone(model.set_params(epochs=2))
    assert other.epochs == 2
    with pytest.raises(Exception, match="not fitted"):
        other.predict_proba([TEXT])


def _rewrite(path, **changed):
    with zipfile.ZipFile(FILE) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts |= changed
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            if content is not None:
                archive.writestr(name, content)
    return path


def test_files_that_are_no_model_are_refused_in_words(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(DataError, match="not a fine-tuned encoder"):
        TransformerClassifier.load(tmp_path / "text.zip")
    with pytest.raises(DataError, match="does not exist"):
        TransformerClassifier.load(tmp_path / "none.zip")
    part = _rewrite(tmp_path / "part.zip", **{"model.onnx": None})
    with pytest.raises(DataError, match="not a fine-tuned encoder"):
        TransformerClassifier.load(part)
    header = json.loads(zipfile.ZipFile(FILE).read("header.json"))
    newer = _rewrite(tmp_path / "new.zip", **{"header.json": json.dumps(header | {"format": 99})})
    with pytest.raises(DataError, match="Update boundary_research"):
        TransformerClassifier.load(newer)
    header["arrays"]["thresholds_"] = [0.5]
    short = _rewrite(tmp_path / "short.zip", **{"header.json": json.dumps(header)})
    with pytest.raises(DataError, match="incomplete header"):
        TransformerClassifier.load(short)
    broken = _rewrite(tmp_path / "broken.zip", **{"model.onnx": b"nothing"})
    with pytest.raises(DataError, match="cannot be run"):
        TransformerClassifier.load(broken).predict_proba([TEXT])
    with pytest.raises(DataError, match="not a fine-tuned encoder"):
        TransformerClassifier.load(
            NarrativeClassifier()
            .fit(["lent money", "no"] * 5, np.tile([[1], [0]], (5, 1)))
            .save(tmp_path / "linear.npz")
        )


# What is not installed, or not there


def test_coding_without_its_libraries_says_what_to_install(monkeypatch):
    model = TransformerClassifier.load(FILE)
    without(monkeypatch, "tokenizers")
    with pytest.raises(DataError, match="pip install onnxruntime tokenizers"):
        model.predict_proba([TEXT])
    monkeypatch.undo()
    without(monkeypatch, "onnxruntime")
    with pytest.raises(DataError, match=r"library onnxruntime.*pip install"):
        model.predict_proba([TEXT])


def test_fitting_without_torch_says_what_to_install(monkeypatch, weights, small_codes):
    without(monkeypatch, "torch")
    monkeypatch.delitem(
        sys.modules, "boundary_research.classifier._encoder_training", raising=False
    )
    with pytest.raises(DataError, match=r"boundary-research\[transformer\]"):
        TransformerClassifier(weights).fit(*small_codes)


def test_quantising_without_onnx_says_what_to_install(model, monkeypatch):
    without(monkeypatch, "onnxruntime.quantization", "onnx")
    with pytest.raises(DataError, match=r"boundary-research\[transformer\]"):
        model.quantize()


@pytest.fixture
def weights(tmp_path):
    """A folder that looks like weights up to the point where torch would read them."""
    (tmp_path / "tokenizer.json").write_text(_definition())
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"\0")
    return tmp_path


def test_missing_weights_are_named(tmp_path, weights, small_codes):
    with pytest.raises(DataError, match="fit needs weights"):
        TransformerClassifier().fit(*small_codes)
    with pytest.raises(DataError, match="does not exist"):
        TransformerClassifier(tmp_path / "none").fit(*small_codes)
    with pytest.raises(DataError, match="neither a folder nor an installed package"):
        TransformerClassifier("no_such_package").fit(*small_codes)
    (weights / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"has no tokenizer\.json"):
        TransformerClassifier(weights).fit(*small_codes)


def test_weights_are_found_in_an_installed_package(tmp_path, monkeypatch):
    folder = tmp_path / "some_weights" / "model"
    folder.mkdir(parents=True)
    (tmp_path / "some_weights" / "__init__.py").write_text("raise ImportError")
    (folder / "model.safetensors").write_bytes(b"\0")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_weights("some_weights") == folder


def test_a_guarantee_is_kept_in_the_file_and_not_lost_by_quantizing(model, small_codes, tmp_path):
    controlled, _ = control_risk(model, *small_codes)
    loaded = TransformerClassifier.load(controlled.save(tmp_path / "controlled.zip"))
    assert loaded.risk_control_ == controlled.risk_control_ != {}
    np.testing.assert_array_equal(loaded.review_high_, controlled.review_high_)
    with pytest.raises(DataError, match="Quantize the model first"):
        loaded.quantize()


def test_wrong_arguments_of_fit_are_refused(weights, small_codes):
    texts, codes = small_codes
    model = TransformerClassifier(weights)
    with pytest.raises(DataError, match="groups has 1 entries for 40"):
        model.fit(texts, codes, groups=["a"])
    with pytest.raises(DataError, match="pairs has 1 entries for 40"):
        model.fit(texts, codes, pairs=["a"])
    with pytest.raises(DataError, match="cv must be at least 2"):
        TransformerClassifier(weights, cv=1).fit(texts, codes)
    with pytest.raises(DataError, match="all 40 narratives are of one group"):
        model.fit(texts, codes, groups=["a"] * 40)
    with pytest.raises(DataError, match="texts and codes have the same index labels in another"):
        model.fit(pd.Series(texts), codes[::-1])
    with pytest.raises(DataError, match="codes and pairs have the same index labels in another"):
        model.fit(texts, codes, pairs=pd.Series([None] * 40)[::-1])
    with pytest.raises(DataError, match="precision"):
        TransformerClassifier(weights, precision=2).fit(texts, codes)
    with pytest.raises(DataError, match="epochs must be a whole number from 1"):
        TransformerClassifier(weights, epochs=0).fit(texts, codes)
    with pytest.raises(DataError, match="held_out_folds"):
        TransformerClassifier(weights, held_out_folds=0).fit(texts, codes)
    with pytest.raises(DataError, match="learning_rate must be above 0"):
        TransformerClassifier(weights, learning_rate=0).fit(texts, codes)


def test_pairs_share_a_fold_where_no_groups_are_given():
    partner = np.array([1, 0, -1, 4, 3])
    assert keep_pairs_together(None, partner) == [0, 0, 2, 3, 3]
    assert keep_pairs_together(["a"] * 5, partner) == ["a"] * 5
    assert keep_pairs_together(None, np.array([-1, -1])) is None


# Fine-tuning (needs torch)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network of random weights, fine-tuned for three short epochs, and what made it."""
    for name in ("torch", "transformers", "onnxscript"):
        pytest.importorskip(name)
    spec = importlib.util.spec_from_file_location("encoder_tiny", REFERENCE / "encoder_tiny.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    texts, codes, evidence = maker.make_sentences()
    folder = maker.write_weights(tmp_path_factory.mktemp("weights"), texts)
    pairs = [i // 2 if i % 8 < 2 else None for i in range(len(texts))]

    def fit(**parameters):
        model = TransformerClassifier(
            folder, **maker.PARAMETERS | {"epochs": 3, "threads": 1} | parameters
        )
        return model.fit(texts, codes, evidence=evidence, pairs=pairs)

    fit.model, fit.folder = fit(held_out_folds=1), folder
    return fit, texts, codes


def test_fitting_twice_gives_the_same_model_and_leaves_torch_as_it_was(trained):
    import torch

    fit, texts, _ = trained
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = (fit(held_out_folds=1, pair_weight=2.0) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(one.cv_probabilities_, two.cv_probabilities_)
    np.testing.assert_array_equal(one.predict_proba(texts), two.predict_proba(texts))
    other = fit(held_out_folds=1, pair_weight=2.0, random_state=1)
    assert not np.array_equal(one.predict_proba(texts), other.predict_proba(texts))


def test_one_held_out_fold_calibrates_on_its_narratives_alone(trained):
    fit, texts, _ = trained
    model = fit(cv=4, held_out_folds=1)
    held = np.isfinite(model.cv_probabilities_).all(axis=1)
    assert 0 < held.sum() < len(texts) / 2
    assert np.isfinite(model.thresholds_).all()


@pytest.mark.parametrize(("activations", "most"), [(False, 0.1), (True, 0.2)])
def test_quantised_copy_is_smaller_and_nearly_the_same(trained, monkeypatch, activations, most):
    pytest.importorskip("onnx")
    monkeypatch.setattr(_encoder_quantization, "_FEWEST", 16)
    fit, texts, _ = trained
    model = fit.model
    small = model.quantize(activations=activations)
    assert len(small.onnx_) < len(model.onnx_)
    assert 0 < np.abs(small.predict_proba(texts) - model.predict_proba(texts)).max() < most
    np.testing.assert_array_equal(small.thresholds_, model.thresholds_)


def test_stored_weights_are_whole_numbers_times_the_scale_of_their_column(trained, monkeypatch):
    onnx = pytest.importorskip("onnx")
    monkeypatch.setattr(_encoder_quantization, "_FEWEST", 16)
    model = trained[0].model
    small = onnx.load_from_string(model.quantize().onnx_)
    before = {t.name: t for t in onnx.load_from_string(model.onnx_).graph.initializer}
    after = {t.name: onnx.numpy_helper.to_array(t) for t in small.graph.initializer}
    nodes = [node for node in small.graph.node if node.op_type == "DequantizeLinear"]
    axes = set()
    for node in nodes:
        (axis,) = (a.i for a in node.attribute if a.name == "axis")
        axes.add(axis)
        whole, scale = (after[name] for name in node.input)
        assert whole.dtype == np.int8
        # Each row (0) or column (1) that is not all zero (padding) uses the whole range.
        largest = np.abs(whole.astype(int)).max(axis=1 - axis)
        np.testing.assert_array_equal(largest[largest > 0], 127)
        assert (largest > 0).mean() > 0.9
        scale = scale[:, None] if axis == 0 else scale[None]
        exact = onnx.numpy_helper.to_array(before[node.output[0]])
        assert (np.abs(whole * scale - exact) <= scale * 0.501).all()
    assert axes == {0, 1}
    # Nothing but weights is rounded.
    assert not [n for n in small.graph.node if n.op_type in ("QuantizeLinear", "MatMulInteger")]


def test_losses_are_those_of_their_definition(trained):
    import torch

    from boundary_research.classifier import _encoder_losses as losses
    from boundary_research.classifier._encoder_windows import Window

    fit, _, _ = trained
    settings = fit.model._settings()
    counts = np.array([False, True, True, True, False])
    places = np.array([[-1, -1], [0, 2], [3, 5], [6, 9], [-1, -1]])
    window = Window(0, np.zeros(5, dtype=np.int64), places, counts)
    scores = torch.tensor([[[9.0], [1.0], [-2.0], [0.5], [9.0]]])
    own = np.array([0])
    # The second token is in the evidence; the others lie outside, and special tokens say nothing.
    found = losses._evidence_loss(scores, [window], own, [[(0, 3, 5)]], settings)
    outside = np.log1p(np.exp([1.0, 0.5])).mean()
    assert found.item() == pytest.approx(np.log1p(np.exp(2.0)) + settings.outside_weight * outside)
    assert losses._evidence_loss(scores, [window], own, [[]], settings).item() == 0
    pooled = losses._pool(
        scores.repeat(2, 1, 1), torch.from_numpy(np.array([counts, counts])), own.repeat(2), 1
    )
    assert pooled.item() == pytest.approx(np.logaddexp.reduce([1.0, -2.0, 0.5] * 2))
    # One pair, in which the side with the category scores 1 lower than the one without.
    logits = torch.tensor([[0.0, 5.0], [1.0, 5.0], [7.0, 7.0]])
    target = torch.tensor([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    pair = losses._pair_loss(logits, target, np.array([8, 4, -1]), np.array([4, 8, 2]))
    assert pair.item() == pytest.approx(np.log1p(np.e))
    alone = losses._pair_loss(logits[:1], target[:1], np.array([8]), np.array([4]))
    assert alone.item() == 0


def test_an_exported_network_does_not_say_where_it_was_made(trained):
    for trace in (b"site-packages", b'File "', b".py", str(trained[0].folder).encode()):
        assert trace not in trained[0].model.onnx_


def test_exported_states_are_those_of_the_encoder_at_three_depths(trained):
    import torch

    from boundary_research.classifier import _encoder_training as training

    fit, texts, codes = trained
    network = training.ScoringEncoder(training.load_encoder(fit.folder), codes.shape[1], 0.0).eval()
    tokenizer = WindowTokenizer(fit.model.tokenizer_, longest=64, overlap=8)
    found = TokenScorer(training.export(network), tokenizer, threads=1).embed(texts[:5])
    for text, row in zip(texts[:5], found, strict=True):
        (window,) = tokenizer.cut([text])
        with torch.inference_mode():
            states = network.encoder(
                input_ids=torch.from_numpy(window.ids[None]), output_hidden_states=True
            ).hidden_states
        depths = training.ExportedEncoder(network).depths
        means = [states[depth][0].numpy()[window.counts].mean(axis=0) for depth in depths]
        np.testing.assert_allclose(row, np.concatenate(means), atol=1e-5)


def test_a_batch_holds_both_sides_of_a_pair_and_every_narrative_once(trained):
    from boundary_research.classifier import _encoder_training as training
    from boundary_research.classifier._encoder_examples import Examples

    fit, texts, codes = trained
    cutter = fit.model._new_tokenizer(fit.model.tokenizer_)
    partner = np.full(len(texts), -1)
    partner[[0, 30, 7, 8]] = [30, 0, 8, 7]
    windows = [cutter.cut([text]) for text in texts]
    examples = Examples(windows, codes.to_numpy(), [[] for _ in texts], partner)
    batches = training._batches(examples, fit.model._settings(), np.random.default_rng(0))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(texts)))
    for one, other in ((0, 30), (7, 8)):
        assert sum(one in batch and other in batch for batch in batches) == 1
    part = examples.take(np.array([30, 0, 8]))
    assert part.partner.tolist() == [1, 0, -1]


def test_embeddings_and_low_layers_stay_as_they_were(trained):
    from boundary_research.classifier import _encoder_training as training

    fit, _, _ = trained
    network = training.ScoringEncoder(training.load_encoder(fit.folder), 3, 0.1)
    training._freeze(network, 1)
    learned = {name for name, p in network.named_parameters() if p.requires_grad}
    assert any("layer.1." in name for name in learned)
    assert not any("layer.0." in name or "embeddings" in name for name in learned)
    assert {"head.weight", "head.bias", "offset"} <= learned
    settings = fit.model._settings()
    rates = {group["lr"] for group in training._parameter_groups(network, settings)}
    assert settings.learning_rate in rates


def test_windows_longer_than_the_encoder_takes_are_refused(trained):
    _, texts, codes = trained
    model = TransformerClassifier(trained[0].folder, window=64, overlap=8, epochs=1)
    with pytest.raises(DataError, match="window must be at most 40"):
        model.fit([text * 5 for text in texts], codes)


def test_weights_that_transformers_cannot_read_are_refused(trained, weights, small_codes):
    with pytest.raises(DataError, match="cannot be read by transformers"):
        TransformerClassifier(weights).fit(*small_codes)
