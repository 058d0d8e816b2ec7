"""Estimating equations shared by all estimators.

Every estimator here is the root b of

    U(b) = λ Σ_all w_i x_i (ŷ_i - μ(x_i'b)) + Σ_gold [x_i (u_i - v_i μ(x_i'b)) + x*_i (y_i* - c_i
    μ(x*_i'b))]

where x* is the gold design when an attribute is itself predicted. The first sum is the base, which
may be held as cells of equal rows; the second has only the gold rows. K outcomes that share a
design are solved at once. Letters: n rows, m cells, g gold rows, p columns of the design, K
outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse, special

CHUNK = 32_768  # rows for which products of columns are held at once


def inverse_link(eta: np.ndarray, family: str) -> np.ndarray:
    """Return the mean μ(η) of a family: ols, logit or poisson."""
    if family == "ols":
        return eta
    if family == "logit":
        return special.expit(eta)
    return np.exp(np.minimum(eta, 60.0))  # beyond this a step is far off and is halved anyway


def inverse_link_slope(mean: np.ndarray, family: str) -> np.ndarray:
    """Return dμ/dη as a function of μ."""
    if family == "ols":
        return np.ones_like(mean)
    return mean * (1 - mean) if family == "logit" else mean


@lru_cache(maxsize=64)
def upper_triangle(p: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices i <= j of a (p, p) matrix."""
    return np.triu_indices(p)


def column_products(X: np.ndarray) -> np.ndarray:
    """Return the products of columns i <= j, shape (n, p (p + 1) / 2)."""
    first, second = upper_triangle(X.shape[1])
    return X[:, first] * X[:, second]


def unpack_symmetric(packed: np.ndarray, p: int) -> np.ndarray:
    """Return (…, p, p) symmetric matrices from their upper triangles, shape (…, p (p + 1) / 2)."""
    first, second = upper_triangle(p)
    full = np.empty((*packed.shape[:-1], p, p))
    full[..., first, second] = packed
    full[..., second, first] = packed
    return full


@dataclass
class Base:
    """The sum over all rows, as single rows or as cells of rows with equal x, offset and cluster.

    Attributes
    ----------
    X : shape (m, p); offset : shape (m,)
    weight : shape (m,)
        Sum of row weights in the cell.
    target : shape (m, K)
        Sum of weight times prediction.
    labels : list of arrays of shape (m,)
        One array of cluster codes 0 … G - 1 for each way of clustering.
    squares : (shape (m,), shape (m, K), shape (m, K)), optional
        Sums of w², w² ŷ and w² ŷ² in a cell; None where each cell is a row.
    coarse : Base, optional
        The same sum with clusters put together, in fewer cells: enough for U and J.
    """

    X: np.ndarray
    offset: np.ndarray
    weight: np.ndarray
    target: np.ndarray
    labels: list[np.ndarray]
    squares: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    coarse: Base | None = None

    def select(self, which: np.ndarray) -> Base:
        """Return the base of some of the outcomes."""
        squares = self.squares
        if squares is not None:
            squares = (squares[0], squares[1][:, which], squares[2][:, which])
        coarse = None if self.coarse is None else self.coarse.select(which)
        target = self.target[:, which]
        return Base(self.X, self.offset, self.weight, target, self.labels, squares, coarse)

    def chunks(self) -> Iterator[slice]:
        """Yield slices over the cells."""
        for start in range(0, len(self.X), CHUNK):
            yield slice(start, start + CHUNK)


@dataclass
class GoldBlock:
    """Terms x (target - weight μ) at gold rows; target and weight have shape (g, K)."""

    X: np.ndarray
    offset: np.ndarray
    weight: np.ndarray
    target: np.ndarray
    products: np.ndarray | None = None

    def column_products(self) -> np.ndarray:
        """Return `column_products` of X, made once."""
        if self.products is None:
            self.products = column_products(self.X)
        return self.products

    def scores(self, b: np.ndarray, family: str) -> np.ndarray:
        """Return the terms, shape (g, p, K), at coefficients b, shape (K, p)."""
        mean = inverse_link(self.X @ b.T + self.offset[:, None], family)
        return self.X[:, :, None] * (self.target - self.weight * mean)[:, None, :]

    def curvature(self, b: np.ndarray, family: str) -> np.ndarray:
        """Return weight times dμ/dη, shape (g, K)."""
        mean = inverse_link(self.X @ b.T + self.offset[:, None], family)
        return self.weight * inverse_link_slope(mean, family)


