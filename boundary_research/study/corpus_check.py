"""Checks of the bundled corpus: counts, agreement, splits, leaks, and a keyword baseline."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import sparse, stats
from sklearn.metrics import f1_score

from boundary_research.classifier.keywords import KeywordCoder
from boundary_research.classifier.text import word_ngrams
from boundary_research.codebook.model import Codebook, load_codebook
from boundary_research.coding.reliability import krippendorff_alpha
from boundary_research.corpus.bundled import Corpus, data_folder, load_corpus

SMALL = ("rural", "small_community_nonrural")
LARGE = ("urban", "suburban", "town")
NEAR_DUPLICATE = 0.2
KEYWORD_BOUND = 0.45
LENGTH_BOUND = 0.25
TRAINED = ("coder_a", "coder_b")
Check = tuple[str, str, str, bool]


def check_corpus(corpus: Corpus | None = None, codebook: Codebook | None = None) -> pd.DataFrame:
    """Return every check of the corpus: what was found, what is wanted, and whether it holds.

    Returns
    -------
    DataFrame
        Columns check, found, wanted, holds.
    """
    corpus = corpus or load_corpus()
    codebook = codebook or load_codebook()
    parts = (
        _sizes(corpus),
        _categories(corpus, codebook),
        _intent(corpus),
        _adjudication(),
        _attributes(corpus),
        _identifiers(corpus),
        _splits(corpus),
        _leaks(corpus, codebook),
    )
    rows = [row for part in parts for row in part]
    return pd.DataFrame(rows, columns=["check", "found", "wanted", "holds"])


def _sizes(corpus: Corpus) -> Iterator[Check]:
    incidents = corpus.incidents
    n = len(incidents)
    words = incidents["narrative"].str.split().str.len()
    authors = incidents["author_id"].nunique()
    summaries = int((incidents["register"] == "regulator_summary").sum())
    pairs = int((incidents["pair_id"].dropna().value_counts() == 2).sum())
    none = float((~corpus.codes.any(axis=1)).mean())
    yield "narratives", str(n), "at least 1200", n >= 1200
    yield "authors", str(authors), "at least 10", authors >= 10
    low, middle, high = int(words.min()), float(words.median()), int(words.max())
    fits = low >= 25 and high <= 400 and 75 <= middle <= 105
    yield (
        "words: least, median, most",
        f"{low}, {middle:g}, {high}",
        "25 to 400, median about 90",
        fits,
    )
    yield "formal summaries", str(summaries), "about 120", 100 <= summaries <= 150
    yield "contrast pairs, both versions", str(pairs), "about 250", 225 <= pairs <= 275
    yield "share with no category", f"{none:.3f}", "about .20", 0.15 <= none <= 0.26


def _categories(corpus: Corpus, codebook: Codebook) -> Iterator[Check]:
    codes = corpus.codes
    counts = codes.sum()
    yield (
        "narratives of the rarest category",
        f"{counts.min()} ({counts.idxmin()})",
        "at least 90",
        bool(counts.min() >= 90),
    )
    for pair in codebook.confusable_pairs:
        first, second = (codes[name] for name in pair.categories)
        together, apart = int((first & second).sum()), int((first ^ second).sum())
        yield (
            f"{pair.categories[0]} / {pair.categories[1]}: together, apart",
            f"{together}, {apart}",
            "at least 12, 25",
            together >= 12 and apart >= 25,
        )


def _intent(corpus: Corpus) -> Iterator[Check]:
    """Compare with what the authors were asked to write, which no coder saw."""
    intent = read_author_intent()
    arguable = int(intent["kind"].isin(["ambiguous", "thin"]).sum())
    yield "ambiguous or thin on purpose", str(arguable), "about 150", 130 <= arguable <= 170
    codes = corpus.codes
    second = intent[intent["kind"] == "pairB"].merge(corpus.incidents[["incident_id", "pair_id"]])
    first = intent[intent["kind"] == "pairA"].merge(corpus.incidents[["incident_id", "pair_id"]])
    both = second.merge(first, on="pair_id", suffixes=("", "_first"))
    flipped = sum(
        codes.loc[row.incident_id_first, row.flipped]
        and not codes.loc[row.incident_id, row.flipped]
        for row in both.itertuples()
    )
    share = flipped / len(both)
    yield "pairs whose gold codes flip as written", f"{share:.3f}", "at least .80", share >= 0.8


def _adjudication() -> Iterator[Check]:
    """Compare the adjudicator with a second session that decided the same cells."""
    folder = data_folder() / "corpus"
    first, second = (
        pd.read_csv(folder / f"{name}.csv", dtype=str).dropna(subset=["category"])
        for name in ("adjudication", "repeat_adjudication")
    )
    both = first.merge(second, on=["incident_id", "category"])
    same = float((both["decision_x"] == both["decision_y"]).mean())
    yield (
        "adjudicator and a repeat session agree on presence",
        f"{same:.3f}",
        "at least .90",
        same >= 0.9,
    )


def read_author_intent() -> pd.DataFrame:
    """Return what each author was asked to write: kind, categories, flip, mechanism."""
    return pd.read_csv(data_folder() / "corpus" / "author_intent.csv", dtype=str)


def _attributes(corpus: Corpus) -> Iterator[Check]:
    setting = corpus.incidents.set_index("incident_id")["setting"]
    stated = setting[setting != "not_stated"]
    share = float(setting.isin(SMALL).mean())
    yield "share of small communities", f"{share:.3f}", "about .30", 0.25 <= share <= 0.35
    by_place = [
        int(corpus.codes[setting.isin(place).to_numpy()].sum().min()) for place in (SMALL, LARGE)
    ]
    yield (
        "rarest category in small and in large places",
        f"{by_place[0]}, {by_place[1]}",
        "at least 10 each",
        min(by_place) >= 10,
    )
    small = stated.isin(SMALL)
    codes = corpus.codes.loc[stated.index]
    p_values = [_independence(codes[name].to_numpy(), small.to_numpy()) for name in codes]
    smallest = min(p_values) * len(p_values)
    yield (
        "independence of category and small community: smallest p × tests",
        f"{min(smallest, 1):.3f}",
        "at least .05",
        smallest >= 0.05,
    )


def _independence(present: np.ndarray, group: np.ndarray) -> float:
    return float(stats.chi2_contingency(pd.crosstab(present, group), correction=False).pvalue)


def _identifiers(corpus: Corpus) -> Iterator[Check]:
    share = corpus.identifiers["incident_id"].nunique() / len(corpus.incidents)
    kinds = corpus.identifiers["kind"].nunique()
    yield "share with planted identifiers", f"{share:.3f}", "about .50", 0.42 <= share <= 0.58
    yield "kinds of identifiers", str(kinds), "at least 6", kinds >= 6


def _splits(corpus: Corpus) -> Iterator[Check]:
    incidents = corpus.incidents
    sizes = incidents["split"].value_counts()
    yield "test narratives", str(sizes.get("test", 0)), "at least 240", sizes.get("test", 0) >= 240
    for owner in ("author_id", "pair_id"):
        sides = incidents.dropna(subset=[owner]).groupby(owner)["split"].nunique()
        crossing = int((sides > 1).sum())
        yield f"{owner} on both sides of a split", str(crossing), "0", crossing == 0


def _leaks(corpus: Corpus, codebook: Codebook) -> Iterator[Check]:
    most = largest_overlap(corpus.incidents)
    yield (
        "largest 5-gram Jaccard outside pairs",
        f"{most:.3f}",
        f"below {NEAR_DUPLICATE}",
        most < NEAR_DUPLICATE,
    )
    macro = keyword_baseline(corpus, codebook)
    yield (
        "keyword baseline, macro F1 on test authors",
        f"{macro:.3f}",
        f"below {KEYWORD_BOUND}",
        macro < KEYWORD_BOUND,
    )
    words = corpus.incidents["narrative"].str.split().str.len()
    rank = float(stats.spearmanr(words, corpus.codes.sum(axis=1).to_numpy()).statistic)
    yield (
        "rank correlation of length and number of codes",
        f"{rank:.3f}",
        f"within ±{LENGTH_BOUND}",
        abs(rank) < LENGTH_BOUND,
    )


def largest_overlap(incidents: pd.DataFrame) -> float:
    """Return the largest Jaccard similarity of word 5-grams outside contrast pairs."""
    columns: dict[str, int] = {}
    indices, indptr = [], [0]
    for text in incidents["narrative"]:
        grams = {term for term, _, _ in word_ngrams(text, 5, 5)}
        indices += [columns.setdefault(term, len(columns)) for term in grams]
        indptr.append(len(indices))
    shape = (len(incidents), len(columns))
    grams_of = sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=shape)
    shared = sparse.coo_array(sparse.triu(grams_of @ grams_of.T, k=1))
    size = np.diff(indptr)
    pair = incidents["pair_id"].fillna("").to_numpy(dtype=str)
    row, column = shared.coords
    other = (pair[row] != pair[column]) | (pair[row] == "")
    jaccard = shared.data / (size[row] + size[column] - shared.data)
    return float(jaccard[other].max(initial=0.0))


def keyword_baseline(corpus: Corpus, codebook: Codebook) -> float:
    """Return macro F1 on the test authors of word lists from the codebook, tuned on the others."""
    train = corpus.subset(corpus.incidents.loc[corpus.incidents["split"] != "test", "incident_id"])
    test = corpus.split("test")
    coder = KeywordCoder(codebook).fit(
        train.incidents["narrative"].tolist(), train.codes.reset_index(drop=True)
    )
    predicted = coder.predict(test.incidents["narrative"].tolist())
    names = list(predicted.columns)
    return float(f1_score(test.codes[names].to_numpy(), predicted.to_numpy(), average="macro"))


def agreement_of_coders(corpus: Corpus | None = None) -> pd.DataFrame:
    """Return nominal alpha per category: trained–trained, trained–novice, and each with gold.

    Returns
    -------
    DataFrame
        Columns category, prevalence, trained_trained, trained_novice, trained_gold, novice_gold;
        the last row, ``(overall)``, takes all decisions together.
    """
    corpus = corpus or load_corpus()
    codings = corpus.codings.drop_duplicates(["incident_id", "coder_id", "category"])
    wide = codings.pivot(index=["incident_id", "category"], columns="coder_id", values="present")
    gold = corpus.gold.set_index(["incident_id", "category"])["present"]
    wide = wide.assign(gold=gold).astype(float)
    rows = []
    for name in [*corpus.codes.columns, "(overall)"]:
        part = wide if name == "(overall)" else wide.xs(name, level="category")
        row: dict[str, object] = {"category": name, "prevalence": part["gold"].mean()}
        for label, columns in {
            "trained_trained": list(TRAINED),
            "trained_novice": [TRAINED[0], "novice"],
            "trained_gold": [TRAINED[0], "gold"],
            "novice_gold": ["novice", "gold"],
        }.items():
            row[label] = krippendorff_alpha(part[columns].to_numpy()).estimate
        rows.append(row)
    return pd.DataFrame(rows)
