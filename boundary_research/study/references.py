"""What the methods text of a report cites."""

from __future__ import annotations

from collections.abc import Iterable

# Short form in the text, and entry in the list.
REFERENCES: dict[str, tuple[str, str]] = {
    "alpha": (
        "Krippendorff 2019",
        "Krippendorff K (2019). Content Analysis: An Introduction to Its Methodology, 4th edition. "
        "Sage.",
    ),
    "ac1": (
        "Gwet 2008",
        "Gwet KL (2008). Computing inter-rater reliability and its variance in the presence of "
        "high "
        "agreement. British Journal of Mathematical and Statistical Psychology 61:29–48.",
    ),
    "wilson": (
        "Wilson 1927",
        "Wilson EB (1927). Probable inference, the law of succession, and statistical inference. "
        "Journal of the American Statistical Association 22:209–212.",
    ),
    "nb": (
        "Wang and Manning 2012",
        "Wang S, Manning CD (2012). Baselines and bigrams: simple, good sentiment and topic "
        "classification. Proceedings of the 50th Annual Meeting of the Association for "
        "Computational "
        "Linguistics, volume 2, 90–94.",
    ),
    "dsl": (
        "Egami and others 2023",
        "Egami N, Hinck M, Stewart BM, Wei H (2023). Using imperfect surrogates for downstream "
        "inference: design-based supervised learning for social science applications of large "
        "language models. Advances in Neural Information Processing Systems 36.",
    ),
    "ppi": (
        "Angelopoulos, Duchi and Zrnic 2023",
        "Angelopoulos AN, Duchi JC, Zrnic T (2023). PPI++: efficient prediction-powered inference. "
        "arXiv:2311.01453.",
    ),
    "cr2": (
        "Pustejovsky and Tipton 2018",
        "Pustejovsky JE, Tipton E (2018). Small-sample methods for cluster-robust variance "
        "estimation and hypothesis testing in fixed effects models. Journal of Business and "
        "Economic "
        "Statistics 36:672–683.",
    ),
    "wild": (
        "Cameron, Gelbach and Miller 2008",
        "Cameron AC, Gelbach JB, Miller DL (2008). Bootstrap-based improvements for inference with "
        "clustered errors. Review of Economics and Statistics 90:414–427.",
    ),
    "cr1": (
        "Liang and Zeger 1986",
        "Liang KY, Zeger SL (1986). Longitudinal data analysis using generalized linear models. "
        "Biometrika 73:13–22.",
    ),
    "mice": (
        "van Buuren and Groothuis-Oudshoorn 2011",
        "van Buuren S, Groothuis-Oudshoorn K (2011). mice: multivariate imputation by chained "
        "equations in R. Journal of Statistical Software 45(3):1–67.",
    ),
    "rubin": (
        "Rubin 1987",
        "Rubin DB (1987). Multiple Imputation for Nonresponse in Surveys. Wiley.",
    ),
    "logf": (
        "Greenland and Mansournia 2015",
        "Greenland S, Mansournia MA (2015). Penalization, bias reduction, and default priors in "
        "logistic and related categorical and survival regressions. Statistics in Medicine "
        "34:3133–3143.",
    ),
    "firth": (
        "Firth 1993",
        "Firth D (1993). Bias reduction of maximum likelihood estimates. Biometrika 80:27–38.",
    ),
    "bh": (
        "Benjamini and Hochberg 1995",
        "Benjamini Y, Hochberg Y (1995). Controlling the false discovery rate: a practical and "
        "powerful approach to multiple testing. Journal of the Royal Statistical Society, Series B "
        "57:289–300.",
    ),
    "by": (
        "Benjamini and Yekutieli 2001",
        "Benjamini Y, Yekutieli D (2001). The control of the false discovery rate in multiple "
        "testing "
        "under dependency. Annals of Statistics 29:1165–1188.",
    ),
    "holm": (
        "Holm 1979",
        "Holm S (1979). A simple sequentially rejective multiple test procedure. Scandinavian "
        "Journal "
        "of Statistics 6:65–70.",
    ),
    "bonferroni": (
        "Dunn 1961",
        "Dunn OJ (1961). Multiple comparisons among means. Journal of the American Statistical "
        "Association 56:52–64.",
    ),
    "strobe": (
        "von Elm and others 2007",
        "von Elm E, Altman DG, Egger M, Pocock SJ, Gøtzsche PC, Vandenbroucke JP (2007). The "
        "Strengthening the Reporting of Observational Studies in Epidemiology (STROBE) statement: "
        "guidelines for reporting observational studies. The Lancet 370:1453–1457.",
    ),
    "record": (
        "Benchimol and others 2015",
        "Benchimol EI, Smeeth L, Guttmann A, and others (2015). The REporting of studies Conducted "
        "using Observational Routinely-collected health Data (RECORD) statement. PLoS Medicine "
        "12(10):e1001885.",
    ),
}


def cite(*keys: str) -> str:
    """Return a citation in parentheses.

    Examples
    --------
    >>> cite("bh", "holm")
    '(Benjamini and Hochberg 1995; Holm 1979)'
    """
    return f"({'; '.join(REFERENCES[key][0] for key in keys)})"


def list_cited(texts: Iterable[str]) -> list[str]:
    """Return the list entries of all works that texts cite, in alphabetical order."""
    whole = "\n".join(texts)
    found = [entry for short, entry in REFERENCES.values() if short in whole]
    return sorted(found, key=str.casefold)
