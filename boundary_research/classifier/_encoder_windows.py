"""Windows: narratives as tokens in overlapping windows that an encoder can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from boundary_research._checks import DataError

INSTALL = "pip install onnxruntime tokenizers"
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "�")


@dataclass(frozen=True)
class Window:
    """A run of tokens of one narrative.

    Attributes
    ----------
    row : int
        The narrative.
    ids : int64 array, shape (t,)
        Tokens, special ones at both ends.
    places : int array, shape (t, 2)
        Start and end (characters of the narrative) of each token; -1 for special tokens.
    counts : bool array, shape (t,)
        Whether the token's score counts; each token of a narrative counts in one window only.
    """

    row: int
    ids: np.ndarray
    places: np.ndarray
    counts: np.ndarray


class WindowTokenizer:
    """Cuts texts into windows of tokens.

    Parameters
    ----------
    definition : str
        A ``tokenizer.json`` of the library tokenizers.
    longest : int
        Tokens a window, special ones included.
    overlap : int
        Tokens that neighbouring windows share, so that each is seen with words on both sides.

    Raises
    ------
    DataError
        If tokenizers is not installed, or the definition is not one of its own.
    """

    def __init__(self, definition: str, *, longest: int = 256, overlap: int = 64) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise DataError(
                f"An encoder needs the library tokenizers, which is not installed: {INSTALL}."
            ) from None
        try:
            self._tokenizer = Tokenizer.from_str(definition)
        except Exception as error:  # the library raises bare Exceptions
            raise DataError(
                f"tokenizer.json is not a definition of the library tokenizers "
                f"({type(error).__name__}). Take the file that came with the weights."
            ) from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.definition = definition
        self.before, self.after = self._special_tokens()
        room = longest - len(self.before) - len(self.after)
        if not 0 <= overlap < room:
            raise DataError(
                f"overlap must be from 0 to {room - 1} where a window has {longest} tokens, "
                f"got {overlap}."
            )
        self.room, self.overlap = room, overlap

    def cut(self, texts: Sequence[str]) -> list[Window]:
        """Return the windows of the texts, in order; even an empty text has one."""
        # Lone surrogates are no Unicode text; the replacement character keeps every offset.
        clean = [text.translate(_SURROGATES) for text in texts]
        found = self._tokenizer.encode_batch(clean, add_special_tokens=False)
        windows: list[Window] = []
        for row, encoding in enumerate(found):
            ids = np.array(encoding.ids, dtype=np.int64)
            places = np.array(encoding.offsets, dtype=np.int64).reshape(len(ids), 2)
            windows += [self._window(row, ids, places, *part) for part in self._parts(len(ids))]
        return windows

    def _parts(self, n: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield start and end of each window, and from where to where its tokens count."""
        step = self.room - self.overlap
        starts = list(range(0, max(n - self.overlap, 1), step))
        for start in starts:
            end = min(start + self.room, n)
            first = start + self.overlap // 2 if start else 0
            last = n if start == starts[-1] else start + step + self.overlap // 2
            yield start, end, first, last

    def _window(
        self, row: int, ids: np.ndarray, places: np.ndarray, start: int, end: int, *own: int
    ) -> Window:
        left, right = len(self.before), len(self.after)
        size = left + end - start + right
        counts = np.zeros(size, dtype=bool)
        counts[left + own[0] - start : left + own[1] - start] = True
        if end == start:
            counts[:] = True  # Nothing but special tokens: they stand for the empty text.
        where = np.full((size, 2), -1, dtype=np.int64)
        where[left : left + end - start] = places[start:end]
        return Window(row, np.concatenate([self.before, ids[start:end], self.after]), where, counts)

    def _special_tokens(self) -> tuple[np.ndarray, np.ndarray]:
        plain = self._tokenizer.encode("a", add_special_tokens=False).ids
        whole = self._tokenizer.encode("a", add_special_tokens=True).ids
        for left in range(len(whole) - len(plain) + 1):
            if whole[left : left + len(plain)] == plain:
                right = whole[left + len(plain) :]
                if not left and not right:
                    break
                return np.array(whole[:left], np.int64), np.array(right, np.int64)
        raise DataError(
            "tokenizer.json adds no special tokens around a text; an encoder that classifies "
            "needs one at least."
        )


def pad(windows: Sequence[Window]) -> tuple[np.ndarray, np.ndarray]:
    """Return token ids and mask, int64 arrays of shape (n windows, longest window)."""
    longest = max(len(window.ids) for window in windows)
    ids = np.zeros((len(windows), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for i, window in enumerate(windows):
        ids[i, : len(window.ids)] = window.ids
        mask[i, : len(window.ids)] = 1
    return ids, mask


def group_by_length(windows: Sequence[Window], *, most_tokens: int = 4096) -> Iterator[list[int]]:
    """Yield positions of windows of about one length, so that little padding is computed."""
    batch: list[int] = []
    for i in np.argsort([len(window.ids) for window in windows], kind="stable").tolist():
        if batch and (len(batch) + 1) * len(windows[i].ids) > most_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
