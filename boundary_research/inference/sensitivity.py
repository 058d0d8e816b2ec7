"""What a reviewer asks of an analysis of incident reports, each answer a tidy table.

- `compare_designs`: does the association hold against two comparison groups, and is it absent for a
  negative-control category?
- `reporting_tipping_point`, `required_reporting`: how different must reporting be to erase it?
- `e_value`: how strong must unmeasured confounding be?
- `error_by_group`: is the classifier as good in every setting?
- `cut_point_sensitivity`: does it depend on what counts as a small place?
- `first_incident_sensitivity`: does it rest on a few practitioners with many reports?
- `incidence_rates`, `describe_estimand`: rates where there are denominators, and no talk of risk
  where there are none.
- `variable_roles`, `check_adjustment`: what may be adjusted for.
"""

from __future__ import annotations

from boundary_research._intervals import wilson_interval
from boundary_research.inference._comparison_designs import compare_designs
from boundary_research.inference._confounding import e_value
from boundary_research.inference._error_rates import error_by_group
from boundary_research.inference._incidence import (
    describe_estimand,
    garwood_interval,
    incidence_rates,
)
from boundary_research.inference._reanalyses import (
    cut_point_sensitivity,
    first_incident_sensitivity,
)
from boundary_research.inference._tipping_point import reporting_tipping_point, required_reporting
from boundary_research.inference.variable_roles import (
    AdjustmentWarning,
    check_adjustment,
    list_variable_roles,
)

__all__ = [
    "AdjustmentWarning",
    "check_adjustment",
    "compare_designs",
    "cut_point_sensitivity",
    "describe_estimand",
    "e_value",
    "error_by_group",
    "first_incident_sensitivity",
    "garwood_interval",
    "incidence_rates",
    "list_variable_roles",
    "reporting_tipping_point",
    "required_reporting",
    "wilson_interval",
]
