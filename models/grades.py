"""The master scale: grades as data, from the 12-month probability of default (PD).

`D` is not on the scale: it is a state (90 days past due), and nobody is graded into it.
"""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_GRADE = "D"
DEFAULT_DPD = 90


class Grade(NamedTuple):
    """One step of the scale: its name and the PD up to which it goes, inclusive."""

    name: str
    pd_max: float


# Steps widen by roughly two to three, as on public rating scales; the last takes everyone who is left.
MASTER_SCALE: tuple[Grade, ...] = (
    Grade("AAA", 0.0005), Grade("AA", 0.0015), Grade("A", 0.0040), Grade("BBB", 0.0100), Grade("BB", 0.0300),
    Grade("B", 0.0800), Grade("CCC", 0.2000), Grade("C", 1.0000),
)  # fmt: skip

GRADES: tuple[str, ...] = tuple(grade.name for grade in MASTER_SCALE)


def grade_of(pd: float, scale: tuple[Grade, ...] = MASTER_SCALE) -> str:
    """Grade of a 12-month PD.

    Examples
    --------
    >>> grade_of(0.0005), grade_of(0.0006), grade_of(1.0)
    ('AAA', 'AA', 'C')
    """
    for grade in scale:
        if pd <= grade.pd_max:
            return grade.name
    raise ValueError(f"expected a PD from 0 to 1, found {pd}: see models/grades.py")


def state_grade(pd: float, days_past_due: int, defaulted: bool = False) -> str:
    """Grade, or `D` from 90 days past due on or while a default stands."""
    return DEFAULT_GRADE if defaulted or days_past_due >= DEFAULT_DPD else grade_of(pd)
