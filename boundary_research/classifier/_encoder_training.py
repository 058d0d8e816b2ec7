"""Fine-tuning: an encoder's tokens learn to score categories (needs torch and transformers)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from boundary_research._checks import DataError
from boundary_research.classifier._encoder_examples import Examples, Settings
from boundary_research.classifier._encoder_scoring import join_windows
from boundary_research.classifier._encoder_windows import Window, group_by_length, pad

try:
    import torch
    import transformers
    from torch import nn
except ImportError:
    raise DataError(
        "Fine-tuning needs torch and transformers, which are not installed: "
        'pip install "boundary-research[transformer]". Coding with a model that was '
        "saved needs neither."
    ) from None
from boundary_research.classifier._encoder_losses import narratives_loss

# Dropped attention cannot be computed in one fused pass, and a step takes almost twice as long.
_ATTENTION_DROPOUT = {"attention_probs_dropout_prob", "attention_dropout"}
_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


class ScoringEncoder(nn.Module):
    """An encoder with one linear score a token and category."""

    def __init__(self, encoder: nn.Module, n_categories: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, n_categories)
        self.offset = nn.Parameter(torch.full((n_categories,), -2.0))
        nn.init.normal_(self.head.weight, std=0.02)
        # A token seldom shows a category, so the first steps need not teach that.
        nn.init.constant_(self.head.bias, -4.0)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return scores, shape (n windows, n tokens, k)."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        return self.head(self.dropout(states.last_hidden_state))


class ExportedEncoder(nn.Module):
    """What is exported: token scores, and the tokens' states at three depths of the encoder."""

    def __init__(self, model: ScoringEncoder) -> None:
        super().__init__()
        self.encoder, self.head = model.encoder, model.head
        layers = model.encoder.config.num_hidden_layers
        # The upper layers know the categories, the middle ones language at large.
        self.depths = sorted({max(1, round(layers * part / 3)) for part in (1, 2, 3)})

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scores, shape (n windows, n tokens, k), and states, shape (…, depths x d)."""
        found = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
        )
        states = [found.hidden_states[depth] for depth in self.depths]
        return self.head(found.last_hidden_state), torch.cat(states, dim=-1)


def load_encoder(folder: str | Path) -> nn.Module:
    """Read weights from a folder, never from the network."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    name = str(Path(folder).expanduser())
    try:
        config = transformers.AutoConfig.from_pretrained(name, local_files_only=True)
        for option in _ATTENTION_DROPOUT & set(config.to_dict()):
            setattr(config, option, 0.0)
        encoder = transformers.AutoModel.from_pretrained(
            name, config=config, local_files_only=True, use_safetensors=True
        )
    except Exception as error:  # transformers raises many kinds
        raise DataError(
            f"Weights in {str(folder)!r} cannot be read by transformers ({type(error).__name__}). "
            f"Check that config.json belongs to model.safetensors."
        ) from None
    if hasattr(encoder, "pooler"):
        encoder.pooler = None
    return encoder.float()


def train(folder: str | Path, examples: Examples, settings: Settings, step: Any) -> ScoringEncoder:
    """Return an encoder fine-tuned on the examples; `step()` is called after every batch."""
    with _torch_of_its_own(settings):
        encoder = load_encoder(folder)
        _check_length(encoder, examples)
        model = ScoringEncoder(encoder, examples.labels.shape[1], settings.dropout)
        _freeze(model, settings.frozen_layers)
        rng = np.random.default_rng(settings.random_state)
        batches = [b for _ in range(settings.epochs) for b in _batches(examples, settings, rng)]
        optimizer = torch.optim.AdamW(_parameter_groups(model, settings))
        first = max(1, round(settings.warm_up * len(batches)))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda i: min((i + 1) / first, (len(batches) - i) / max(1, len(batches) - first)),
        )
        share = examples.labels.mean(axis=0).clip(1 / (len(examples.labels) + 1), 0.5)
        positive = torch.tensor(((1 - share) / share) ** settings.class_power, dtype=torch.float32)
        model.train()
        for rows in batches:
            loss = narratives_loss(model, examples, rows, positive, settings)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step()
        return model.eval()


