"""Tables of the public data sets: each source's own columns as incidents with attributes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from boundary_research._checks import DataError
from boundary_research.corpus import _readers
from boundary_research.corpus.incidents import REJECT_COLUMNS, find_unusable

NOT_STATED = "not_stated"
Parsed = tuple[pd.DataFrame, pd.DataFrame, str]  # incidents, rejects, form of the file

_LINK = re.compile(r"\[([^\[\]]*)\]\((?:[^()\s]|\([^()\s]*\))*\)")
_FINDINGS = (
    "censure",
    "contempt",
    "conviction",
    "exclusion",
    "expulsion",
    "fined",
    "plea",
    "reprimand",
)
_GOVTRACK_FIXED = ("first_date", "last_date", "person", "name", "allegation", "text")
_TYPES = {
    "Theft": "theft",
    "Loss": "loss",
    "Improper Disposal": "improper_disposal",
    "Hacking/IT Incident": "hacking",
    "Unauthorized Access/Disclosure": "unauthorized_access",
    "Unknown": "unknown",
    "Other": "other",
}
_LOCATIONS = {
    "Network Server": "network_server",
    "Email": "email",
    "Desktop Computer": "desktop_computer",
    "Laptop": "laptop",
    "Other Portable Electronic Device": "other_portable_electronic_device",
    "Electronic Medical Record": "electronic_medical_record",
    "Paper/Films": "paper",
    "Other": "other",
}
_PORTAL = {
    "Name of Covered Entity": "entity",
    "State": "state",
    "Covered Entity Type": "covered_entity_type",
    "Individuals Affected": "individuals_affected",
    "Breach Submission Date": "submission_date",
    "Type of Breach": "type_of_breach",
    "Location of Breached Information": "location_of_breached_information",
    "Business Associate Present": "business_associate_present",
    "Web Description": "narrative",
}
_ARCHIVE = {
    "breach_id": "incident_id",
    "breach_submission_date": "submission_date",
    **{
        name: name
        for name in (
            "state",
            "covered_entity_type",
            "individuals_affected",
            "type_of_breach",
            "location_of_breached_information",
            "business_associate_present",
            "narrative",
        )
    },
}
_BOARD = {
    "License Number": "license_number",
    "License Type": "license_type",
    "Effective Date": "effective_date",
    "Action": "action",
    "Misconduct Description": "narrative",
}
_BOARD_API = {
    "licensenum": "license_number",
    "licensetype": "license_type",
    "effectivedate": "effective_date",
    "webaction": "action",
    "webnotes": "narrative",
}
_BOARD_NAMES = (("Last Name", "First Name"), ("last_name", "first_name"))


def read_govtrack(file: Path) -> Parsed:
    """Read GovTrack's misconduct.yaml, or the CSV that is made from it."""
    if file.suffix.lower() in (".yaml", ".yml"):
        raw, form = _govtrack_yaml(file), "yaml"
    else:
        raw, form = _read_csv(file, _GOVTRACK_FIXED), "csv"
        _choose(raw.frame, file, {"csv": {name: name for name in _GOVTRACK_FIXED}})
    table = raw.frame
    tags = sorted(
        column
        for column in table.columns.difference(_GOVTRACK_FIXED)
        if table[column].str.strip().isin(["", "X"]).all()
    )
    has = {tag: table[tag].str.strip() != "" for tag in tags}
    found = pd.Series(False, index=table.index)
    for tag in _FINDINGS:
        found |= has.get(tag, False)
    still_open = has.get("unresolved", pd.Series(False, index=table.index))
    stage = pd.Series(NOT_STATED, index=table.index).mask(still_open, "investigation")
    # Entries are added at the top, so repeats are counted from the bottom to keep their numbers.
    stem = table["person"].str.strip() + "-" + table["first_date"].str.strip()
    empty = (table["person"].str.strip() == "") | (table["first_date"].str.strip() == "")
    incidents = pd.DataFrame(
        {
            "incident_id": _number_repeats(stem.mask(empty, ""), order=-table.index.to_numpy()),
            "narrative": table["text"].map(_without_links),
            "stage": stage.mask(found, "finding"),
            "practitioner_id": table["person"].str.strip(),
            "first_date": table["first_date"].str.strip(),
            "last_date": table["last_date"].str.strip(),
            "allegation": table["allegation"].map(_without_links).str.strip(),
            **{f"tag_{tag.replace('-', '_')}": has[tag].astype(int) for tag in tags},
        }
    )
    return *_keep_usable(incidents, raw, text="text", id_from="person and first_date"), form


