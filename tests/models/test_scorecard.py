from __future__ import annotations

import itertools
import math

import msgspec
import pytest

from features.view import CreditView
from models.grades import GRADES, MASTER_SCALE, grade_of, state_grade
from models.scorecard import BASE, BASE_SHARES, CARD, pd_of, points_of, score

NEUTRAL = CreditView(
    days_past_due=0, income_overdue_days=0.0, income_drop_ratio=0.0, utilisation_ratio=0.0, minimum_only_count=0.0,
    returned_count=0.0, legal_count=0, overdraft=False, penalty_recent=0.0, bureau_score=-1, tenure_days=365.0,
    debt_service_ratio=0.0, employment_ended=False, applications_30d=0, has_credit=True,
)  # fmt: skip

# From good to bad.
WORSENING: dict[str, list[float]] = {
    "days_past_due": [0, 1, 5, 15, 29, 30, 60, 90, 400],
    "income_overdue_days": [0, 2.5, 3, 10, 30, 100],
    "income_drop_ratio": [0, 0.05, 0.3, 0.6, 1],
    "utilisation_ratio": [0, 0.3, 0.5, 0.9, 1.2, 3],
    "minimum_only_count": [0, 0.5, 1, 4, 9],
    "returned_count": [0, 0.3, 1, 2, 8],
    "legal_count": [0, 1, 2, 7],
    "overdraft": [False, True],
    "penalty_recent": [0, 0.2, 0.9, 1],
    "bureau_score": [1000, 800, 700, 650, 500, 100, 0],
    "tenure_days": [9000, 3650, 1000, 365, 100, 10, 0],
    "debt_service_ratio": [0, 0.2, 0.35, 0.5, 0.8, 2],
    "employment_ended": [False, True],
    "applications_30d": [0, 1, 2, 3, 6, 12],
    "utilisation_trend": [-1, -0.3, 0, 0.1, 0.4, 2],
    "line_log": [14, 10, 7, 5, 0],
    "balance_cover_ratio": [50, 12, 6, 3, 1, 0.5, 0],
    "balance_mean_ratio": [50, 25, 12, 8, 3, 0],
    "balance_spread_ratio": [0, 0.3, 0.4, 0.5, 0.7, 2],
    "tight_months": [0, 1, 2, 3, 6],
    "inflow_spread_ratio": [0, 0.2, 0.3, 0.6, 2],
    "debt_income_ratio": [0, 0.3, 0.5, 2, 20],
    "collateral_ratio": [2, 1, 0.5, 0.2, 0],
    "arrears_reported_days": [0, 30, 45, 90, 150, 400],
    "arrears_previous": [0, 1, 2, 3, 9],
    "arrears_worst_6m": [0, 1, 2, 3, 9],
    "months_late_12m": [0, 1, 2, 5, 12],
    "paid_ratio": [1, 0.5, 0.1, 0.02, 0],
    "paid_ratio_mean": [1, 0.5, 0.1, 0.02, 0],
    "unpaid_bills": [0, 1, 2, 3, 6],
    "repaid_ratio": [1, 0.2, 0.05, 0.03, 0.01, 0],
    "registry_count": [0, 0.5, 1, 2, 5],
    "inquiries_6m": [0, 1, 3, 7, 30],
    "savings_ratio": [1, 0.3, 0, -0.1, -1],
    "income_trend": [1, 0.3, 0, -0.4, -1],
    "household_paid": [True, False],
    "industry_stress": [0, 1, 2, 4, 6],
}
# The business does not say which way these run, or the expert gives them nothing; outcomes may.
UNDECIDED = {"line_idle_ratio": [0, 0.5, 0.9, 0.95, 1], "line_log": [14, 10, 7, 5, 0]}


def changed(**changes: object) -> CreditView:
    return msgspec.structs.replace(NEUTRAL, **changes)


def test_every_characteristic_is_tried() -> None:
    assert {line.code for line in CARD} == set(WORSENING) | set(UNDECIDED)
    assert {line.code for line in CARD if not line.worse} == set(UNDECIDED) - set(WORSENING)


@pytest.mark.parametrize("pair", list(itertools.combinations(WORSENING, 2)), ids="+".join)
def test_worse_inputs_never_raise_the_points(pair: tuple[str, str]) -> None:
    first, second = pair
    grid = {
        (i, j): score(changed(**{first: a, second: b})).points
        for i, a in enumerate(WORSENING[first])
        for j, b in enumerate(WORSENING[second])
    }
    for (i, j), points in grid.items():
        assert grid.get((i + 1, j), -math.inf) <= points
        assert grid.get((i, j + 1), -math.inf) <= points


@pytest.mark.parametrize("code", [code for code in WORSENING if code not in UNDECIDED])
def test_every_characteristic_moves_the_points(code: str) -> None:
    values = WORSENING[code]
    assert score(changed(**{code: values[0]})).points > score(changed(**{code: values[-1]})).points


def test_dimensions_and_contributions_add_up() -> None:
    for view in (NEUTRAL, changed(days_past_due=20, utilisation_ratio=0.95, tenure_days=40, bureau_score=710)):
        result = score(view)
        assert sum(result.dimensions.values()) == pytest.approx(result.points, abs=1e-9)
        assert sum(points for _, points in result.contributions) == pytest.approx(result.points, abs=1e-9)
        assert set(result.dimensions) == {"capacity", "performance", "growth", "environment"}
        assert result.contributions[0] == ("base", BASE)
        assert result.pd_12m == pd_of(result.points)
    assert sum(BASE_SHARES.values()) == BASE


def test_reasons_carry_the_characteristics_that_moved() -> None:
    result = score(changed(days_past_due=30, income_overdue_days=45))
    assert dict(result.contributions) == {"base": 600, "income_overdue_days": -60, "days_past_due": -80}


def test_scaling_is_six_hundred_at_fifty_to_one_and_twenty_to_double_unclamped() -> None:
    assert score(NEUTRAL).points == 600
    assert pd_of(600) == pytest.approx(1 / 51)
    assert pd_of(620) / (1 - pd_of(620)) == pytest.approx(pd_of(600) / (1 - pd_of(600)) / 2)
    assert 0 < pd_of(2000) < pd_of(1000) < pd_of(-500) <= 1
    assert points_of(pd_of(480.5)) == pytest.approx(480.5)
    worst = score(changed(**{code: values[-1] for code, values in WORSENING.items()}))
    assert worst.points < 0
    assert worst.pd_12m > 0.99


def test_unknown_bureau_is_neither_good_nor_bad() -> None:
    assert score(changed(bureau_score=-1)).points == score(changed(bureau_score=650)).points


def test_grades_cover_every_pd_in_order() -> None:
    assert GRADES == ("AAA", "AA", "A", "BBB", "BB", "B", "CCC", "C")
    bounds = [grade.pd_max for grade in MASTER_SCALE]
    assert bounds == sorted(set(bounds))
    for grade in MASTER_SCALE:
        assert grade_of(grade.pd_max) == grade.name
    assert grade_of(0.0) == "AAA"
    assert grade_of(bounds[0] + 1e-9) == "AA"
    with pytest.raises(ValueError, match="from 0 to 1"):
        grade_of(1.5)


def test_d_is_a_state_not_a_step() -> None:
    assert state_grade(0.0001, 89) == "AAA"
    assert state_grade(0.0001, 90) == "D"
    assert state_grade(0.0001, 0, defaulted=True) == "D"
    assert "D" not in GRADES
