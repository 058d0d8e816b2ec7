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
    ratio_share: float,
    random_state: int,
) -> tuple[np.ndarray, float]:
    """Return weights of shape (n terms,) and intercept of one category.

    Each feature is scaled by 1 - s + s |r| with s = `ratio_share` and r = log (p / |p|₁) -
    log (q / |q|₁), where p and q are `alpha` plus the sums of the features over positive and
    negative rows. With s = 1 this is the NB feature of Wang and Manning (2012, section 2.1), whose
    sign the weight takes up; with s = 0 it is plain logistic regression. Positive and negative
    rows have the same total weight in the loss.

    Parameters
    ----------
    features : sparse array, shape (n, n terms)
        With sorted indices.
    positive : bool array, shape (n,)
    weights : float array, shape (n,)
        Of each row, in the sums and in the loss.
    C, alpha : float
        Inverse strength of the L2 penalty; smoothing of the ratio.
    ratio_share : float
        Share of the ratio in the scale, from 0 to 1.
    random_state : int
    """
    if positive.all() or not positive.any() or features.shape[1] == 0:
        sure = CERTAIN if positive.all() and len(positive) else -CERTAIN
        return np.zeros(features.shape[1]), sure
    on, off = features.T @ (weights * positive) + alpha, features.T @ (weights * ~positive) + alpha
    ratio = np.log(on / on.sum()) - np.log(off / off.sum())
    scale = 1 - ratio_share + ratio_share * np.abs(ratio)
    scaled = features.copy()
    scaled.data = scaled.data * scale[scaled.indices]
    share = np.where(positive, weights[positive].sum(), weights[~positive].sum())
    model = LogisticRegression(C=C, solver="liblinear", random_state=random_state).fit(
        scaled, positive, sample_weight=weights * weights.sum() / (2 * share)
    )
    return model.coef_[0] * scale, float(model.intercept_[0])
