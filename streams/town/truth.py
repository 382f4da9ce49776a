"""What really was, told later: confirmed frauds, chargebacks, false reports, defaults and cures."""

from __future__ import annotations

from features.events import Outcome, Transaction
from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.config import DAY_MS, HOUR_MS, MINUTE_MS, TownConfig
from streams.town.people import Missed, Person
from streams.town.places import Place
from streams.town.planted import Case


class Truth:
    """Enters `outcome` events on the agenda. Each is about an event that came before it."""

    def __init__(self, config: TownConfig, agenda: Agenda, bank: Bank) -> None:
        self._config = config
        self._agenda = agenda
        self._bank = bank

    def fraud(self, event: Transaction, person: Person, case: Case, slot: int | None) -> None:
        """`event` is fraud: the customer notices within `label_delay_days`, once for all of a spree.

        `slot` is the card that was misused, to be replaced then; `None` when it was the account.
        """
        case.note(event)
        low, high = (days * DAY_MS for days in self._config.label_delay_days)
        at_ms = event.event_time_ms
        if person.customer_id not in case.noticed:
            case.noticed[person.customer_id] = (at_ms, int(case.rng.uniform(low, high)))
        first_ms, delay_ms = case.noticed[person.customer_id]
        confirmed_ms = min(max(first_ms + delay_ms, at_ms + low), at_ms + high)
        charged_ms = 0
        if slot is not None and event.status == "approved" and case.rng.random() < self._config.chargeback_ratio:
            charged_ms = confirmed_ms + int(case.rng.uniform(5, 14) * DAY_MS)
        self._agenda.at(confirmed_ms, self._confirm, event, person, case, slot, charged_ms)

    def _confirm(
        self, time_ms: int, event: Transaction, person: Person, case: Case, slot: int | None, charged_ms: int
    ) -> None:
        about = {"about_event_id": event.event_id, "card_id": event.card_id, "typology": case.typology}
        self._bank.emit(Outcome, time_ms, person, outcome="fraud_confirmed", by="customer", **about)
        if slot is not None and person.cards[slot] == event.card_id:
            self._bank.new_card(person, slot)
        if event.status == "approved":
            self._agenda.at(time_ms + 2 * HOUR_MS, self._refund, event, person)
        if charged_ms:
            self._agenda.at(charged_ms, self._charge_back, person, about)

    def _refund(self, time_ms: int, event: Transaction, person: Person) -> None:
        amount = event.billing_amount_minor or event.amount_minor
        line = person.line
        if line is not None and event.account_id == line.facility_id:
            self._bank.credit_card(time_ms, person, amount)
        else:
            self._bank.credit(time_ms, person, amount, "other", refund=True)

    def _charge_back(self, time_ms: int, person: Person, about: dict[str, object]) -> None:
        self._bank.emit(Outcome, time_ms, person, outcome="chargeback", by="scheme", **about)

    def mistaken_purchase(
        self, time_ms: int, person: Person, slot: int, amount_minor: int, place: Place, u: float
    ) -> None:
        """A genuine purchase that the customer will not recognise; `u` in [0, 1) says how late the report is."""
        event = self._bank.purchase(time_ms, person, slot, amount_minor, place)
        self.false_report(event, person, u)

    def false_report(self, event: Transaction, person: Person, u: float) -> None:
        """`event` is genuine but was reported, or asked about by the bank: it turns out to be a false positive."""
        low, high = self._config.label_delay_days
        at_ms = event.event_time_ms + int((low + (high - low) * u) * DAY_MS)
        self._agenda.at(at_ms, self._false, person, event)

    def _false(self, time_ms: int, person: Person, event: Transaction) -> None:
        self._bank.emit(
            Outcome, time_ms, person, outcome="false_positive", about_event_id=event.event_id,
            card_id=event.card_id, by="customer",
        )  # fmt: skip

    def missed(self, time_ms: int, person: Person, missed: Missed) -> None:
        """A due was not paid. Unless it is made up for, the facility defaults after `default_after_days`."""
        person.missed.append(missed)
        case = person.case
        if case is None:
            return
        case.involve(person.customer_id, time_ms)
        case.event_ids.append(missed.event_id)
        # A bounced payment on a line over its limit needs no waiting: unlikely to pay.
        days = self._config.default_after_days
        wait = max(1, days // 4) if case.typology == "bust_out" else days
        self._agenda.at(time_ms + wait * DAY_MS, self._default, person, missed, case)

    def _default(self, time_ms: int, person: Person, missed: Missed, case: Case) -> None:
        facility = next(
            (f for f in (person.line, person.loan) if f is not None and f.facility_id == missed.facility_id), None
        )
        if missed not in person.missed or facility is None or facility.closed:
            return
        facility.closed = True
        case.involve(person.customer_id, time_ms)
        self._credit_outcome(time_ms, person, missed, case, "default")

    def make_up(self, time_ms: int, person: Person) -> None:
        """Pay every due that was missed; the facilities are cured some days later."""
        cured: dict[str, Missed] = {}
        for missed in person.missed:
            if person.loan is not None and missed.facility_id == person.loan.facility_id:
                if person.loan.closed:
                    continue
                self._bank.repay_loan(time_ms, person, person.loan, missed.amount_minor)
            elif self._bank.repay_card(time_ms, person, missed.amount_minor) is None:
                continue
            cured[missed.facility_id] = missed
        person.missed.clear()
        case = person.case
        if case is not None:
            case.involve(person.customer_id, time_ms)
            for missed in cured.values():
                later = time_ms + int(case.rng.uniform(2, 6) * DAY_MS) + MINUTE_MS
                self._agenda.at(later, self._credit_outcome, person, missed, case, "cured")

    def _credit_outcome(self, time_ms: int, person: Person, missed: Missed, case: Case, outcome: str) -> None:
        self._bank.emit(
            Outcome, time_ms, person, outcome=outcome, about_event_id=missed.event_id,
            facility_id=missed.facility_id, typology=case.typology, by="bank",
        )  # fmt: skip
