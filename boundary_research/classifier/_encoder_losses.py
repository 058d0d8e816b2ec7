"""What fine-tuning minimises: losses of narratives, of their marked evidence and of pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from boundary_research.classifier._encoder_examples import Examples, Settings
from boundary_research.classifier._encoder_windows import Window, pad


def narratives_loss(
    model: nn.Module,
    examples: Examples,
    rows: np.ndarray,
    positive: torch.Tensor,
    settings: Settings,
) -> torch.Tensor:
    """Return the mean loss of some narratives, given rows of the examples.

    Parameters
    ----------
    model : torch module
        With scores of tokens, shape (n windows, n tokens, k), and `offset`, shape (k,).
    examples : Examples
    rows : int array
    positive : tensor, shape (k,)
        Weight of positives in the loss.
    settings : Settings
    """
    windows = [window for row in rows for window in examples.windows[row]]
    owner = np.repeat(np.arange(len(rows)), [len(examples.windows[row]) for row in rows])
    ids, mask = pad(windows)
    with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
        scores = model(torch.from_numpy(ids), torch.from_numpy(mask))
    scores = scores.float()
    counts = np.zeros(ids.shape, dtype=bool)
    for i, window in enumerate(windows):
        counts[i, : len(window.counts)] = window.counts
    pooled = _pool(scores, torch.from_numpy(counts), owner, len(rows))
    logits = pooled + model.offset
    target = torch.from_numpy(examples.labels[rows].astype(np.float32))
    loss = functional.binary_cross_entropy_with_logits(
        logits, target, pos_weight=positive, reduction="sum"
    )
    if settings.evidence_weight > 0:
        loss = loss + settings.evidence_weight * _evidence_loss(
            scores, windows, owner, [examples.spans[row] for row in rows], settings
        )
    if settings.pair_weight > 0:
        loss = loss + settings.pair_weight * _pair_loss(
            logits, target, examples.partner[rows], rows
        )
    return loss / len(rows)


def _pool(scores: torch.Tensor, counts: torch.Tensor, owner: np.ndarray, n: int) -> torch.Tensor:
    """Return the score of each narrative, shape (n, k), from those of its windows' tokens."""
    masked = scores.masked_fill(~counts[:, :, None], -1e4)
    by_window = torch.logsumexp(masked, 1)
    parts = [by_window[torch.from_numpy(np.flatnonzero(owner == i))] for i in range(n)]
    return torch.stack([torch.logsumexp(part, 0) for part in parts])


def _evidence_loss(
    scores: torch.Tensor,
    windows: Sequence[Window],
    owner: np.ndarray,
    spans: Sequence[Sequence[tuple[int, int, int]]],
    settings: Settings,
) -> torch.Tensor:
    """Return the loss of tokens in evidence, which show a category, and of those outside it.

    Each marked category of a narrative counts as one, however long its evidence.
    """
    weights = np.zeros(scores.shape, dtype=np.float32)
    inside = np.zeros(scores.shape, dtype=bool)
    for i, window in enumerate(windows):
        start, end = window.places.T
        size = len(window.ids)
        for column, left, right in spans[owner[i]]:
            inside[i, :size, column] |= (start < right) & (end > left)
            weights[i, :size, column] = window.counts
    for i in range(len(spans)):
        own = owner == i
        here, used = inside[own], weights[own] > 0
        n_in = np.maximum((here & used).sum(axis=(0, 1)), 1)
        n_out = np.maximum((~here & used).sum(axis=(0, 1)), 1)
        weights[own] *= np.where(here, 1 / n_in, settings.outside_weight / n_out)
    target = torch.from_numpy(inside.astype(np.float32))
    return functional.binary_cross_entropy_with_logits(
        scores, target, weight=torch.from_numpy(weights), reduction="sum"
    )


def _pair_loss(
    logits: torch.Tensor, target: torch.Tensor, partner: np.ndarray, rows: np.ndarray
) -> torch.Tensor:
    """Return the loss of pairs whose sides are ranked wrongly where their codes differ."""
    place = {int(row): i for i, row in enumerate(rows)}
    pairs = [(i, place[int(p)]) for i, p in enumerate(partner) if p > rows[i] and int(p) in place]
    if not pairs:
        return logits.sum() * 0
    left, right = (torch.tensor(side) for side in zip(*pairs, strict=True))
    sign = target[left] - target[right]
    return (functional.softplus(-sign * (logits[left] - logits[right])) * sign.abs()).sum()
