"""Token scores of an exported encoder (onnxruntime), and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from boundary_research._checks import DataError
from boundary_research.classifier._encoder_windows import (
    INSTALL,
    Window,
    WindowTokenizer,
    group_by_length,
    pad,
)
from boundary_research.classifier._threads import count_cores

# A part that holds all of a narrative's score would weigh infinitely much.
_WHOLE = 1 - 1e-6
# What fits a processor's cache is computed faster than larger batches are.
_TOKENS_A_BATCH = 512


@dataclass(frozen=True)
class TokenScores:
    """The tokens of a narrative.

    Attributes
    ----------
    scores : float array, shape (t, k)
        Log-odds that a token shows a category.
    places : int array, shape (t, 2)
        Start and end of each token (characters); -1 where it stands for no text.
    """

    scores: np.ndarray
    places: np.ndarray

    def pool(self) -> np.ndarray:
        """Return the log of the summed odds of all tokens, shape (k,)."""
        return np.asarray(np.logaddexp.reduce(self.scores, axis=0))

    def weigh(self, starts: np.ndarray) -> np.ndarray:
        """Return how much lower the pooled score would be without each part, shape (m, k).

        Parameters
        ----------
        starts : int array, shape (m,)
            Where each part begins (characters), rising; a part ends where the next begins.
        """
        shares = np.exp(self.scores - self.pool())
        part = np.searchsorted(starts, self.places[:, 0], side="right") - 1
        held = np.zeros((len(starts), shares.shape[1]))
        inside = (part >= 0) & (self.places[:, 0] >= 0)
        np.add.at(held, part[inside], shares[inside])
        return np.asarray(-np.log1p(-np.minimum(held, _WHOLE)))


class TokenScorer:
    """An exported encoder, ready to score the tokens of narratives.

    Parameters
    ----------
    onnx : bytes
        A network from `input_ids` and `attention_mask` to `scores` (window, token, category).
    tokenizer : WindowTokenizer
    threads : int, optional
        By default one a core. Each works on batches of its own, so scores do not depend on how
        many there are, nor on the texts beside a text.

    Raises
    ------
    DataError
        If onnxruntime is not installed, or cannot run the network.
    """

    def __init__(
        self, onnx: bytes, tokenizer: WindowTokenizer, *, threads: int | None = None
    ) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise DataError(
                f"An encoder needs the library onnxruntime, which is not installed: {INSTALL}."
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        # Weights stored in eight bits are multiplied out when the network is loaded; left to
        # itself onnxruntime rounds activations too, and differently from processor to processor.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session = onnxruntime.InferenceSession(
                onnx, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises many kinds
            raise DataError(
                f"The encoder's network cannot be run ({type(error).__name__}). Save the model "
                f"again, or update onnxruntime."
            ) from None
        self.tokenizer = tokenizer
        self._threads = threads or count_cores()

    def score(self, texts: Sequence[str]) -> list[TokenScores]:
        """Return the token scores of each text."""
        windows = self.tokenizer.cut(texts)
        return join_windows(windows, self._run("scores", windows), len(texts))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the mean of each text's token states, float array of shape (n, d).

        Raises
        ------
        DataError
            If the network was saved without states.
        """
        if "states" not in {output.name for output in self._session.get_outputs()}:
            raise DataError(
                "This encoder was saved by an earlier version, without states to embed with. "
                "Train it again."
            )
        windows = self.tokenizer.cut(texts)
        total: np.ndarray = np.zeros((len(texts), 0))
        count = np.zeros((len(texts), 1))
        for window, states in zip(windows, self._run("states", windows, np.sum), strict=True):
            if not total.size:
                total = np.zeros((len(texts), len(states)))
            total[window.row] += states
            count[window.row] += window.counts.sum()
        return np.asarray(total / count)

    def _run(
        self,
        output: str,
        windows: Sequence[Window],
        reduce: Callable[..., np.ndarray] | None = None,
    ) -> list[np.ndarray]:
        """Return an output of the network at each window's counted tokens, or reduced over them."""
        results: list[np.ndarray] = [np.empty(0)] * len(windows)

        def run(batch: list[int]) -> None:
            ids, mask = pad([windows[i] for i in batch])
            (found,) = self._session.run([output], {"input_ids": ids, "attention_mask": mask})
            for i, part in zip(batch, found, strict=True):
                counts = windows[i].counts
                own = part[: len(counts)][counts]
                results[i] = own if reduce is None else reduce(own, axis=0, dtype=np.float64)

        batches = list(group_by_length(windows, most_tokens=_TOKENS_A_BATCH))
        if self._threads == 1 or len(batches) < 2:
            for batch in batches:
                run(batch)
        else:
            # The longest first, so that no thread is left alone with it at the end.
            with ThreadPoolExecutor(min(self._threads, len(batches))) as pool:
                list(pool.map(run, reversed(batches)))
        return results


def join_windows(
    windows: Sequence[Window], scores: Sequence[np.ndarray], n: int
) -> list[TokenScores]:
    """Return one `TokenScores` a narrative from the counted tokens of its windows."""
    of_row: list[list[int]] = [[] for _ in range(n)]
    for i, window in enumerate(windows):
        of_row[window.row].append(i)
    return [
        TokenScores(
            np.concatenate([scores[i] for i in own]).astype(np.float64),
            np.concatenate([windows[i].places[windows[i].counts] for i in own]),
        )
        for own in of_row
    ]
