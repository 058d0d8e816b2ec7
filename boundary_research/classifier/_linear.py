"""Linear models: logistic regression on features weighted by naive-Bayes log-count ratios."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

CERTAIN = 30.0  # log-odds of a category that all training narratives have, or none


def fit_log_count_ratio(
    features: sparse.csr_array,
    positive: np.ndarray,
    weights: np.ndarray,
    *,
    C: float,
    alpha: float,
    random_state: int,
) -> tuple[np.ndarray, float]:
    """Return weights of shape (n terms,) and intercept of one category.

    Features are scaled by log (p / |p|₁) - log (q / |q|₁), where p and q are `alpha` plus the sums
    of the features over positive and negative rows (Wang and Manning 2012, section 2.1). Both
    sides together have equal weight in the loss.

    Parameters
    ----------
    features : sparse array, shape (n, n terms)
        With sorted indices.
    positive : bool array, shape (n,)
    weights : float array, shape (n,)
        Of each row, in the sums and in the loss.
    C, alpha : float
        Inverse strength of the L2 penalty; smoothing of the ratio.
    random_state : int
    """
    if positive.all() or not positive.any() or features.shape[1] == 0:
        sure = CERTAIN if positive.all() and len(positive) else -CERTAIN
        return np.zeros(features.shape[1]), sure
    on, off = features.T @ (weights * positive) + alpha, features.T @ (weights * ~positive) + alpha
    ratio = np.log(on / on.sum()) - np.log(off / off.sum())
    scaled = features.copy()
    scaled.data = scaled.data * ratio[scaled.indices]
    share = np.where(positive, weights[positive].sum(), weights[~positive].sum())
    model = LogisticRegression(C=C, solver="liblinear", random_state=random_state).fit(
        scaled, positive, sample_weight=weights * weights.sum() / (2 * share)
    )
    return model.coef_[0] * ratio, float(model.intercept_[0])
