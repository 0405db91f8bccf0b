"""Non-linear least squares by Gauss-Newton steps whose linear systems are solved by conjugate gradient.

Why its own module: the method knows nothing of correlation filters. A problem says what its residuals are and
how they change with the parameters; this module minimizes their squared norm. Nothing here is random, so that
equal input gives equal output, bit for bit, on one machine.

Parameters and residuals are tuples of tensors of any shapes ("vectors"), such as (filter, projection): no
copying into one flat tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import torch
from torch import Tensor
from torch.func import jvp, vjp

Vector = tuple[Tensor, ...]
Direction = Literal["polak-ribiere", "fletcher-reeves"]

MAX_HALVINGS = 8  # a Gauss-Newton step is halved at most so often; then it is given up


@dataclass(frozen=True)
class Linearization:
    """Residuals r(x) at one point x, and the products with their Jacobian J there.

    Attributes:
        residuals: r(x).
        jvp: maps a change of the parameters d to J d, shaped like the residuals.
        vjp: maps a vector v shaped like the residuals to J^T v, shaped like the parameters.
    """

    residuals: Vector
    jvp: Callable[[Vector], Vector]
    vjp: Callable[[Vector], Vector]


class LeastSquaresProblem(Protocol):
    """Minimize the sum of the squared residuals. Regularizers are residuals too, e.g. sqrt(lambda) * x."""

    def linearize(self, x: Vector) -> Linearization:
        """The residuals at `x`, computed at once, and the products with their Jacobian."""


class AutodiffProblem:
    """A problem given by its residual function alone; `torch.func` supplies the derivatives.

    Args:
        function: maps the parameters to the residuals; differentiable forward and backward.
    """

    def __init__(self, function: Callable[[Vector], Vector]) -> None:
        self._function = function

    def linearize(self, x: Vector) -> Linearization:
        """The residuals at `x` and the products with their Jacobian."""
        residuals, pull_back, *_ = vjp(self._function, x)
        return Linearization(
            residuals=residuals,
            jvp=lambda change: cast(Vector, jvp(self._function, (x,), (change,))[1]),
            vjp=lambda cotangent: cast(Vector, pull_back(cotangent)[0]),
        )


@dataclass(frozen=True)
class CGResult:
    """What conjugate gradient found.

    Attributes:
        x: the last iterate.
        residual_norms: |b - A x| before the first and after every iteration.
    """

    x: Vector
    residual_norms: tuple[float, ...]


@dataclass(frozen=True)
class GaussNewtonResult:
    """What Gauss-Newton found.

    Attributes:
        x: the parameters after the last step.
        objectives: sum of squared residuals before the first and after every step; it never increases.
    """

    x: Vector
    objectives: tuple[float, ...]


def inner(a: Vector, b: Vector) -> float:
    """The inner product of two vectors of equal shapes."""
    return float(sum(torch.dot(p.reshape(-1), q.reshape(-1)) for p, q in zip(a, b, strict=True)))


def add_scaled(a: Vector, scale: float, b: Vector) -> Vector:
    """a + scale * b."""
    return tuple(torch.add(p, q, alpha=scale) for p, q in zip(a, b, strict=True))


def conjugate_gradient(
    apply_a: Callable[[Vector], Vector],
    b: Vector,
    x0: Vector | None = None,
    *,
    iterations: int,
    direction: Direction = "polak-ribiere",
    tolerance: float = 0.0,
) -> CGResult:
    """Solve A x = b for a symmetric positive semi-definite A that is known only by its products.

    Args: apply_a: maps a vector p to A p. b: the right-hand side. x0: where to start; zero if not given.
        iterations: most iterations. direction: how a new direction is made conjugate. Polak-Ribiere (authors'
        release) restarts by itself, because
            its factor is clipped at zero: where rounding has cost the directions their conjugacy it falls
            back to steepest descent. In exact arithmetic both rules agree.
        tolerance: stop once |b - A x| is at most this share of |b|. Zero: only when nothing is left to gain.

    Returns:
        The last iterate. It stops early at a direction without curvature, where no finite step is best.

    Raises:
        ValueError: `iterations` is negative.
    """
    if iterations < 0:
        raise ValueError(f"conjugate gradient needs a number of iterations >= 0, got {iterations}")
    x = tuple(torch.zeros_like(p) for p in b) if x0 is None else x0
    residual = b if x0 is None else add_scaled(b, -1.0, apply_a(x0))
    rho = inner(residual, residual)
    norms = [math.sqrt(rho)]
    goal = tolerance * math.sqrt(inner(b, b))
    search = residual
    for _ in range(iterations):
        if norms[-1] <= goal:
            break
        product = apply_a(search)
        curvature = inner(search, product)
        if not (curvature > 0.0 and math.isfinite(curvature)):
            break
        # <search, residual> is rho in exact arithmetic; written so, no iteration moves away from the
        # solution, even where only rounding is left
        step = inner(search, residual) / curvature
        x = add_scaled(x, step, search)
        previous, rho_previous = residual, rho
        residual = add_scaled(residual, -step, product)
        rho = inner(residual, residual)
        norms.append(math.sqrt(rho))
        if direction == "polak-ribiere":
            beta = max((rho - inner(previous, residual)) / rho_previous, 0.0)
        else:
            beta = rho / rho_previous
        search = add_scaled(residual, beta, search)
    return CGResult(x, tuple(norms))


def gauss_newton(
    problem: LeastSquaresProblem,
    x0: Vector,
    *,
    gn_iterations: int,
    cg_iterations: int,
    direction: Direction = "polak-ribiere",
) -> GaussNewtonResult:
    """Minimize the sum of squared residuals.

    Each step solves J^T J d = -J^T r from d = 0 by conjugate gradient and goes to x + d. The full step is
    taken as in the authors' release; only where it would increase the objective is it halved, at most
    `MAX_HALVINGS` times, and then given up. So the objective never increases.

    Args:
        problem: what to minimize.
        x0: where to start; left unchanged.
        gn_iterations: Gauss-Newton steps, each with a new linearization.
        cg_iterations: conjugate-gradient iterations inside each step.
        direction: see `conjugate_gradient`.
    """
    x = x0
    point = problem.linearize(x)
    objectives = [inner(point.residuals, point.residuals)]
    for _ in range(gn_iterations):
        downhill = tuple(-g for g in point.vjp(point.residuals))
        normal = _normal_product(point)
        change = conjugate_gradient(normal, downhill, iterations=cg_iterations, direction=direction).x
        for halvings in range(MAX_HALVINGS + 1):
            candidate = add_scaled(x, 0.5**halvings, change)
            candidate_point = problem.linearize(candidate)
            objective = inner(candidate_point.residuals, candidate_point.residuals)
            if objective <= objectives[-1]:  # false for NaN
                break
        else:
            break
        x, point = candidate, candidate_point
        objectives.append(objective)
    return GaussNewtonResult(x, tuple(objectives))


def _normal_product(point: Linearization) -> Callable[[Vector], Vector]:
    """The map d -> J^T J d at one point."""
    return lambda change: point.vjp(point.jvp(change))