def cross_fit(
    folder: str | Path,
    examples: Examples,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    settings: Settings,
    *,
    progress: bool,
) -> tuple[np.ndarray, ScoringEncoder]:
    """Return scores of held-out rows, shape (n, k), NaN elsewhere, and a network of all rows."""
    n = len(examples.labels)
    scores = np.full(examples.labels.shape, np.nan)
    sizes = [*(len(rows) for rows, _ in folds), n]
    steps = sum(settings.epochs * -(-size // settings.batch_size) for size in sizes)
    with tqdm(total=steps, unit=" steps", disable=not progress) as bar:
        for rows, held in folds:
            network = train(folder, examples.take(rows), settings, bar.update)
            scores[held] = score_narratives(network, examples.take(held).windows, settings)
        return scores, train(folder, examples, settings, bar.update)


def score_narratives(
    model: ScoringEncoder, windows: Sequence[Sequence[Window]], settings: Settings
) -> np.ndarray:
    """Return the pooled scores of narratives, given each one's windows, shape (n, k)."""
    flat = [replace(window, row=row) for row, own in enumerate(windows) for window in own]
    found = _score_tokens(model, flat, settings)
    counted = [scores[window.counts] for scores, window in zip(found, flat, strict=True)]
    pooled = [tokens.pool() for tokens in join_windows(flat, counted, len(windows))]
    return np.array(pooled) + model.offset.detach().numpy()


def _score_tokens(
    model: ScoringEncoder, windows: Sequence[Window], settings: Settings
) -> list[np.ndarray]:
    """Return the scores of each window, float arrays of shape (n tokens, k)."""
    scores: list[np.ndarray] = [np.empty(0)] * len(windows)
    with _torch_of_its_own(settings), torch.inference_mode():
        for batch in group_by_length(windows):
            ids, mask = pad([windows[i] for i in batch])
            found = model(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
            for i, part in zip(batch, found, strict=True):
                scores[i] = part[: len(windows[i].ids)].astype(np.float64)
    return scores


def export(model: ScoringEncoder) -> bytes:
    """Return the model as ONNX: input_ids and attention_mask to scores and states, any length."""
    import warnings

    from boundary_research.classifier._encoder_quantization import leave_out_origins

    file = io.BytesIO()
    # Two tensors: the exporter takes one that is passed twice for one input.
    ids, mask = (torch.ones((2, 9), dtype=torch.int64) for _ in range(2))
    sizes = {0: torch.export.Dim("window", min=1), 1: torch.export.Dim("token", min=1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            ExportedEncoder(model).eval(),
            (ids, mask),
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            output_names=["scores", "states"],
            dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
            verbose=False,
        )
        program.save(file)
    return leave_out_origins(file.getvalue())


def _check_length(encoder: nn.Module, examples: Examples) -> None:
    longest = max(len(window.ids) for own in examples.windows for window in own)
    most = getattr(encoder.config, "max_position_embeddings", None)
    if most is not None and longest > most:
        raise DataError(f"window must be at most {most} for these weights; {longest} were needed.")


@contextmanager
def _torch_of_its_own(settings: Settings) -> Iterator[None]:
    """Seed torch and set its threads for a while; afterwards both are as before."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.random_state)
        torch.set_num_threads(settings.threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _depth(name: str) -> int:
    """Return 0 for embeddings, i + 1 for layer i, and -1 for what lies above all layers."""
    if not name.startswith("encoder."):
        return -1
    match = _LAYER.search(name)
    if match:
        return int(match[1]) + 1
    return 0 if "embed" in name else -1


def _freeze(model: ScoringEncoder, frozen_layers: int) -> None:
    # Embeddings are most of a small encoder's weights; a few hundred texts move few of them.
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not 0 <= _depth(name) <= frozen_layers)


def _parameter_groups(model: ScoringEncoder, settings: Settings) -> list[dict[str, Any]]:
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    top = max((_depth(name) for name, _ in named), default=0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        depth = _depth(name)
        if not name.startswith("encoder."):
            rate = settings.head_learning_rate * (10 if name == "offset" else 1)
        else:
            rate = settings.learning_rate * settings.layer_decay ** (
                top - depth if depth > 0 else 0
            )
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": p, "lr": r, "weight_decay": d} for (r, d), p in groups.items()]


def _batches(examples: Examples, settings: Settings, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the rows of each batch: partners together, lengths alike, order random."""
    n = len(examples.labels)
    partner = examples.partner
    units = [
        np.array([i] if partner[i] < 0 else [i, partner[i]])
        for i in range(n)
        if partner[i] < 0 or i < partner[i]
    ]
    length = [max(len(w.ids) for i in unit for w in examples.windows[i]) for unit in units]
    # Sorting by a noisy length keeps padding low and still mixes narratives anew in every epoch.
    order = np.argsort(np.log(length) + rng.normal(0, 0.2, len(units)))
    batches: list[np.ndarray] = []
    batch: list[np.ndarray] = []
    for unit in (units[i] for i in order):
        if batch and sum(map(len, batch)) + len(unit) > settings.batch_size:
            batches.append(np.concatenate(batch))
            batch = []
        batch.append(unit)
    batches.append(np.concatenate(batch))
    return [batches[i] for i in rng.permutation(len(batches))]
