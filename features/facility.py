"""One credit facility of a customer: what is owed, what fell due, what was paid, and when silence becomes a signal.

Payments settle the oldest due first. A statement's minimum is taken to include what is still unpaid, so
only the rest of it is a new due, and money paid before the statement is in its balance already. An
instalment can be paid ahead. A returned repayment is one that never happened.
"""

from __future__ import annotations

import msgspec

DUES_MAX = 3
DAY_MS = 86_400_000
INSTALMENT_GRACE_MS = DAY_MS
# Days past due that are signals of their own, in the order they fire.
DPD_STAGES = (30, 60, 90)
MINIMUM_ONLY_RATIO, MINIMUM_ONLY_BALANCE_RATIO = 1.1, 1.5
_MONTH_MS = 31 * DAY_MS


class Signal(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A timer that fired: `kind`, as of `due_ms`, about `ref` (a facility id, or `income`)."""

    kind: str
    due_ms: int
    ref: str


class Due(msgspec.Struct, array_like=True):
    """An amount that falls due at a time; `missed` once its signal has fired."""

    due_ms: int
    left_minor: int
    missed: bool = False


class Facility(msgspec.Struct, array_like=True):
    """A loan, card or overdraft; amounts in its own currency, -1 for "never" in times, at most `DUES_MAX` dues.

    `dpd_stage` counts the `DPD_STAGES` that have fired for the present oldest due.
    """

    facility_id: str
    touched_ms: int = -1
    limit_minor: int = 0
    balance_minor: int = 0
    granted_ms: int = -1
    ends_ms: int = -1
    instalment_minor: int = 0
    ahead_minor: int = 0
    minimum_minor: int = 0
    statement_minor: int = 0
    paid_minor: int = 0
    collateral_minor: int = 0
    dpd_stage: int = 0
    dues: list[Due] = []

    def days_past_due(self, at_ms: int) -> int:
        """Whole days since the oldest unpaid due; 0 when nothing is overdue."""
        return max(0, (at_ms - self.dues[0].due_ms) // DAY_MS) if self.dues else 0

    def grant(self, at_ms: int, amount_minor: int, instalment_minor: int, term_months: int) -> None:
        """A loan was paid out."""
        self.granted_ms = at_ms
        self.balance_minor = amount_minor
        self.instalment_minor = instalment_minor
        self.ends_ms = at_ms + term_months * _MONTH_MS

    def statement(self, balance_minor: int, minimum_minor: int, due_ms: int, limit_minor: int | None) -> bool:
        """Take a statement; whether the one before was paid by little more than its minimum."""
        minimum_only = (
            0 < self.minimum_minor <= self.paid_minor <= self.minimum_minor * MINIMUM_ONLY_RATIO
            and self.statement_minor > self.minimum_minor * MINIMUM_ONLY_BALANCE_RATIO
        )
        self.balance_minor = self.statement_minor = balance_minor
        self.minimum_minor = minimum_minor
        self.paid_minor = self.ahead_minor = 0
        if limit_minor is not None:
            self.limit_minor = limit_minor
        self._owe(due_ms, minimum_minor - sum(due.left_minor for due in self.dues))
        return minimum_only

    def instalment(self, amount_minor: int, due_ms: int) -> None:
        """An instalment falls due; what was paid ahead settles it. The same due time again is no second one."""
        if not self.instalment_minor:
            self.instalment_minor = amount_minor
        self.ends_ms = max(self.ends_ms, due_ms + _MONTH_MS)
        if any(due.due_ms == due_ms for due in self.dues):
            return
        used = min(self.ahead_minor, amount_minor)
        self.ahead_minor -= used
        self._owe(due_ms, amount_minor - used)

    def pay(self, amount_minor: int, at_ms: int) -> None:
        """Settle the oldest dues first; the rest lowers the balance and, for a loan, is paid ahead."""
        self.balance_minor -= amount_minor
        self.paid_minor += amount_minor
        oldest_ms = self.dues[0].due_ms if self.dues else -1
        while self.dues and amount_minor:
            due = self.dues[0]
            used = min(due.left_minor, amount_minor)
            due.left_minor -= used
            amount_minor -= used
            if not due.left_minor:
                del self.dues[0]
        if not self.statement_minor:
            self.ahead_minor += amount_minor
        if not self.dues or self.dues[0].due_ms != oldest_ms:
            # Days past due fell: what the younger due has passed already is no new worsening.
            past = self.days_past_due(at_ms)
            self.dpd_stage = sum(past >= days for days in DPD_STAGES)

    def next_due(self) -> Signal | None:
        """Return the next signal that time alone brings, if any."""
        signals = [
            Signal("instalment_missed", due.due_ms + INSTALMENT_GRACE_MS, self.facility_id)
            for due in self.dues
            if not due.missed
        ][:1]
        if self.dues and self.dpd_stage < len(DPD_STAGES):
            days = DPD_STAGES[self.dpd_stage]
            signals.append(Signal(f"dpd_{days}", self.dues[0].due_ms + days * DAY_MS, self.facility_id))
        return min(signals, key=lambda signal: signal.due_ms) if signals else None

    def fired(self, signal: Signal) -> None:
        """Note that `next_due` has fired."""
        if signal.kind == "instalment_missed":
            next(due for due in self.dues if not due.missed).missed = True
        else:
            self.dpd_stage += 1

    def _owe(self, due_ms: int, amount_minor: int) -> None:
        if amount_minor <= 0:
            return
        if len(self.dues) >= DUES_MAX:
            # The oldest decides the days past due; the newest takes the amount.
            self.dues[-1].left_minor += amount_minor
            return
        place = len(self.dues)
        while place and self.dues[place - 1].due_ms > due_ms:
            place -= 1
        self.dues.insert(place, Due(due_ms, amount_minor))
