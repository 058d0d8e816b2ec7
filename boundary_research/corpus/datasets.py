"""Public data sets of real reports, each with its licence and what it cannot show.

Nothing is downloaded at import, and nothing by any other part of the package. A loader reads, in
this order: the file whose path it is given; the folder that the environment variable
``BOUNDARY_RESEARCH_DATA`` names (then nothing is downloaded); the user's cache; the source.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from boundary_research._checks import DataError, check_choice
from boundary_research._tables import check_table
from boundary_research.corpus._dataset_cards import CARDS, DatasetCard
from boundary_research.corpus._dataset_files import FoundFile, find_file, why_missing
from boundary_research.corpus._dataset_tables import (
    Parsed,
    read_govtrack,
    read_hhs_breaches,
    read_new_york_physicians,
)

DATASETS = tuple(CARDS)
_READERS: dict[str, Callable[[Path], Parsed]] = {
    "govtrack": read_govtrack,
    "hhs_breaches": read_hhs_breaches,
    "new_york_physicians": read_new_york_physicians,
}


@dataclass(frozen=True, repr=False)
class Dataset:
    """A public data set as incidents; shown, it prints its card.

    Attributes
    ----------
    incidents : pandas.DataFrame
        One row a record: `incident_id`, `narrative`, `stage`, and the source's attributes.
    rejects : pandas.DataFrame
        Rows set aside: `row` (from 1, without the header), `incident_id`, `reason`. Never the text.
    card : DatasetCard
        Licence, source, what the records are and what they cannot show.
    source : dict
        What was read: `file`, `form` (which of the source's formats), `read_from`, `sha256`,
        and `copy` (whether it is the copy that this release was tested with).
    """

    incidents: pd.DataFrame
    rejects: pd.DataFrame
    card: DatasetCard
    source: dict[str, str]

    def __repr__(self) -> str:
        return self.describe()

    def describe(self) -> str:
        """Return the card as text: what this is, and what must not be claimed from it."""
        card = self.card
        aside = len(self.rejects)
        rows = f"{aside:,} row{'s' if aside != 1 else ''} set aside"
        lines = [f"{card.title}: {len(self.incidents):,} narratives, {rows}"]
        read = f"{self.source['file']} ({self.source['form']}), from {self.source['read_from']}"
        for label, value in (
            ("Publisher", card.publisher),
            ("Source", card.homepage),
            ("Licence", card.licence),
            ("Read", read),
            ("Content", f"sha256 {self.source['sha256']}; {self.source['copy']}"),
            ("A record", card.records),
            ("Stage", card.stage),
            ("Coded by", card.coded_by),
            ("Can't show", card.cannot_show[0]),
            *(("", claim) for claim in card.cannot_show[1:]),
        ):
            lines.append(
                textwrap.fill(
                    value,
                    width=100,
                    initial_indent=f"  {label:<12}",
                    subsequent_indent=" " * 14,
                    break_long_words=False,
                    break_on_hyphens=False,
                )
            )
        return "\n".join(lines)


def missing_reason(name: str, *, network: bool = False) -> str | None:
    """Return why a data set cannot be loaded here, or None if it can.

    For notebooks and tests that are skipped, with the reason, where the data are not there.

    Parameters
    ----------
    name : str
        One of `DATASETS`.
    network : bool
        Whether a source that answers counts as available. By default nothing but this computer is
        asked: the folder ``BOUNDARY_RESEARCH_DATA``, or the cache.

    Raises
    ------
    DataError
        If there is no data set of that name.
    """
    return why_missing(CARDS[check_choice(name, DATASETS, name="data set")], network=network)


def load_dataset(
    name: str, path: str | Path | None = None, *, sha256: str | None = None
) -> Dataset:
    """Load a public data set by name; see the loader of each for its columns.

    Parameters
    ----------
    name : {"govtrack", "hhs_breaches", "new_york_physicians"}
    path : str or pathlib.Path, optional
        A file that you have.
    sha256 : str, optional
        The hash that its content must have.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If the name is not known, or the loader cannot find or read the data.
    """
    card = CARDS[check_choice(name, DATASETS, name="data set")]
    return _load(card, find_file(card, path, sha256=sha256))


def load_govtrack(
    path: str | Path | None = None,
    *,
    url: str | None = None,
    sha256: str | None = None,
    refresh: bool = False,
) -> Dataset:
    """Load GovTrack's list of misconduct by members of the US Congress (CC0).

    Real people are described, some of them exonerated: use it to try the machinery, not for claims.
    Names are not among the columns, but the narratives hold them.

    Parameters
    ----------
    path : str or pathlib.Path, optional
        A copy of misconduct.yaml, or of the CSV made from it (misconduct-instances.csv).
    url : str, optional
        Another address of misconduct.yaml. The default names one revision of the repository, so
        that everybody gets the same cases; a later revision has more.
    sha256 : str, optional
        The hash that the content must have; the loaded data set reports its own.
    refresh : bool
        Download again, even if there is a copy in the cache.

    Returns
    -------
    Dataset
        `incidents` with `stage`, `practitioner_id` (GovTrack's number of the person; cases of one
        person belong together), `first_date` and `last_date` of the consequences (a year, a
        month or a day), `allegation`, and a 0/1 column `tag_...` for each of the editors' tags.
        Links in the text are reduced to their words.

    Raises
    ------
    DataError
        If the file is neither here nor to be had, or is not in one of the two forms.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "misconduct.yaml"
    >>> _ = file.write_text('''
    ... - person: 1
    ...   text: Doe was [fined](https://example.org).
    ...   consequences: [{date: 2019-03, tags: fined}]
    ...   tags: ethics resolved
    ... ''')
    >>> loaded = load_govtrack(file)
    >>> loaded.incidents.loc[0, ["incident_id", "narrative", "stage"]].tolist()
    ['1-2019-03', 'Doe was fined.', 'finding']
    >>> loaded.card.licence
    'CC0 1.0 (dedicated to the public domain)'
    """
    card = CARDS["govtrack"]
    return _load(card, find_file(card, path, url=url, sha256=sha256, refresh=refresh))


def load_hhs_breaches(path: str | Path | None = None, *, sha256: str | None = None) -> Dataset:
    """Load breaches of health information from the US government's breach portal.

    The portal has no fixed address for its exports, so that nothing is downloaded: open
    https://ocrportal.hhs.gov/ocr/breach/breach_report.jsf, choose the archive, export it as CSV,
    and give the file's path (or put it in the folder ``BOUNDARY_RESEARCH_DATA``).

    Parameters
    ----------
    path : str or pathlib.Path, optional
        The portal's CSV export, or the archive of narratives with a `breach_id`.
    sha256 : str, optional
        The hash that the content must have.

    Returns
    -------
    Dataset
        `incidents` with `stage`, `submission_date`, `state`, `covered_entity_type`,
        `individuals_affected`, `business_associate_present` (yes, no, not_stated),
        `type_of_breach` and `location_of_breached_information` as the portal has them, and a 0/1
        column `type_...` and `location_...` for each item of these two lists. From the portal's
        export also `agency_id`, a pseudonym of the organisation.

    Notes
    -----
    The 0/1 columns are made here from whole items of the lists. Those that the archive brings
    (``lobi_...``) are not used: in the copy that this release was tested with, three of the eight
    differ from the list that they were made from (electronic medical record, other portable device
    and unknown, which match parts of each other's names).

    Raises
    ------
    DataError
        If the file is not here, or is not in one of the two forms.
    """
    card = CARDS["hhs_breaches"]
    return _load(card, find_file(card, path, sha256=sha256))


def load_new_york_physicians(
    path: str | Path | None = None,
    *,
    url: str | None = None,
    sha256: str | None = None,
    refresh: bool = False,
) -> Dataset:
    """Load the actions of New York's board for professional medical conduct since 1990.

    The board adds to the list all the time, so that there is no hash to hold the content to: report
    the one that the loaded data set gives, and keep the file.

    Parameters
    ----------
    path : str or pathlib.Path, optional
        The CSV of health.data.ny.gov (data set ebmi-8ctw), from its export button or its data
        interface.
    url : str, optional
        Another address of that CSV.
    sha256 : str, optional
        The hash that the content must have.
    refresh : bool
        Download again, even if there is a copy in the cache.

    Returns
    -------
    Dataset
        `incidents` with `stage`, `practitioner_id` (a pseudonym of licence type and number; not
        anonymous, the list is public), `license_type`, `effective_date` and the board's `action`.
        Names, addresses and years of birth are left out.

    Raises
    ------
    DataError
        If the file is neither here nor to be had, or is not in one of the two forms.
    """
    card = CARDS["new_york_physicians"]
    return _load(card, find_file(card, path, url=url, sha256=sha256, refresh=refresh))


def _load(card: DatasetCard, found: FoundFile) -> Dataset:
    incidents, rejects, form = _READERS[card.name](found.path)
    if incidents.empty:
        raise DataError(
            f"Data set {card.name!r}: {found.path.name!r} holds no narrative that can be used "
            f"({len(rejects)} rows were set aside). Check the export."
        )
    tested = found.sha256 == card.tested_sha256
    source = {
        "file": found.path.name,
        "form": form,
        "read_from": found.how,
        "sha256": found.sha256,
        "copy": f"{'the' if tested else 'not the'} copy this release was tested with",
    }
    return Dataset(check_table(incidents, "incidents"), rejects, card, source)
