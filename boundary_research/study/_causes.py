"""Why a replication differs: what was changed between the published run and the new one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from boundary_research._files import hash_file

KINDS = ("results", "seed", "study", "codebook", "version", "code", "platform")
CAUSE_COLUMNS = ["kind", "what", "published", "replicated"]
# Parts of a manifest that tell of the run and not of how its numbers come about.
_APART = {"command", "started", "finished", "inputs", "outputs", "stages", "times", "model"}
NOTHING_FOUND = "nothing recorded differs: please report this as a fault of the toolkit"


def _leaves(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(content, list):
        yield path, ", ".join(map(str, content))
    else:
        yield path, "" if content is None else str(content)


def _kind(path: tuple[str, ...]) -> str:
    words = "_".join(path).lower()
    if "seed" in words or "random_state" in words:
        return "seed"
    if path[0] in ("packages", "python", "lock") or "version" in path[-1].lower():
        return "codebook" if "codebook" in path else "version"
    if "codebook" in path:
        return "codebook"
    if path[0] == "options":
        return "study"
    return "platform" if path[0] == "platform" else "code"


def compare_manifests(published: Mapping[str, Any], replicated: Mapping[str, Any]) -> pd.DataFrame:
    """Return what two manifests say differently of seeds, plan, versions, code and platform.

    Only what both record is compared, so that an older manifest does not look like a difference.

    Returns
    -------
    DataFrame
        kind (one of `KINDS`), what, published, replicated.
    """
    before, after = (
        dict(_leaves({k: v for k, v in manifest.items() if k not in _APART}))
        for manifest in (published, replicated)
    )
    rows = []
    for path, value in before.items():
        if path in after and after[path] != value:
            what = ".".join(path[1:] if path[0] in ("options", "packages") else path)
            rows.append((_kind(path), what, value, after[path]))
    frame = pd.DataFrame(rows, columns=CAUSE_COLUMNS)
    order = frame["kind"].map({kind: i for i, kind in enumerate(KINDS)})
    frame = frame.loc[order.sort_values(kind="stable").index]
    # A manifest names the seed among the options and among the seeds; one line says it.
    again = (frame["kind"] == "seed") & frame.duplicated(["kind", "published", "replicated"])
    return frame[~again].reset_index(drop=True)


def find_altered_results(folder: Path, manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Return results files that are not as the run wrote them, in the columns of causes."""
    rows = []
    for name, expected in manifest.get("outputs", {}).items():
        if not name.startswith(("tables/", "figures/")) or not name.endswith(".csv"):
            continue
        file = folder / name
        expected = expected.get("sha256", "") if isinstance(expected, Mapping) else str(expected)
        found = hash_file(file) if file.is_file() else "not there"
        if found != expected:
            rows.append(("results", name, f"sha256 {expected[:12]}… when it was run", found[:12]))
    return pd.DataFrame(rows, columns=CAUSE_COLUMNS)


def redraws(causes: pd.DataFrame) -> bool:
    """Return whether random draws may have come out otherwise: another seed, or other packages."""
    packages = causes["what"].isin(["numpy", "scikit-learn", "scipy"])
    return bool((causes["kind"] == "seed").any() or packages.any())


def _brief(text: str) -> str:
    """Return a hash by its first digits, and any other text as it is."""
    return f"{text[:12]}…" if re.fullmatch(r"[0-9a-f]{40,}", text) else text or "blank"


def _sentence(kind: str, part: pd.DataFrame) -> str:
    shown = [
        f"{row.what} {_brief(row.published)}, now {_brief(row.replicated)}"
        for row in part.itertuples()
    ]
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    listed = "; ".join(shown[:3]) + more
    if kind == "seed":
        return f"another seed ({part['published'].iloc[0]}, now {part['replicated'].iloc[0]})"
    names = {
        "study": "study.yaml was changed",
        "codebook": "another codebook",
        "version": "other versions",
        "code": "other code of the toolkit",
        "platform": "another platform",
    }
    return f"{names[kind]} ({listed})"


def name_causes(numbers: pd.DataFrame, causes: pd.DataFrame) -> pd.Series:
    """Return the likely cause of every number that did not come out again, else an empty text.

    A published table that was changed after its run explains its own numbers. Another seed is
    named only for numbers that random draws stand behind. The platform is named where nothing
    else differs.
    """
    altered = {
        name.removeprefix("tables/").removesuffix(".csv")
        for name in causes.loc[causes["kind"] == "results", "what"]
    }
    sentences = {
        kind: _sentence(kind, part)
        for kind, part in causes.groupby("kind", sort=False)
        if kind != "results"
    }
    general = [s for kind, s in sentences.items() if kind not in ("seed", "platform")]
    by_chance = ([sentences["seed"]] if "seed" in sentences else []) + general
    fallback = sentences.get("platform", NOTHING_FOUND)
    texts = []
    for row in numbers[["table", "origin", "verdict"]].itertuples():
        if row.verdict == "reproduced":
            texts.append("")
        elif row.table in altered:
            texts.append("the published table was changed after its run")
        else:
            chosen = general if row.origin == "inputs" else by_chance
            texts.append("; ".join(chosen) or fallback)
    return pd.Series(texts, index=numbers.index, dtype=object)
