from ._checks import DataError as DataError
from .classifier.decisions import CodedIncidents as CodedIncidents
from .classifier.decisions import code as code
from .classifier.decisions import read_coded as read_coded
from .classifier.default_model import default_classifier as default_classifier
from .classifier.evaluation import crossfit as crossfit
from .classifier.evaluation import evaluate as evaluate
from .classifier.evidence import show_evidence as show_evidence
from .classifier.model import NarrativeClassifier as NarrativeClassifier
from .classifier.predictions import read_predictions as read_predictions
from .codebook.model import Codebook as Codebook
from .codebook.model import load_codebook as load_codebook
from .coding.reliability import agreement_table as agreement_table
from .corpus.bundled import load_corpus as load_corpus
from .corpus.contrasts import load_contrasts as load_contrasts
from .corpus.datasets import load_dataset as load_dataset
from .corpus.incidents import load_incidents as load_incidents
from .corpus.simulate import simulate_registry as simulate_registry
from .inference.plots import plot_forest as plot_forest
from .inference.risk import risk_factors as risk_factors
from .inference.shares import prevalence as prevalence
from .study.archive import archive_study as archive_study
from .study.replication import compare_results as compare_results
from .study.replication import replicate as replicate
from .study.run import run_study as run_study

__version__: str
