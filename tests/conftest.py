"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import settings

# A busy machine is no failure; in CI the same examples are tried at every run.
settings.register_profile("default-here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default-here")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    """Keep the default model's cache of a test session apart from the user's own."""
    shared = tmp_path_factory.getbasetemp().parent / "boundary-research-cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, which are never part of the repository."""
    folder = Path(os.environ.get("BOUNDARY_RESEARCH_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the folder of real data is not here; set BOUNDARY_RESEARCH_DATA")
    return folder


@pytest.fixture
def small_codes():
    """Forty short narratives in three categories, each with words of its own."""
    texts = [
        f"On {day} the worker {act} and wrote it in the log of the day."
        for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
        for act in (
            "lent money to the tenant",
            "borrowed money from the tenant",
            "told the neighbour about the diagnosis",
            "gossiped about the diagnosis at the shop",
            "never visited the family",
            "cancelled every visit to the family",
            "filled the kettle",
            "parked the van",
        )
    ]
    codes = pd.DataFrame(
        {
            "money": ["money" in text for text in texts],
            "gossip": ["diagnosis" in text for text in texts],
            "absence": ["visit" in text for text in texts],
        }
    )
    return texts, codes
