"""How a score came from one number of points to another: own change + environment + model change, in whole points.

Points are kept in hundredths, by code. The whole parts add up to the difference of the two rounded totals exactly:
each part is rounded down, and the points that are left go to the largest remainders (ties in the order of the parts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alerts.lending.records import ScoreChange
from models.scorecard import CARD

HUNDRED = 100
MODEL = "model"
# Codes of what is not the customer's own doing.
ENVIRONMENT: tuple[str, ...] = tuple(line.code for line in CARD if line.dimension == "environment")


def hundredths(contributions: Sequence[tuple[str, float]]) -> dict[str, int]:
    """Contributions in hundredths of points, by code; codes that say nothing are left out."""
    made = {code: round(points * HUNDRED) for code, points in contributions}
    return {code: points for code, points in made.items() if points}


def whole_points(points: Mapping[str, int]) -> int:
    """Rounded total of points in hundredths; half a point goes up."""
    return (sum(points.values()) + HUNDRED // 2) // HUNDRED


def apportion(parts: Sequence[int], total: int) -> list[int]:
    """Hundredths as whole numbers that add up to `total`, each less than one from its share where that is possible.

    Examples
    --------
    >>> apportion([33, 33, 34], 1), apportion([-150, 50], -1), apportion([149, 149], 3)
    ([0, 0, 1], [-1, 0], [2, 1])
    """
    whole = [part // HUNDRED for part in parts]
    left = total - sum(whole)
    order = sorted(range(len(parts)), key=lambda place: (-(parts[place] % HUNDRED), place))
    # `left` is at least 0 and at most the number of parts with a remainder: `total` is their sum rounded up or down.
    for place in order[:left]:
        whole[place] += 1
    return whole


def score_change(
    before: Mapping[str, int], after: Mapping[str, int], bridge: Mapping[str, int] | None = None,
    environment: Sequence[str] = ENVIRONMENT,
) -> ScoreChange:  # fmt: skip
    """Take a change of points apart.

    Parameters
    ----------
    before, after
        `hundredths` then and now.
    bridge
        Where another card scores now: what the card of then gives to the customer of now. What lies between it and
        `after` is the model's change and nobody's fault.
    environment
        Codes of the surroundings (industry, economy).

    Returns
    -------
    Whole points; `parts` without those that did not move, in the order of the codes.
    """
    reached = after if bridge is None else bridge
    moved = {code: reached.get(code, 0) - before.get(code, 0) for code in dict.fromkeys((*before, *reached))}
    moved = {code: points for code, points in sorted(moved.items()) if points}
    if bridge is not None:
        moved[MODEL] = sum(after.values()) - sum(bridge.values())
    start, end = whole_points(before), whole_points(after)
    parts = list(zip(moved, apportion(list(moved.values()), end - start), strict=True))
    model = sum(points for code, points in parts if code == MODEL)
    outside = sum(points for code, points in parts if code in environment)
    return ScoreChange(
        start, end, end - start - outside - model, outside, model, [(code, points) for code, points in parts if points]
    )
