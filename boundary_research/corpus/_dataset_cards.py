"""Cards of the public data sets: licence, source, what a record is and what it cannot show."""

from __future__ import annotations

from dataclasses import dataclass

GOVTRACK_REVISION = "6886dce347fc459b043d241b564a4719b52ad51c"


@dataclass(frozen=True)
class DatasetCard:
    """What is to be known of a public data set before it is analysed.

    Attributes
    ----------
    name : str
        The name that `load_dataset` knows it by.
    title, publisher, licence, homepage : str
    url : str
        Where it is downloaded from; empty where the publisher offers no stable address.
    pinned : bool
        Whether the content behind `url` can never change (it names a revision).
    file_names : tuple of str
        What a copy in the folder of data may be called, first choice first.
    cache_name : str
        What the downloaded copy is called in the cache.
    by_hand : str
        How to get the file without the loader.
    records : str
        What one record is.
    stage : str
        The stage of the process that a record shows.
    coded_by : str
        Who coded the attributes that the source brings.
    cannot_show : tuple of str
        Claims that the records do not support.
    tested_sha256 : str
        Hash of the copy that this release was tested with; empty if there was none.
    """

    name: str
    title: str
    publisher: str
    licence: str
    homepage: str
    url: str
    pinned: bool
    file_names: tuple[str, ...]
    cache_name: str
    by_hand: str
    records: str
    stage: str
    coded_by: str
    cannot_show: tuple[str, ...]
    tested_sha256: str = ""


_GOVTRACK = DatasetCard(
    name="govtrack",
    title="Misconduct of members of the US Congress",
    publisher="GovTrack.us",
    licence="CC0 1.0 (dedicated to the public domain)",
    homepage="https://github.com/govtrack/misconduct",
    url=f"https://raw.githubusercontent.com/govtrack/misconduct/{GOVTRACK_REVISION}/misconduct.yaml",
    pinned=True,
    file_names=("govtrack_misconduct.csv", "misconduct-instances.csv", "misconduct.yaml"),
    cache_name=f"govtrack_misconduct-{GOVTRACK_REVISION[:12]}.yaml",
    by_hand=(
        "Download misconduct.yaml or misconduct-instances.csv from "
        "https://github.com/govtrack/misconduct."
    ),
    records=(
        "An allegation, or a group of related ones, against one member of Congress, 1789 to the "
        "present, summarised by GovTrack's editors together with its consequences."
    ),
    stage=(
        "Mixed. Column stage is 'finding' where a court or chamber acted (censure, contempt, "
        "conviction, exclusion, expulsion, fine, plea, reprimand), else 'investigation' where the "
        "case is open, else 'not_stated'."
    ),
    coded_by="GovTrack's editors, with tags (several at once); no agreement is published.",
    cannot_show=(
        "Guilt: cases that ended in exoneration are in it on purpose. Real people are described; "
        "use it to try the machinery, not for claims about them.",
        "Boundary incidents in social services: legislators have no clients.",
        "How common misconduct is: only what was investigated, settled or sanctioned is listed, "
        "and settlements often stay secret.",
    ),
    tested_sha256="083aaa90c0a6f790cf9ee2421581ec9ede9c04a28b18ed700df89be311b10621",
)

_HHS = DatasetCard(
    name="hhs_breaches",
    title="Breaches of unsecured protected health information affecting 500 or more people",
    publisher="US Department of Health and Human Services, Office for Civil Rights (OCR)",
    licence="Work of the US government: not under copyright in the US (17 U.S.C. 105)",
    homepage="https://ocrportal.hhs.gov/ocr/breach/breach_report.jsf",
    url="",
    pinned=False,
    file_names=("hhs_breach_narratives.csv", "breach_report.csv", "breach_report_archive.csv"),
    cache_name="",
    by_hand=(
        "The portal has no fixed address for exports: open "
        "https://ocrportal.hhs.gov/ocr/breach/breach_report.jsf, choose the archive (closed cases "
        "have descriptions, open ones have none), export as CSV."
    ),
    records=(
        "A breach that an organisation reported to OCR, with OCR's summary of what happened and "
        "what was done about it, usually written when the case was closed."
    ),
    stage=(
        "'investigation' for all: a self-report as OCR summarised it after its review, mostly "
        "without a finding that a rule was broken."
    ),
    coded_by=(
        "The reporting organisation chose type and location of the breach from the portal's lists "
        "(several at once); OCR may correct them. No second coder."
    ),
    cannot_show=(
        "Breaches of fewer than 500 people, which is where most disclosures by single workers "
        "lie: gossip, looking up a neighbour, a letter to the wrong house.",
        "Boundary violations other than those over information: the portal asks for nothing else.",
        "Who did what: theft and hacking by outsiders stand beside acts of staff, and the summary "
        "need not say which.",
        "How common breaches are: reporting is a legal duty that not everyone meets.",
    ),
    tested_sha256="e15909db62830e7bd119c8403f8c0d06ec7049a10d24f00c1a0290cd9f2f24c2",
)

_NEW_YORK = DatasetCard(
    name="new_york_physicians",
    title="Professional medical conduct board actions: beginning 1990",
    publisher="New York State Department of Health, Office of Professional Medical Conduct",
    licence="Open NY terms of use (https://data.ny.gov): free to reuse; read before you publish",
    homepage="https://health.data.ny.gov/Health/Professional-Medical-Conduct-Board-Actions-Beginni/ebmi-8ctw",
    url="https://health.data.ny.gov/api/views/ebmi-8ctw/rows.csv?accessType=DOWNLOAD",
    pinned=False,
    file_names=("new_york_physicians.csv", "ebmi-8ctw.csv"),
    cache_name="new_york_physicians.csv",
    by_hand=(
        "Open https://health.data.ny.gov, search for 'Professional Medical Conduct Board Actions', "
        "export as CSV."
    ),
    records=(
        "An action of the board against a physician, physician assistant or specialist assistant, "
        "with a short description of the misconduct that it rests on."
    ),
    stage="'finding' for all: the board's order, often agreed with the licensee.",
    coded_by="Nobody: action and misconduct are free text, written by the board's staff.",
    cannot_show=(
        "How common misconduct is: complaints that were closed or settled without an order "
        "are missing.",
        "What happened in detail: a description is often one sentence on what the licensee did "
        "not contest.",
        "Independent incidents: one licensee can have several actions, and an action can follow "
        "one in another state. Cluster by practitioner_id.",
        "Other professions: no social workers, nurses or counsellors.",
    ),
)

CARDS = {card.name: card for card in (_GOVTRACK, _HHS, _NEW_YORK)}
