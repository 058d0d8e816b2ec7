"""Notebooks that need data which is not in the repository are left out, and the reason is said."""

from boundary_research.corpus.datasets import missing_reason

_REASON = missing_reason("hhs_breaches")
collect_ignore = ["12-real-reports.ipynb"] if _REASON else []


def pytest_report_header() -> str | None:
    return f"12-real-reports.ipynb is skipped: {_REASON}" if _REASON else None
