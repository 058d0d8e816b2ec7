"""A small transformer, fine-tuned to code narratives, that needs only onnxruntime to code."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from boundary_research._checks import DataError
from boundary_research.classifier import _calibration as calibration
from boundary_research.classifier._calibrated_decisions import CALIBRATION_ARRAYS
from boundary_research.classifier._encoder_examples import (
    Settings,
    build_examples,
    check_settings,
    find_weights,
    keep_pairs_together,
    read_weights_folder,
)
from boundary_research.classifier._encoder_file import (
    describe_state,
    read_encoder_file,
    refuse_incomplete,
    restore_state,
    write_encoder_file,
)
from boundary_research.classifier._encoder_scoring import TokenScorer, TokenScores
from boundary_research.classifier._encoder_windows import WindowTokenizer
from boundary_research.classifier._inputs import check_coded_texts, check_held_out, check_texts
from boundary_research.classifier._parameters import check_parameters
from boundary_research.classifier._threads import count_cores
from boundary_research.classifier.model import NarrativeClassifier, ThinCategoryWarning

_NARRATIVES_AT_A_TIME = 256
_REMEMBERED = 1000  # narratives whose token scores wait for a question about evidence


class TransformerClassifier(NarrativeClassifier):
    """Multi-label classifier of narratives: a pretrained encoder, fine-tuned on coded narratives.

    Every token gets a score for every category; a narrative's score is the log of the summed odds
    of its tokens, so that one clear sentence is enough in a long text, and the clauses that carried
    a decision are known. Marked evidence teaches the tokens directly. Probabilities are calibrated
    and thresholds chosen on cross-validated scores, as in `NarrativeClassifier`.

    `fit` needs the extra ``transformer`` (torch, transformers); coding with a fitted or loaded
    model does not. Nothing is downloaded.

    Parameters
    ----------
    weights : str or pathlib.Path, optional
        Folder of a pretrained encoder (``model.safetensors``, ``config.json``,
        ``tokenizer.json``), or the name of an installed package that carries one. Needed by `fit`.
    epochs : int
    batch_size : int
        Narratives a step.
    learning_rate : float
        Of the encoder's top layer at its highest, after the warm-up.
    head_learning_rate : float
        Of the layer that scores tokens.
    layer_decay : float
        Factor on the learning rate for each layer further down.
    frozen_layers : int
        So many lowest layers, and the embeddings, are left as they are; -1 trains all.
    dropout, weight_decay, warm_up : float
        Dropout before the scores, AdamW's decay, share of the steps with a rising learning rate.
    class_power : float
        Positives weigh (negatives / positives) to this power: 0 not more, 1 as much in total.
    evidence_weight : float
        Weight of the tokens' loss where `fit` is given evidence; 0 ignores it.
    outside_weight : float
        Weight, within that, of tokens outside the marked evidence, as examples without the
        category.
    pair_weight : float
        Weight of the loss that ranks the two sides of a contrast pair where `fit` is given pairs.
    window, overlap : int
        Longest run of tokens that the encoder sees at once, and how far neighbours overlap.
    cv : int
        Folds for calibration and thresholds, at least 2; each trains the encoder once more.
    held_out_folds : int, optional
        Of these, so many are held out in turn, by default all. One is a single held-out group:
        fitting takes half the time of three folds, and thresholds rest on fewer narratives.
    precision, miss_rate : float
        As in `NarrativeClassifier`.
    bfloat16 : bool
        Train with products of 16 bits: about twice as fast on processors that have them.
    threads : int, optional
        By default one a core.
    random_state : int
        Seed of folds, batches, first weights and dropout.

    Attributes
    ----------
    classes_, thresholds_, review_low_, review_high_, n_positive_, notes_, risk_control_, \
