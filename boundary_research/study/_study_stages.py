"""The stages of a study's run, as its plan asks for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from boundary_research._files import hash_file
from boundary_research.classifier.default_model import default_model_id
from boundary_research.codebook.model import Codebook
from boundary_research.study import _study_steps as steps
from boundary_research.study._code_hashes import version
from boundary_research.study._plan_parts import ANALYSIS
from boundary_research.study._study_reading import read_gold, read_incidents
from boundary_research.study.figures import StudyFigures, draw_figures
from boundary_research.study.manifest import PACKAGES
from boundary_research.study.plan import StudyPlan
from boundary_research.study.stages import Stage

REPORT = "report"
FIGURES = "figures"
# Stages whose results are the results tables, in the order in which tables are listed.
_TABLE_STAGES = ("reliability", "metrics", "counts", "prevalence", "risk_factors", "registration")


def is_table_stage(name: str) -> bool:
    """Return whether a stage's results are results tables."""
    return name.split(".")[0] in _TABLE_STAGES


def plan_facts(plan: StudyPlan) -> dict[str, Any]:
    """Return all of a plan that a result may depend on: no place, no comment, no layout."""
    content = {key: value for key, value in plan.to_dict().items() if key != "output"}
    kept = plan.registration
    return content | {
        "codebook content": plan.codebook_facts,
        "registered plan": kept.sha256 if kept else None,
    }


