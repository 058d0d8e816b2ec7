"""Which variables may be adjusted for: roles in the causal diagram, read from the codebook."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import pandas as pd

from boundary_research._checks import DataError, check_choice
from boundary_research.codebook.model import Codebook, load_codebook

# Role: (adjust in a total effect, what follows from it)
ROLES = {
    "exposure": ("as the exposure", "The factor in question, or another exposure."),
    "confounder": ("yes", "A common cause of exposure and incident: adjust for it."),
    "mediator": (
        "no",
        "On the way from exposure to incident: adjusting removes part of the effect.",
    ),
    "collider": (
        "no",
        "Caused by exposure and incident (or their causes): adjusting makes an association.",
    ),
    "after_outcome": (
        "no",
        "Settled after the incident: adjusting conditions on its consequences.",
    ),
}
WARNED = ("mediator", "collider", "after_outcome")


class AdjustmentWarning(UserWarning):
    """A regression adjusts for a mediator, a collider or something after the outcome."""


def list_variable_roles(
    codebook: Codebook | None = None, *, roles: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Return the role of each attribute in the causal diagram, and whether to adjust for it.

    Parameters
    ----------
    codebook : Codebook, optional
        By default the bundled one.
    roles : mapping of str to str, optional
        Roles of further variables, or other roles than the codebook's, for the diagram of the study
        at hand.

    Returns
    -------
    pandas.DataFrame
        `variable`, `label`, `role`, `adjust` ("yes", "no", "as the exposure"), `reason`, `note`.

    Notes
    -----
    Roles are for the total effect of an exposure (Pearl 2009, Causality, chapter 3, back-door
    criterion; Hernán and Robins 2020, Causal Inference: What If, chapters 6-8). They are defaults:
    the diagram of a study decides.

    Examples
    --------
    >>> table = list_variable_roles().set_index("variable")
    >>> table.loc[["setting", "role", "prior_tie"], ["role", "adjust"]].values.tolist()
    [['exposure', 'as the exposure'], ['confounder', 'yes'], ['mediator', 'no']]
    """
    codebook = load_codebook() if codebook is None else codebook
    own = {
        str(name): check_choice(role, ROLES, name="role") for name, role in (roles or {}).items()
    }
    rows = []
    for attribute in codebook.attributes:
        role = own.pop(attribute.id, attribute.analysis_role)
        rows.append((attribute.id, attribute.label, role, *ROLES[role], attribute.note))
    rows += [(name, name, role, *ROLES[role], "") for name, role in own.items()]
    columns = ["variable", "label", "role", "adjust", "reason", "note"]
    return pd.DataFrame(rows, columns=columns)


def check_adjustment(
    formula: str,
    codebook: Codebook | None = None,
    *,
    exposure: str | None = None,
    roles: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return the roles of a formula's variables; warn of those not to be adjusted for.

    Parameters
    ----------
    formula : str
        ``"~ setting + role"``, as for `risk_factors`.
    codebook, roles
        See `list_variable_roles`.
    exposure : str, optional
        The variable of the formula whose association is in question: it is never warned of.

    Returns
    -------
    pandas.DataFrame
        One row for each variable, in the order of the formula: as in `list_variable_roles`; `role`
        is "unknown" for variables that the codebook does not have.

    Warns
    -----
    AdjustmentWarning
        Once, with all mediators, colliders and variables after the outcome, and the reasons.

    Examples
    --------
    >>> check_adjustment("~ setting + role")[["variable", "role"]].values.tolist()
    [['setting', 'exposure'], ['role', 'confounder']]
    """
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        parsed = Formula(formula)
    except FormulaicError as error:
        raise DataError(
            f"formula {formula!r} cannot be read: {str(error).splitlines()[0]} Write it one-sided, "
            f"such as '~ setting + role'."
        ) from None
    names = sorted(map(str, parsed.required_variables), key=formula.find)
    if exposure is not None:
        check_choice(exposure, names, name="exposure")
    table = list_variable_roles(codebook, roles=roles).set_index("variable").reindex(names)
    unknown = table["role"].isna()
    table.loc[unknown, "label"] = table.index[unknown]
    table.loc[unknown, ["role", "adjust"]] = ["unknown", "decide by the diagram"]
    table.loc[unknown, "reason"] = "Not in the codebook: give its role in `roles`."
    table["note"] = table["note"].fillna("")
    table = table.rename_axis("variable").reset_index()
    if exposure is not None:
        chosen = table["variable"] == exposure
        table.loc[chosen, ["role", "adjust"]] = ["exposure", "as the exposure"]
        table.loc[chosen, "reason"] = ROLES["exposure"][1]
    bad = table[table["role"].isin(WARNED)]
    if len(bad):
        listed = " ".join(
            f"{row.variable} ({row.role}): {row.reason}" for row in bad.itertuples(index=False)
        )
        warnings.warn(
            f"formula {formula!r} adjusts for {', '.join(bad['variable'])}. {listed} Leave out "
            f"what the study's diagram does not ask for, or give its role there in `roles`.",
            AdjustmentWarning,
            stacklevel=2,
        )
    return table
