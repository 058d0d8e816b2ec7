"""Agreement between coders: coefficients with intervals, tables and where coders differ.

All coefficients take ratings of shape (units, coders), NaN where a coder did not code a unit, and
return an `AgreementResult`. They share the keyword arguments of `AgreementOptions`: `categories`,
`inclusion_probability`, `clusters`, `confidence`, `interval`, `n_boot` and `random_state`.

`std_error` is the published linearised one. The default interval is Wilson's score interval at the
effective number of units, which keeps its level where the published Wald interval does not (good
agreement, few narratives); ``interval="wald"`` gives the published one and
``interval="bootstrap"`` BCa by unit or cluster. Kappa and alpha intervals fail when a category is
rare, whatever the method: `note` says so.
"""

from __future__ import annotations

from boundary_research.coding._agreement_intervals import AgreementOptions
from boundary_research.coding._agreement_results import (
    SCALES,
    AgreementResult,
    benchmark_probabilities,
)
from boundary_research.coding._agreement_tables import agreement_table
from boundary_research.coding._codings import ratings_from_codings
from boundary_research.coding._coefficients import (
    brennan_prediger,
    conger_kappa,
    fleiss_kappa,
    gwet_ac,
    krippendorff_alpha,
)
from boundary_research.coding._disagreement import confusion_of_categories, disagreement_table
from boundary_research.coding._pair_coefficients import (
    SpecificAgreement,
    cohen_kappa,
    percent_agreement,
    scott_pi,
    specific_agreement,
)
from boundary_research.coding._set_agreement import SET_DISTANCES, set_alpha, set_distance
from boundary_research.coding._unitizing import UnitizingResult, unitizing_alpha

__all__ = [
    "SCALES",
    "SET_DISTANCES",
    "AgreementOptions",
    "AgreementResult",
    "SpecificAgreement",
    "UnitizingResult",
    "agreement_table",
    "benchmark_probabilities",
    "brennan_prediger",
    "cohen_kappa",
    "confusion_of_categories",
    "conger_kappa",
    "disagreement_table",
    "fleiss_kappa",
    "gwet_ac",
    "krippendorff_alpha",
    "percent_agreement",
    "ratings_from_codings",
    "scott_pi",
    "set_alpha",
    "set_distance",
    "specific_agreement",
    "unitizing_alpha",
]