class StudyStages:
    """The stages of one study.

    Parameters
    ----------
    plan : StudyPlan
    codebook : Codebook
    figures : StudyFigures
        Takes the figures that are drawn.
    assemble, collect : callable
        Return the run as far as it has come, and its files, for the report.
    progress : bool
        Whether long stages show a bar.
    """

    def __init__(
        self,
        plan: StudyPlan,
        codebook: Codebook,
        *,
        figures: StudyFigures,
        assemble: Callable[[], Any],
        collect: Callable[[], dict[str, dict[str, bytes]]],
        progress: bool = False,
    ) -> None:
        self.plan = plan
        self.codebook = codebook
        self._figures = figures
        self._reporters = {"assemble": assemble, "collect": collect}
        self._progress = progress
        self._seed = {"seed": plan.seed}
        self._categories = {"categories": codebook.category_ids}
        self._narratives = {
            "narratives": "incidents.narratives",
            "gold": "gold.gold",
            "groups": "incidents.groups",
        }
        self._estimation = {
            "attributes": "incidents.attributes",
            "coded": "coding.coded",
            "gold": "gold.gold",
        }

    def stages(self) -> list[Stage]:
        """Return the stages, each after those that it needs."""
        stages = [*self._reading(), *self._agreement(), *self._classification()]
        stages += [self._shares(), *self._risk_factors()]
        stages.append(self._registration(stages))
        stages.append(self._drawing(stages))
        stages.append(self._reporting(stages))
        return stages

    def terms(self) -> dict[str, str]:
        """Return the term that the figure of each analysis shows, where it has one."""
        return {one["name"]: one["term"] for one in self.plan.analyses if "term" in one}

    def labels(self) -> dict[str, str]:
        """Return the categories' labels."""
        return {category.id: category.label for category in self.codebook}

    def _reading(self) -> list[Stage]:
        files = {k: v for k, v in self.plan.inputs().items() if k not in ("study", "codebook")}
        about = {name: path for name, path in files.items() if name in ("incidents", "only")}
        coded = {k: v for k, v in files.items() if k not in about and k != "model"}
        shared = {"plan": self.plan}
        return [
            Stage("incidents", read_incidents, files=about, context=shared, stored=False),
            Stage(
                "gold",
                read_gold,
                files=coded,
                needs={"attributes": "incidents.attributes"},
                context={**shared, "codebook": self.codebook},
                stored=False,
            ),
        ]

    def _agreement(self) -> list[Stage]:
        if "codings" not in self.plan.gold:
            return []
        return [
            Stage(
                "reliability",
                steps.measure_agreement,
                settings=self._seed,
                needs={"codings": "gold.codings", "gold": "gold.gold"},
            )
        ]

    def _classification(self) -> list[Stage]:
        part = self.plan.classifier
        learned = part["train_on"] == "gold"
        training = self._narratives | {"evidence": "gold.evidence"}
        learning = {
            **self._categories,
            **self._seed,
            "parameters": part.get("parameters", {}),
        }
        keys = {"parameters": "classifier.parameters", "folds": "classifier.folds"}
        coded = {"narratives": "incidents.narratives", "model": "model.model"}
        if learned:
            model = Stage("model", steps.train_model, settings=learning, keys=keys, needs=training)
            coding = Stage(
                "coding",
                steps.code_crossfitted,
                settings={**learning, "folds": part["folds"]},
                keys=keys,
                needs=training,
            )
        else:
            file = part["train_on"] if isinstance(part["train_on"], Path) else None
            model = Stage(
                "model",
                steps.load_model,
                settings={**self._categories, "model_id": "" if file else default_model_id()},
                keys={"model_id": "classifier.train_on", "model_file": "model"},
                files={"model_file": file} if file else {},
            )
            coding = Stage(
                "coding",
                steps.code_with_model,
                needs=coded,
                context={"progress": self._progress},
            )
        passages = Stage("evidence", steps.find_passages, needs=coded | {"coded": "coding.coded"})
        metrics = Stage(
            "metrics",
            steps.measure_errors,
            settings={**self._categories, **self._seed},
            needs=self._narratives | {"coded": "coding.coded"},
        )
        counts = Stage("counts", steps.count_codes, needs={"coded": "coding.coded"})
        return [model, coding, passages, metrics, counts]

    def _shares(self) -> Stage:
        part = self.plan.prevalence
        return Stage(
            "prevalence",
            steps.estimate_shares,
            settings={**self._seed, "by": part["by"], "clusters": part.get("clusters")},
            keys={"by": "prevalence.by", "clusters": "prevalence.clusters"},
            needs=self._estimation,
        )

    def _risk_factors(self) -> list[Stage]:
        stages = []
        for analysis in self.plan.analyses:
            name = analysis["name"]
            own = "" if name == ANALYSIS else f".{name}"
            key = f"risk_factors{own}"
            stages.append(
                Stage(
                    key,
                    steps.estimate_risk_factors,
                    settings={
                        **self._seed,
                        "name": name,
                        "formula": analysis["formula"],
                        "arguments": self.plan.risk_factor_arguments(analysis),
                    },
                    keys={"formula": f"{key}.formula", "arguments": key, "name": f"{key}.name"},
                    needs=self._estimation,
                )
            )
        return stages

    def _registration(self, stages: list[Stage]) -> Stage:
        wanted = [s.name for s in stages if s.name == "reliability" or s.name == "prevalence"]
        wanted += [s.name for s in stages if s.name.split(".")[0] == "risk_factors"]
        inputs = {k: hash_file(p) for k, p in self.plan.inputs().items() if k != "study"}
        facts = plan_facts(self.plan) | {"file name": self.plan.file.name}
        return Stage(
            "registration",
            steps.compare_plan,
            settings={"facts": facts, "inputs": inputs},
            keys={"facts": "", "inputs": "inputs"},
            needs={name: f"{name}.*" for name in wanted},
            context={"plan": self.plan},
        )

    def _drawing(self, stages: list[Stage]) -> Stage:
        terms = self.terms()
        wanted = ["reliability", "metrics", "counts", "prevalence"]
        chosen = [s.name for s in stages if s.name in wanted or s.settings.get("name") in terms]
        return Stage(
            FIGURES,
            draw_figures,
            settings={
                "labels": self.labels(),
                "groups": self.plan.prevalence["by"],
                "terms": terms,
            },
            keys={"labels": "codebook", "groups": "prevalence.by", "terms": "risk_factors.term"},
            needs={name: f"{name}.*" for name in chosen},
            context={"figures": self._figures},
        )

    def _reporting(self, stages: list[Stage]) -> Stage:
        packages = {name: version(name) for name in PACKAGES}
        return Stage(
            REPORT,
            steps.write_report,
            settings={"facts": plan_facts(self.plan), "packages": packages},
            keys={"facts": "", "packages": "versions of packages"},
            needs={stage.name: f"{stage.name}.*" for stage in stages},
            context=self._reporters,
        )
