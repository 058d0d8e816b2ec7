"""Figures of inference: each takes a tidy table and returns a matplotlib Figure.

Estimators and groups differ by shape and lightness, so that figures read in grey print and without
colour vision. Axes say what is estimated.
"""

from __future__ import annotations

from boundary_research.inference._estimate_figures import (
    plot_coverage,
    plot_forest,
    plot_prevalence,
)
from boundary_research.inference._sensitivity_figures import (
    plot_error_by_group,
    plot_tipping_point,
)

__all__ = [
    "plot_coverage",
    "plot_error_by_group",
    "plot_forest",
    "plot_prevalence",
    "plot_tipping_point",
]