def _govtrack_yaml(file: Path) -> _readers.RawTable:
    text, _ = _readers.decode(file.read_bytes(), name=file.name)
    # The base loader leaves every scalar as written: dates may be a year, a month or a day.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        entries = yaml.load(text, Loader=loader)  # builds text, lists and mappings only
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise DataError(f"{file.name!r}{where}: not valid YAML. Download the file again.") from None
    if not isinstance(entries, list) or not entries:
        raise DataError(
            f"{file.name!r}: a list of cases is needed, found "
            f"{'nothing' if not entries else type(entries).__name__}. Download the file again."
        )
    rows, positions, rejects = [], [], []
    for number, entry in enumerate(entries, start=1):
        row = _govtrack_row(entry)
        if row is None:
            reason = "no mapping with person, text and a list of dated consequences"
            rejects.append({"row": number, "incident_id": None, "reason": reason})
        else:
            rows.append(row)
            positions.append(number)
    frame = pd.DataFrame(rows, columns=None if rows else list(_GOVTRACK_FIXED)).fillna("")
    return _readers.RawTable(frame.astype("str"), list(positions), rejects)


def _govtrack_row(entry: Any) -> dict[str, str] | None:
    if not isinstance(entry, dict):
        return None
    consequences = entry.get("consequences")
    plain = all(isinstance(entry.get(key, ""), str) for key in ("person", "text", "tags"))
    if not plain or not isinstance(consequences, list) or not consequences:
        return None
    if not all(
        isinstance(item, dict) and isinstance(item.get("date"), str) for item in consequences
    ):
        return None
    row = {key: str(entry.get(key, "")) for key in ("person", "name", "allegation", "text")}
    row["first_date"], row["last_date"] = consequences[0]["date"], consequences[-1]["date"]
    for item in (entry, *consequences):
        for tag in re.findall(r"[\w-]+", str(item.get("tags", ""))):
            row[tag] = "X"
    return row


def read_hhs_breaches(file: Path) -> Parsed:
    """Read the portal's own CSV export, or the archive of narratives that was made from it."""
    raw = _read_csv(file, [*_PORTAL, *_ARCHIVE])
    form, table = _choose(raw.frame, file, {"portal": _PORTAL, "archive": _ARCHIVE})
    if form == "portal":
        # The export numbers no cases; the organisation's name does not leave this function.
        entity = table["entity"].str.strip()
        date = _iso_dates(table["submission_date"])
        agency = entity.map(_pseudonym).where(entity != "", "")
        stem = (agency + "-" + date).where((agency != "") & (date != ""), "")
        order = table["individuals_affected"] + "\0" + table["narrative"]
        extra = {"agency_id": agency}
        ids = _number_repeats(stem, order=order.to_numpy())
    else:
        date, extra = _epoch_dates(table["submission_date"]), {}
        ids = table["incident_id"].str.strip()
    size = table["individuals_affected"].str.replace(",", "", regex=False)
    associate = table["business_associate_present"].str.strip().str.lower()
    incidents = pd.DataFrame(
        {
            "incident_id": ids,
            "narrative": table["narrative"],
            "stage": "investigation",
            **extra,
            "submission_date": date,
            "state": _stated(table["state"]),
            "covered_entity_type": _stated(table["covered_entity_type"]),
            "individuals_affected": pd.to_numeric(size, errors="coerce"),
            "business_associate_present": associate.map(
                {"yes": "yes", "1": "yes", "1.0": "yes", "no": "no", "0": "no", "0.0": "no"}
            ).fillna(NOT_STATED),
            "type_of_breach": _stated(table["type_of_breach"]),
            "location_of_breached_information": _stated(table["location_of_breached_information"]),
            **_indicators(table["type_of_breach"], _TYPES, "type"),
            **_indicators(table["location_of_breached_information"], _LOCATIONS, "location"),
        }
    )
    column = "Web Description" if form == "portal" else "narrative"
    source = "Name of Covered Entity and Breach Submission Date"
    id_from = source if form == "portal" else "breach_id"
    return *_keep_usable(incidents, raw, text=column, id_from=id_from), form