cv_probabilities_
        As in `NarrativeClassifier`.
    onnx_ : bytes
        The network that codes.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        epochs: int = 6,
        batch_size: int = 16,
        learning_rate: float = 2e-4,
        head_learning_rate: float = 2e-3,
        layer_decay: float = 0.9,
        frozen_layers: int = 0,
        dropout: float = 0.1,
        weight_decay: float = 0.01,
        warm_up: float = 0.1,
        class_power: float = 0.5,
        evidence_weight: float = 1.0,
        outside_weight: float = 0.5,
        pair_weight: float = 1.0,
        window: int = 256,
        overlap: int = 64,
        cv: int = 3,
        held_out_folds: int | None = None,
        precision: float = 0.8,
        miss_rate: float = 0.1,
        bfloat16: bool = False,
        threads: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.weights = weights
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.layer_decay = layer_decay
        self.frozen_layers = frozen_layers
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.warm_up = warm_up
        self.class_power = class_power
        self.evidence_weight = evidence_weight
        self.outside_weight = outside_weight
        self.pair_weight = pair_weight
        self.window = window
        self.overlap = overlap
        self.cv = cv
        self.held_out_folds = held_out_folds
        self.precision = precision
        self.miss_rate = miss_rate
        self.bfloat16 = bfloat16
        self.threads = threads
        self.random_state = random_state

    def fit(
        self,
        texts: Sequence[str],
        codes: Any,
        *,
        groups: Sequence[Any] | None = None,
        evidence: pd.DataFrame | None = None,
        pairs: Sequence[Any] | None = None,
        auxiliary: Sequence[bool] | None = None,
        progress: bool = False,
    ) -> TransformerClassifier:
        """Fine-tune the encoder, `cv` times for the thresholds and once on everything.

        Parameters
        ----------
        texts : sequence of str, length n
        codes : DataFrame of bools or indicator array, shape (n, k)
        groups : sequence, length n, optional
            Authors or agencies; none is split between folds.
        evidence : DataFrame, optional
            Where in the narratives coders saw a category, as in `NarrativeClassifier.fit`.
        pairs : sequence, length n, optional
            The same value for two narratives that differ in a few words only, missing elsewhere.
            Both are learned in one step, and `pair_weight` ranks them.
        auxiliary : sequence of bool, length n, optional
            Narratives that are never held out, as in `NarrativeClassifier.fit`.
        progress : bool
            Show a progress bar.

        Raises
        ------
        DataError
            As `NarrativeClassifier.fit`; also if torch or transformers is not installed, or the
            weights are not there.

        Warns
        -----
        ThinCategoryWarning
            For categories with no or one positive narrative; `notes_` says what follows.
        """
        check_parameters(self)
        given = check_coded_texts(texts, codes, groups=groups, auxiliary=auxiliary, pairs=pairs)
        texts, names, labels = given.texts, given.names, given.labels
        check_held_out(given.groups, given.auxiliary)
        settings = self._settings()
        check_settings(settings, held_out_folds=self.held_out_folds)
        folder = find_weights(self.weights)
        tokenizer = self._new_tokenizer(read_weights_folder(folder))
        # Only here, for torch takes seconds to import and most users never fit.
        from boundary_research.classifier import _encoder_training as training

        examples = build_examples(
            texts,
            names,
            labels,
            tokenizer=tokenizer,
            ids=given.ids,
            evidence=evidence,
            pairs=pairs,
        )
        owners = keep_pairs_together(given.groups, examples.partner)
        check_held_out(owners, given.auxiliary)
        folds = list(
            calibration.split_folds(
                labels, owners, self.cv, self.random_state, auxiliary=given.auxiliary
            )
        )
        scores, network = training.cross_fit(
            folder, examples, folds[: self.held_out_folds], settings, progress=progress
        )
        self.classes_ = names
        self.n_positive_ = labels.sum(axis=0)
        self.notes_: dict[str, str] = {}
        self._install(training.export(network), tokenizer.definition)
        self.head_offset_ = network.offset.detach().numpy().astype(np.float64)
        self._calibrate_held_out(scores, labels, texts)
        for name, note in self.notes_.items():
            warnings.warn(f"category {name!r}: {note}", ThinCategoryWarning, stacklevel=2)
        return self

    def _settings(self) -> Settings:
        own = {f.name: getattr(self, f.name) for f in fields(Settings) if f.name != "threads"}
        threads = count_cores() if self.threads is None else self.threads
        return Settings(**own, threads=threads)

    def _new_tokenizer(self, definition: str) -> WindowTokenizer:
        return WindowTokenizer(definition, longest=self.window, overlap=self.overlap)

    def _install(self, onnx: bytes, tokenizer: str) -> None:
        """Take a network and what the linear classifier's other readers ask for."""
        self.onnx_ = onnx
        self.tokenizer_ = tokenizer
        self._install_located_scores(lambda text, starts: self.token_scores(text).weigh(starts))
        self._scorer: TokenScorer | None = None
        self._remembered: dict[str, TokenScores] = {}

    def _running(self) -> TokenScorer:
        if self._scorer is None:
            tokenizer = self._new_tokenizer(self.tokenizer_)
            self._scorer = TokenScorer(self.onnx_, tokenizer, threads=self.threads)
        return self._scorer

    def _score_tokens(self, texts: Sequence[str]) -> list[TokenScores]:
        return self._running().score(texts)

    def encode(self, sentences: Sequence[str]) -> np.ndarray:
        """Return an embedding of each text, float array of shape (n, d).

        It is the mean of the tokens' states at a third, two thirds and the whole of the encoder's
        depth, side by side. With it the model is an encoder for `EncoderClassifier`, which learns
        categories of another codebook from few coded texts.

        Raises
        ------
        DataError
            If the model was saved by an earlier version, without states.
        """
        check_is_fitted(self, "onnx_")
        return self._running().embed(check_texts(sentences))

    def decision_function(self, texts: Sequence[str]) -> np.ndarray:
        """Return the uncalibrated scores, shape (n, k)."""
        check_is_fitted(self, "onnx_")
        texts = check_texts(texts)
        scores = np.empty((len(texts), len(self.classes_)))
        self._remembered = {}
        for low in range(0, len(texts), _NARRATIVES_AT_A_TIME):
            part = texts[low : low + _NARRATIVES_AT_A_TIME]
            for i, tokens in enumerate(self._score_tokens(part), low):
                scores[i] = tokens.pool() + self.head_offset_
                if len(self._remembered) < _REMEMBERED:
                    self._remembered[texts[i]] = tokens
        return scores

    def token_scores(self, text: str) -> TokenScores:
        """Return the score of every token of a text, with its place in it.

        Returns
        -------
        TokenScores
            `scores`, shape (t, k), and `places`, shape (t, 2), in characters.
        """
        check_is_fitted(self, "onnx_")
        (text,) = check_texts([text])
        found = self._remembered.get(text)
        return found if found is not None else self._score_tokens([text])[0]

    def quantize(self, *, activations: bool = False) -> TransformerClassifier:
        """Return a copy whose network has weights of eight bits: a quarter of the size.

        Needs the library onnx (extra ``transformer``). Probabilities change a little;
        thresholds stay.

        Parameters
        ----------
        activations : bool
            Compute with eight bits too: faster, but it changes probabilities more, and differently
            from processor to processor.

        Raises
        ------
        DataError
            If onnx is not installed, or `control_risk` has set the limits of decisions: what it
            promised is not true of other probabilities.
        """
        check_is_fitted(self, "onnx_")
        if self.risk_control_:
            raise DataError(
                "the limits of decisions were set by control_risk, whose guarantee would be lost "
                "with other probabilities. Quantize the model first, then control its risk."
            )
        from boundary_research.classifier._encoder_quantization import quantize, store_small

        small = quantize(self.onnx_) if activations else store_small(self.onnx_)
        other = type(self)(**self.get_params())
        other.__setstate__(self.__getstate__() | {"onnx_": small})
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in _NOT_KEPT}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "onnx_" in state:
            self._install(self.onnx_, self.tokenizer_)

    def save(self, path: str | Path) -> Path:
        """Write network, tokenizer and a JSON header as one zip (no pickle, no narrative text)."""
        check_is_fitted(self, "onnx_")
        header = {
            # The folder of the first weights is this machine's business.
            "parameters": self.get_params() | {"weights": None},
            **describe_state(self, _ARRAYS),
        }
        return write_encoder_file(path, header, self.onnx_, self.tokenizer_)

    @classmethod
    def load(cls, path: str | Path) -> TransformerClassifier:
        """Read a model that `save` wrote.

        Raises
        ------
        DataError
            If the file is not such a model, or of a newer format.
        """
        header, onnx, tokenizer = read_encoder_file(path)
        with refuse_incomplete(path):
            model = cls(**header["parameters"])
            restore_state(model, header, _ARRAYS)
        model._install(onnx, tokenizer)
        return model


_ARRAYS = ("head_offset_", *CALIBRATION_ARRAYS, "n_positive_")
# Narratives and what a running network holds are not kept with a model.
_NOT_KEPT = ("_scorer", "_remembered", "vectorizer_")
