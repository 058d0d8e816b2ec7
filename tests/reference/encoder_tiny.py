"""Make encoder_tiny.zip and encoder_tiny.json: a fine-tuned encoder small enough for tests.

Needs the extra transformer. A transformer with random weights and a vocabulary of the
training sentences' own words is fine-tuned on forty sentences; the JSON holds the probabilities
that torch, not onnxruntime, gives for some texts. Run: python tests/reference/encoder_tiny.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from boundary_research.classifier import _encoder_training as training
from boundary_research.classifier._calibration import expit
from boundary_research.classifier._encoder_windows import Window
from boundary_research.classifier.encoder_model import TransformerClassifier

HERE = Path(__file__).resolve().parent
PLANTED = {
    "money": ["lent money to the tenant", "borrowed money from the tenant"],
    "gossip": ["told the neighbour about the diagnosis", "gossiped about the diagnosis"],
    "absence": ["never visited the family", "cancelled every visit to the family"],
    "": ["filled the kettle", "parked the van"],
}
PROBES = [
    "On Monday the worker lent money to the tenant.",
    "She parked the van. On Friday she gossiped about the diagnosis at the shop.",
    "Nothing of note.",
    "",
    "Ünïcode 😀 he cancelled every visit — to the family",
    "The worker filled the kettle. " * 40 + "He borrowed money from the tenant.",
]
PARAMETERS = {
    "epochs": 30,
    "batch_size": 8,
    "learning_rate": 5e-3,
    "head_learning_rate": 2e-2,
    "frozen_layers": -1,
    "window": 32,
    "overlap": 8,
    "threads": 1,
}


def make_sentences() -> tuple[list[str], pd.DataFrame, pd.DataFrame]:
    """Return sentences, their codes and where in them each category stands."""
    texts, categories, spans = [], [], []
    frames = (
        "On Monday the worker {} and wrote it in the log of the day.",
        "He {}.",
        "The worker {}, and nobody asked. She parked the van on Friday.",
        "She parked the van. Then he {} at the shop.",
        "The worker filled the kettle. The worker filled the kettle. He {}.",
    )
    for frame in frames:
        for category, acts in PLANTED.items():
            for act in acts:
                text = frame.format(act)
                if category:
                    start = text.index(act)
                    spans.append((len(texts), category, start, start + len(act)))
                texts.append(text)
                categories.append(category)
    codes = pd.DataFrame({c: [c == found for found in categories] for c in PLANTED if c})
    columns = ["incident_id", "category", "start", "end"]
    return texts, codes, pd.DataFrame(spans, columns=columns)


def write_weights(folder: Path, texts: list[str], *, hidden_size: int = 16) -> Path:
    """Write an encoder with random weights, as `TransformerClassifier` takes it."""
    words = sorted({w for text in texts for w in text.lower().replace(".", " .").split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words]
    ids = {word: i for i, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=hidden_size,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=2 * hidden_size,
            max_position_embeddings=40,
            type_vocab_size=1,
            initializer_range=0.2,
        )
        transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def torch_probabilities(
    model: TransformerClassifier, network: training.ScoringEncoder, texts: list[str]
) -> np.ndarray:
    """Return what the network gives in torch, pooled and calibrated as the model does."""
    windows: list[list[Window]] = [[] for _ in texts]
    for window in model._new_tokenizer(model.tokenizer_).cut(texts):
        windows[window.row].append(window)
    scores = training.score_narratives(network, windows, model._settings())
    return expit(scores * model.slope_ + model.offset_)


def main() -> None:
    """Train, export and write both files."""
    import tempfile

    texts, codes, evidence = make_sentences()
    networks = []
    export = training.export
    training.export = lambda network: networks.append(network) or export(network)
    with tempfile.TemporaryDirectory() as folder:
        model = TransformerClassifier(
            write_weights(Path(folder), texts),
            **PARAMETERS,
        ).fit(texts, codes, evidence=evidence)
    model.save(HERE / "encoder_tiny.zip")
    expected = {
        "texts": PROBES,
        "probabilities": torch_probabilities(model, networks[0], PROBES).round(7).tolist(),
    }
    (HERE / "encoder_tiny.json").write_text(json.dumps(expected, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
