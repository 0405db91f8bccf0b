"""Gauss-Newton and conjugate gradient against closed forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tracker.memory.least_squares import AutodiffProblem, Direction, Vector, conjugate_gradient, gauss_newton, inner


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spd(seed: int, size: int) -> Tensor:
    matrix = random(seed, size, size)
    return matrix @ matrix.T + torch.eye(size, dtype=torch.float64)


def rosenbrock(x: Vector) -> Vector:
    return (10.0 * (x[1] - x[0] ** 2), 1.0 - x[0])


@pytest.mark.parametrize("direction", ["polak-ribiere", "fletcher-reeves"])
def test_cg_solves_in_as_many_iterations_as_unknowns(direction: Direction) -> None:
    a, b = spd(0, 6), random(1, 6)
    result = conjugate_gradient(lambda x: (a @ x[0],), (b,), iterations=6, direction=direction)
    torch.testing.assert_close(result.x[0], torch.linalg.solve(a, b), rtol=1e-8, atol=1e-8)
    assert len(result.residual_norms) == 7
    assert result.residual_norms[0] == pytest.approx(float(b.norm()))


@pytest.mark.parametrize("direction", ["polak-ribiere", "fletcher-reeves"])
def test_directions_by_hand_where_the_rules_differ(direction: Direction) -> None:
    """The operator changes after its first product: the second residual is not orthogonal to the first."""
    seen: list[Tensor] = []

    def inexact(x: Vector) -> Vector:
        seen.append(x[0])
        return (torch.tensor([1.0, 2.0] if len(seen) == 1 else [2.0, 2.0], dtype=torch.float64) * x[0],)

    conjugate_gradient(inexact, (torch.tensor([1.0, 1.0], dtype=torch.float64),), iterations=4, direction=direction)
    # step 1: r = (1, 1), p = r, A p = (1, 2), step 2/3, r' = (1/3, -1/3), <r, r'> = 0, beta = (2/9) / 2
    torch.testing.assert_close(seen[1], torch.tensor([4 / 9, -2 / 9], dtype=torch.float64))
    # step 2: A p = (8/9, -4/9), <p, r'> = 2/9, step (2/9) / (40/81) = 9/20, r'' = (-1/15, -2/15)
    # <r'', r''> = 1/45, <r', r''> = 1/45: Polak-Ribiere restarts, beta = 0; Fletcher-Reeves: beta = 1/10
    beta = 0.0 if direction == "polak-ribiere" else 0.1
    expected = [-1 / 15 + beta * 4 / 9, -2 / 15 - beta * 2 / 9]
    torch.testing.assert_close(seen[2], torch.tensor(expected, dtype=torch.float64))


def test_cg_starts_where_it_is_told_and_stops_where_nothing_is_left() -> None:
    a, b = spd(2, 5), random(3, 5)
    solution = torch.linalg.solve(a, b)
    result = conjugate_gradient(lambda x: (a @ x[0],), (b,), (solution,), iterations=5, tolerance=1e-10)
    assert len(result.residual_norms) == 1
    assert torch.equal(result.x[0], solution)
    zero = conjugate_gradient(lambda x: (a @ x[0],), (torch.zeros_like(b),), iterations=5)
    assert torch.equal(zero.x[0], torch.zeros_like(b))


def test_cg_finds_the_smallest_solution_of_a_singular_system_and_stays_finite() -> None:
    a = torch.diag(torch.tensor([4.0, 2.0, 0.0], dtype=torch.float64))
    b = torch.tensor([4.0, 6.0, 0.0], dtype=torch.float64)
    result = conjugate_gradient(lambda x: (a @ x[0],), (b,), iterations=50)
    torch.testing.assert_close(result.x[0], torch.tensor([1.0, 3.0, 0.0], dtype=torch.float64))
    unsolvable = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    stuck = conjugate_gradient(lambda x: (a @ x[0],), (unsolvable,), iterations=50)
    assert torch.equal(stuck.x[0], torch.zeros(3, dtype=torch.float64))


def test_cg_refuses_a_negative_number_of_iterations() -> None:
    with pytest.raises(ValueError, match=">= 0, got -1"):
        conjugate_gradient(lambda x: x, (torch.ones(1),), iterations=-1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 10))
def test_cg_never_moves_away_from_the_solution(seed: int, size: int, iterations: int) -> None:
    a, b = spd(seed, size), random(seed + 1, size)
    solution = torch.linalg.solve(a, b)
    x = conjugate_gradient(lambda v: (a @ v[0],), (b,), iterations=iterations).x[0]
    energy = float((x - solution) @ a @ (x - solution))
    assert energy <= float(solution @ a @ solution) * (1 + 1e-9)


def test_one_gauss_newton_step_on_a_linear_problem_is_the_normal_equations() -> None:
    """Two blocks of parameters, two of residuals, a regularizer: min |A x + B y - b|^2 + 0.1 |x|^2."""
    a, b_matrix, b = random(4, 20, 4), random(5, 20, 3), random(6, 20)

    def residuals(v: Vector) -> Vector:
        return (a @ v[0].reshape(-1) + b_matrix @ v[1] - b, 0.1**0.5 * v[0])

    joint = torch.cat([a, b_matrix], 1)
    ridge = torch.diag(torch.tensor([0.1] * 4 + [0.0] * 3, dtype=torch.float64))
    expected = torch.linalg.solve(joint.T @ joint + ridge, joint.T @ b)
    start = (random(7, 2, 2), random(8, 3))
    result = gauss_newton(AutodiffProblem(residuals), start, gn_iterations=1, cg_iterations=7)
    found = torch.cat([part.reshape(-1) for part in result.x])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert result.objectives[1] == pytest.approx(inner(residuals(result.x), residuals(result.x)))
    assert torch.equal(start[0], random(7, 2, 2)), "the start was overwritten"


def test_gauss_newton_solves_a_non_linear_problem() -> None:
    start = (torch.tensor([-1.2], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64))
    result = gauss_newton(AutodiffProblem(rosenbrock), start, gn_iterations=60, cg_iterations=2)
    assert result.objectives[-1] < 1e-12
    torch.testing.assert_close(torch.cat(result.x), torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0)


@settings(max_examples=25, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(1, 3))
def test_the_objective_never_increases(x: float, y: float, cg_iterations: int) -> None:
    start = (torch.tensor([x], dtype=torch.float64), torch.tensor([y], dtype=torch.float64))
    steps = gauss_newton(AutodiffProblem(rosenbrock), start, gn_iterations=10, cg_iterations=cg_iterations)
    assert all(later <= earlier for earlier, later in zip(steps.objectives, steps.objectives[1:], strict=False))


def test_a_step_that_overshoots_is_halved_and_one_into_nothing_is_given_up() -> None:
    overshooting = AutodiffProblem(lambda v: (torch.atan(v[0]),))  # plain Gauss-Newton diverges beyond 1.39
    start = (torch.tensor([3.0], dtype=torch.float64),)
    result = gauss_newton(overshooting, start, gn_iterations=20, cg_iterations=1)
    assert abs(float(result.x[0])) < 1e-6
    undefined = AutodiffProblem(lambda v: (torch.where(v[0] == 3.0, v[0], torch.nan * v[0]),))
    assert torch.equal(gauss_newton(undefined, start, gn_iterations=3, cg_iterations=1).x[0], start[0])


def test_repeated_runs_are_equal_bit_for_bit() -> None:
    a, b = random(9, 300, 40).float(), random(10, 300).float()
    problem = AutodiffProblem(lambda v: (torch.tanh(a @ v[0]) - b, 0.1 * v[0]))
    first, second = (gauss_newton(problem, (torch.zeros(40),), gn_iterations=4, cg_iterations=8) for _ in range(2))
    assert torch.equal(first.x[0], second.x[0]) and first.objectives == second.objectives