def read_new_york_physicians(file: Path) -> Parsed:
    """Read the board's actions: the CSV of the download button, or of the data interface."""
    raw = _read_csv(file, [*_BOARD, *_BOARD_API])
    form, table = _choose(raw.frame, file, {"download": _BOARD, "interface": _BOARD_API})
    number, kind = table["license_number"].str.strip(), table["license_type"].str.strip()
    names = next((n for n in _BOARD_NAMES if set(n) <= set(raw.frame.columns)), ())
    # Who had no licence is told apart by name, where the file has one.
    person = number.where(number.str.contains("[1-9]"), "")
    for name in names:
        person = person.where(
            number.str.contains("[1-9]"), person + " " + raw.frame[name].str.strip()
        )
    key = (kind + "/" + person.str.strip()).where(person.str.strip() != "", "")
    practitioner = key.map(_pseudonym).where(key != "", "")
    date = _iso_dates(table["effective_date"])
    stem = (practitioner + "-" + date).where((practitioner != "") & (date != ""), "")
    order = table["action"] + "\0" + table["narrative"]
    incidents = pd.DataFrame(
        {
            "incident_id": _number_repeats(stem, order=order.to_numpy()),
            "narrative": table["narrative"],
            "stage": "finding",
            "practitioner_id": practitioner,
            "license_type": _stated(kind),
            "effective_date": date,
            "action": _stated(table["action"]),
        }
    )
    column = "Misconduct Description" if form == "download" else "webnotes"
    id_from = "licence number (or name) and effective date"
    return *_keep_usable(incidents, raw, text=column, id_from=id_from), form


def _read_csv(file: Path, wanted: Sequence[str]) -> _readers.RawTable:
    return _readers.read_delimited(file, encoding=None, delimiter=None, wanted=wanted)


def _choose(
    frame: pd.DataFrame, file: Path, forms: Mapping[str, Mapping[str, str]]
) -> tuple[str, pd.DataFrame]:
    """Return the form whose columns are all there, and the table under the package's names."""
    for form, columns in forms.items():
        if set(columns) <= set(frame.columns):
            return form, frame[list(columns)].rename(columns=dict(columns))
    known = "; or ".join(f"({form}) {', '.join(columns)}" for form, columns in forms.items())
    there = ", ".join(map(str, frame.columns[:20])) or "none"
    raise DataError(
        f"{file.name!r} does not have the columns of this data set. Needed: {known}. Columns there "
        f"are: {there}. If the publisher has renamed them, use load_incidents with id_column and "
        f"text_column."
    )


def _keep_usable(
    incidents: pd.DataFrame, raw: _readers.RawTable, *, text: str, id_from: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows with an id and a text, and the others by number and reason."""
    bad, rejects = find_unusable(
        incidents,
        raw,
        no_text=f"no text in {text!r}",
        no_id=f"no id could be made from {id_from}",
    )
    good = incidents[~bad].reset_index(drop=True)
    return good, pd.DataFrame(rejects, columns=REJECT_COLUMNS)


def _number_repeats(stem: pd.Series, *, order: Any) -> pd.Series:
    """Return the ids, the second and later rows of a stem (in the given order) with a number."""
    place = pd.Series(order, index=stem.index).sort_values(kind="stable").index
    count = stem.loc[place].groupby(stem.loc[place]).cumcount().loc[stem.index] + 1
    numbered = stem + "-" + count.astype(str)
    return stem.where((count == 1) | (stem == ""), numbered)


def _indicators(values: pd.Series, names: Mapping[str, str], prefix: str) -> dict[str, pd.Series]:
    """Return a 0/1 column for each name of a comma-separated list, by whole items."""
    items = values.map(lambda cell: {part.strip() for part in cell.split(",")})
    return {
        f"{prefix}_{column}": items.map(lambda found, n=name: int(n in found))
        for name, column in names.items()
    }


def _pseudonym(value: str) -> str:
    return hashlib.sha256(" ".join(value.casefold().split()).encode()).hexdigest()[:10]


def _stated(values: pd.Series) -> pd.Series:
    clean = values.str.strip()
    return clean.where(clean != "", NOT_STATED)


def _iso_dates(values: pd.Series) -> pd.Series:
    """Return month/day/year or ISO dates as ISO; blank where a cell is neither."""
    clean = values.str.strip().str.slice(0, 10)
    american = pd.to_datetime(clean, format="%m/%d/%Y", errors="coerce")
    iso = pd.to_datetime(clean, format="%Y-%m-%d", errors="coerce")
    return american.fillna(iso).dt.strftime("%Y-%m-%d").fillna("")


def _epoch_dates(values: pd.Series) -> pd.Series:
    """Return milliseconds since 1970 as ISO dates; blank where a cell holds no number."""
    moments = pd.to_datetime(pd.to_numeric(values, errors="coerce"), unit="ms", errors="coerce")
    return moments.dt.strftime("%Y-%m-%d").fillna("")


def _without_links(text: str) -> str:
    """Return Markdown text with links reduced to their words."""
    return _LINK.sub(r"\1", text)
