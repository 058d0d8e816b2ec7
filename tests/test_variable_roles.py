"""Roles come from the codebook, and what should not be adjusted for is warned of."""

from __future__ import annotations

import warnings

import pytest

from boundary_research._checks import DataError
from boundary_research.codebook.model import load_codebook
from boundary_research.inference.variable_roles import (
    WARNED,
    AdjustmentWarning,
    check_adjustment,
    list_variable_roles,
)

OWN = """
id: own
name: Own codebook
version: 1.0.0
categories:
  - {id: a, label: A, definition: A thing.}
attributes:
  - {id: place, label: Place, levels: [here, there], analysis_role: exposure}
  - {id: found_by, label: Found by, levels: [audit, client], analysis_role: after_outcome}
"""


def test_every_attribute_has_the_role_of_the_codebook():
    codebook = load_codebook()
    table = list_variable_roles(codebook)
    assert table["variable"].tolist() == [a.id for a in codebook.attributes]
    assert table["role"].tolist() == [a.analysis_role for a in codebook.attributes]
    assert ((table["adjust"] == "no") == table["role"].isin(WARNED)).all()
    assert table["reason"].str.len().min() > 10


@pytest.mark.parametrize("attribute", load_codebook().attributes, ids=lambda a: a.id)
def test_a_warning_for_mediators_colliders_and_what_comes_after(attribute):
    formula = f"~ setting + {attribute.id}"
    if attribute.analysis_role in WARNED:
        with pytest.warns(
            AdjustmentWarning, match=rf"{attribute.id} \({attribute.analysis_role}\)"
        ):
            table = check_adjustment(formula)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = check_adjustment(formula)
    assert attribute.id in set(table["variable"])


def test_one_warning_names_all_and_says_why():
    with pytest.warns(AdjustmentWarning) as caught:
        check_adjustment("~ setting + discovery_route + C(prior_tie):role")
    assert len(caught) == 1
    text = str(caught[0].message)
    assert "discovery_route (after_outcome)" in text
    assert "prior_tie (mediator)" in text
    assert "role (" not in text.replace("give its role", "")
    assert caught[0].filename == __file__


def test_the_studys_own_diagram_wins():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = check_adjustment(
            "~ prior_tie + distance", roles={"prior_tie": "confounder", "distance": "confounder"}
        )
        exposed = check_adjustment("~ modality + role", exposure="modality")
    assert table["role"].tolist() == ["confounder", "confounder"]
    assert exposed.set_index("variable").loc["modality", "role"] == "exposure"
    with pytest.warns(AdjustmentWarning, match="role"):
        check_adjustment("~ setting + role", roles={"role": "collider"})


def test_a_codebook_of_ones_own(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(OWN, encoding="utf-8")
    with pytest.warns(AdjustmentWarning, match="found_by"):
        table = check_adjustment("~ place + found_by + setting", load_codebook(path))
    assert table["role"].tolist() == ["exposure", "after_outcome", "unknown"]
    assert table["adjust"].iloc[2] == "decide by the diagram"


def test_errors():
    with pytest.raises(DataError, match="cannot be read"):
        check_adjustment("~ setting +")
    with pytest.raises(DataError, match="'colour' not found"):
        check_adjustment("~ setting", exposure="colour")
    with pytest.raises(DataError, match="role 'cause' not found"):
        list_variable_roles(roles={"setting": "cause"})
