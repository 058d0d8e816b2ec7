"""Inference with model-coded data; see ARCHITECTURE.md."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "crossfit": ["augment_predictions", "crossfit_predictions"],
        "estimators": [
            "dsl_logit",
            "dsl_mean",
            "dsl_multinomial",
            "dsl_ols",
            "dsl_poisson",
            "gold_only_logit",
            "gold_only_ols",
            "gold_only_poisson",
            "hajek_mean",
            "ht_mean",
            "ppi_logit",
            "ppi_mean",
            "ppi_multinomial",
            "ppi_ols",
            "rogan_gladen",
        ],
        "multiple_testing": ["adjust_p_values"],
        "planning": ["plan_double_coding"],
        "results": ["EstimationResult"],
        "missingness": ["missing_exposures"],
        "risk": ["risk_factors"],
        "plots": [
            "plot_coverage",
            "plot_error_by_group",
            "plot_forest",
            "plot_prevalence",
            "plot_tipping_point",
        ],
        "sensitivity": [
            "compare_designs",
            "cut_point_sensitivity",
            "describe_estimand",
            "e_value",
            "error_by_group",
            "first_incident_sensitivity",
            "incidence_rates",
            "reporting_tipping_point",
            "required_reporting",
        ],
        "shares": ["prevalence"],
        "variable_roles": ["AdjustmentWarning", "check_adjustment", "list_variable_roles"],
    },
)
