"""What a fine-tuned encoder learns from: weights, windows, codes, evidence and contrast pairs."""

from __future__ import annotations

import importlib.util
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from boundary_research._checks import DataError, check_fraction
from boundary_research.classifier._encoder_windows import Window, WindowTokenizer
from boundary_research.classifier._passages import check_evidence

_FILES = ("model.safetensors", "config.json", "tokenizer.json")


@dataclass(frozen=True)
class Settings:
    """How to train; the names are those of `TransformerClassifier`'s parameters."""

    epochs: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    layer_decay: float
    frozen_layers: int
    dropout: float
    weight_decay: float
    warm_up: float
    class_power: float
    evidence_weight: float
    outside_weight: float
    pair_weight: float
    bfloat16: bool
    threads: int
    random_state: int


def check_settings(settings: Settings, *, held_out_folds: int | None) -> None:
    """Raise a DataError that names the first setting that cannot be trained with."""
    whole = {"epochs": settings.epochs, "batch_size": settings.batch_size}
    whole |= {"threads": settings.threads}
    whole |= {} if held_out_folds is None else {"held_out_folds": held_out_folds}
    for name, value in whole.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise DataError(f"{name} must be a whole number from 1, got {value!r}.")
    for name in ("learning_rate", "head_learning_rate", "layer_decay"):
        if not getattr(settings, name) > 0:
            raise DataError(f"{name} must be above 0, got {getattr(settings, name)!r}.")
    for name in ("evidence_weight", "outside_weight", "pair_weight", "class_power", "weight_decay"):
        if not getattr(settings, name) >= 0:
            raise DataError(f"{name} must be 0 or more, got {getattr(settings, name)!r}.")
    for name in ("dropout", "warm_up"):
        check_fraction(getattr(settings, name), name=name, zero=True)


@dataclass(frozen=True)
class Examples:
    """What the encoder learns from.

    Attributes
    ----------
    windows : list of list of Window
        Those of each narrative.
    labels : bool array, shape (n, k)
    spans : list of list of tuple
        Of each narrative: column, start, end of marked evidence.
    partner : int array, shape (n,)
        The narrative that differs in a few words only, or -1.
    """

    windows: list[list[Window]]
    labels: np.ndarray
    spans: list[list[tuple[int, int, int]]]
    partner: np.ndarray

    def take(self, rows: np.ndarray) -> Examples:
        """Return some narratives; a partner that is not among them is none."""
        place = np.full(len(self.labels) + 1, -1)
        place[rows] = np.arange(len(rows))
        return Examples(
            [self.windows[row] for row in rows],
            self.labels[rows],
            [self.spans[row] for row in rows],
            place[self.partner[rows]],
        )


def build_examples(
    texts: Sequence[str],
    names: np.ndarray,
    labels: np.ndarray,
    *,
    tokenizer: WindowTokenizer,
    ids: Sequence[Hashable],
    evidence: pd.DataFrame | None,
    pairs: Sequence[Any] | None,
) -> Examples:
    """Return what `TransformerClassifier.fit` was given, checked, as an encoder learns it."""
    windows: list[list[Window]] = [[] for _ in texts]
    for window in tokenizer.cut(texts):
        windows[window.row].append(window)
    spans = _spans(texts, names, labels, ids, evidence)
    return Examples(windows, labels, spans, _partners(pairs, len(texts)))


def find_weights(weights: str | Path | None) -> Path:
    """Return the folder of weights, given as such or as an installed package that carries them.

    Raises
    ------
    DataError
        If there are none.
    """
    if weights is None:
        raise DataError(
            "fit needs weights: the folder of a pretrained encoder (model.safetensors, "
            "config.json, tokenizer.json), or the name of an installed package that carries one. "
            "Nothing is downloaded."
        )
    folder = Path(weights).expanduser()
    if folder.is_dir() or not str(weights).isidentifier():
        return folder
    found = importlib.util.find_spec(str(weights))
    for place in (found.submodule_search_locations or []) if found else []:
        files = sorted(Path(place).rglob("model.safetensors"))
        if files:
            return files[0].parent
    raise DataError(
        f"weights {str(weights)!r} is neither a folder nor an installed package with a file "
        f"model.safetensors. Install the package or name the folder."
    )


def read_weights_folder(folder: str | Path) -> str:
    """Check a folder of encoder weights and return its ``tokenizer.json``.

    Raises
    ------
    DataError
        If the folder or one of its three files is missing.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DataError(
            f"Folder of encoder weights {str(folder)!r} does not exist. Nothing is downloaded: "
            f"name a folder with {', '.join(_FILES)}."
        )
    missing = [name for name in _FILES if not (path / name).is_file()]
    if missing:
        raise DataError(
            f"Folder {str(folder)!r} has no {', '.join(missing)}. A folder of encoder weights "
            f"holds {', '.join(_FILES)}."
        )
    try:
        return (path / "tokenizer.json").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"tokenizer.json in {str(folder)!r} cannot be read ({type(error).__name__})."
        ) from None


def _spans(
    texts: Sequence[str],
    names: np.ndarray,
    labels: np.ndarray,
    ids: Sequence[Hashable],
    evidence: pd.DataFrame | None,
) -> list[list[tuple[int, int, int]]]:
    """Return column, start and end of each narrative's evidence."""
    spans: list[list[tuple[int, int, int]]] = [[] for _ in texts]
    if evidence is not None and len(evidence):
        table = check_evidence(texts, names, labels, ids, evidence)
        for row, column, start, end in table[["row", "column", "start", "end"]].to_numpy():
            spans[row].append((int(column), int(start), int(end)))
    return spans


def _partners(pairs: Sequence[Any] | None, n: int) -> np.ndarray:
    """Return for each narrative the other of its pair, or -1."""
    partner = np.full(n, -1)
    if pairs is None:
        return partner
    values = pd.Series(list(pairs), dtype=object)
    for rows in values.dropna().groupby(values).groups.values():
        if len(rows) > 2:
            raise DataError(f"pairs has a value that {len(rows)} narratives share; a pair has two.")
        if len(rows) == 2:
            partner[rows[0]], partner[rows[1]] = rows[1], rows[0]
    return partner


def keep_pairs_together(groups: Sequence[Any] | None, partner: np.ndarray) -> Sequence[Any] | None:
    """Return groups for the folds: those given, or else pairs that are not to be split."""
    if groups is not None or (partner < 0).all():
        return groups
    return [min(i, p) if p >= 0 else i for i, p in enumerate(partner.tolist())]