@dataclass
class Equations:
    """Estimating equations of K outcomes; see the module's formula.

    Attributes
    ----------
    base_factor : shape (K,)
        λ of the formula; zero leaves the predictions out.
    gold : list of GoldBlock
        All over the same g gold rows.
    gold_base : GoldBlock
        The base's own terms at the gold rows, needed for sums over rows.
    """

    family: str
    base: Base
    base_factor: np.ndarray
    gold: list[GoldBlock]
    gold_base: GoldBlock

    @property
    def n_outcomes(self) -> int:
        """Number of outcomes K."""
        return len(self.base_factor)

    def select(self, which: np.ndarray) -> Equations:
        """Return the equations of some of the outcomes."""
        if len(which) == self.n_outcomes:
            return self
        blocks = [
            GoldBlock(g.X, g.offset, g.weight[:, which], g.target[:, which], g.products)
            for g in [*self.gold, self.gold_base]
        ]
        base = self.base.select(which)
        return Equations(self.family, base, self.base_factor[which], blocks[:-1], blocks[-1])

    def evaluate(self, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return U, shape (K, p), and J = -dU/db, shape (K, p, p), at b, shape (K, p)."""
        p = b.shape[1]
        total = np.zeros((self.n_outcomes, p))
        packed = np.zeros((p * (p + 1) // 2, self.n_outcomes))
        if self.base_factor.any():
            base = self.base if self.base.coarse is None else self.base.coarse
            for rows in base.chunks():
                X = base.X[rows]
                mean = inverse_link(X @ b.T + base.offset[rows, None], self.family)
                weight = base.weight[rows, None]
                total += (X.T @ (base.target[rows] - weight * mean)).T
                packed += column_products(X).T @ (weight * inverse_link_slope(mean, self.family))
            total *= self.base_factor[:, None]
            packed *= self.base_factor
        for block in self.gold:
            if len(block.X):
                total += block.scores(b, self.family).sum(axis=0).T
                packed += block.column_products().T @ block.curvature(b, self.family)
        return total, unpack_symmetric(packed.T, p)

    def gold_scores(self, b: np.ndarray) -> np.ndarray:
        """Return the gold terms alone, shape (g, p, K)."""
        total = np.zeros((len(self.gold_base.X), b.shape[1], self.n_outcomes))
        for block in self.gold:
            total += block.scores(b, self.family)
        return total

    def base_residuals(self, b: np.ndarray, rows: slice) -> np.ndarray:
        """Return λ (target - weight μ) of some cells, shape (len(rows), K)."""
        base = self.base
        mean = inverse_link(base.X[rows] @ b.T + base.offset[rows, None], self.family)
        return self.base_factor * (base.target[rows] - base.weight[rows, None] * mean)

    def base_squares(self, b: np.ndarray) -> np.ndarray:
        """Return Σ over rows of s s' of the base terms, shape (K, p, p)."""
        base, p = self.base, b.shape[1]
        packed = np.zeros((p * (p + 1) // 2, self.n_outcomes))
        if not self.base_factor.any():
            return unpack_symmetric(packed.T, p)
        for rows in base.chunks():
            X = base.X[rows]
            if base.squares is None:
                squared = self.base_residuals(b, rows) ** 2
            else:
                w2, t2, tt2 = (part[rows] for part in base.squares)
                mean = inverse_link(X @ b.T + base.offset[rows, None], self.family)
                squared = self.base_factor**2 * (tt2 - 2 * t2 * mean + w2[:, None] * mean**2)
            packed += column_products(X).T @ squared
        return unpack_symmetric(packed.T, p)

    def base_sum(self, b: np.ndarray) -> np.ndarray:
        """Return the sum of the base terms, shape (p, K)."""
        total = np.zeros((b.shape[1], self.n_outcomes))
        if self.base_factor.any():
            for rows in self.base.chunks():
                total += self.base.X[rows].T @ self.base_residuals(b, rows)
        return total

    def base_weighted_sum(self, b: np.ndarray) -> tuple[np.ndarray, float]:
        """Return Σ w s over rows of the base terms, shape (p, K), and Σ w²."""
        base = self.base
        total = np.zeros((b.shape[1], self.n_outcomes))
        square = 0.0
        for rows in base.chunks():
            weight = base.weight[rows, None]
            if base.squares is None:
                w2, t2 = weight**2, weight * base.target[rows]
            else:
                w2, t2 = base.squares[0][rows, None], base.squares[1][rows]
            mean = inverse_link(base.X[rows] @ b.T + base.offset[rows, None], self.family)
            total += self.base_factor * (base.X[rows].T @ (t2 - w2 * mean))
            square += float(w2.sum())
        return total, square

    def base_cluster_sums(self, b: np.ndarray, labels: np.ndarray, size: int) -> np.ndarray:
        """Return the base terms summed in each cluster, shape (G, p, K)."""
        sums = np.zeros((size, b.shape[1], self.n_outcomes))
        if not self.base_factor.any():
            return sums
        for rows in self.base.chunks():
            residual = self.base_residuals(b, rows)
            member = indicator(labels[rows], size)
            for j in range(b.shape[1]):
                sums[:, j] += member @ (self.base.X[rows, j, None] * residual)
        return sums

    def cluster_curvature(
        self, b: np.ndarray, labels: np.ndarray, gold_labels: np.ndarray, size: int
    ) -> np.ndarray:
        """Return the share of each cluster in J, shape (G, K, p, p)."""
        p = b.shape[1]
        packed = np.zeros((size, self.n_outcomes, p * (p + 1) // 2))
        base = self.base
        if self.base_factor.any():
            order = np.argsort(labels, kind="stable")
            ends = np.searchsorted(labels[order], np.arange(size + 1))
            for g in range(size):
                for start in range(ends[g], ends[g + 1], CHUNK):
                    rows = order[start : min(start + CHUNK, ends[g + 1])]
                    X = base.X[rows]
                    mean = inverse_link(X @ b.T + base.offset[rows, None], self.family)
                    slope = base.weight[rows, None] * inverse_link_slope(mean, self.family)
                    packed[g] += self.base_factor[:, None] * (slope.T @ column_products(X))
        for block in self.gold:
            if len(block.X):
                curvature, products = block.curvature(b, self.family), block.column_products()
                member = indicator(gold_labels, size)
                for k in range(self.n_outcomes):
                    packed[:, k] += member @ (products * curvature[:, k, None])
        return unpack_symmetric(packed, p)


def indicator(labels: np.ndarray, size: int) -> sparse.csr_matrix:
    """Return the sparse matrix (G, n) that sums rows by label."""
    n = len(labels)
    return sparse.csr_matrix((np.ones(n), (labels, np.arange(n))), shape=(size, n))
