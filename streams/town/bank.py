"""The bank's books: accounts, cards and credit lines change here, and every event is written here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from msgspec import UNSET

from features.events import DeviceChange, Event, Login, PayeeAdded, Repayment, Transaction
from streams.town.config import CURRENCY, HOME, TownConfig
from streams.town.people import CREDIT, DEBIT, Loan, Person
from streams.town.places import RATES, Place

Channel = Literal["pos", "ecom", "atm", "mobile", "online", "branch"]
Category = Literal[
    "salary", "pension", "benefit", "household", "insurance", "loan_payment", "rent", "other"
]  # what a town's account holders are paid and pay for
Visit = Callable[[int, Person, int], None]
_V: Final = 1


class Bank:
    """Writes events in the order of time, with ids that count up, and keeps every balance true to them.

    `balance_minor` stands on transactions of the current account only; a credit card's balance is on its
    statements. What the account or the limit does not cover is declined and moves nothing.
    """

    def __init__(self, config: TownConfig) -> None:
        self.out: list[Event] = []
        # What to do when a card is used at a terminal, by terminal; this is how a terminal skims.
        self.visits: dict[str, Visit] = {}
        self._prefix = f"town{config.seed}-"
        self._count = 0
        self._cards = 2 * (config.people + config.firm_count)

    def emit(self, kind: type[Event], time_ms: int, person: Person, **values: Any) -> Any:
        """Write an event of `kind`; for those that move no money."""
        event = kind(
            event_id=self.next_id(), customer_id=person.customer_id, event_time_ms=time_ms, schema_version=_V, **values
        )
        self.out.append(event)
        return event

    def next_id(self) -> str:
        """The next event id: the seed and a count, nothing else."""
        self._count += 1
        return f"{self._prefix}{self._count:09d}"

    def new_card(self, person: Person, slot: int) -> None:
        """Replace a card: a token that was never used before."""
        person.cards[slot] = f"card_{self._cards:06d}"
        self._cards += 1

    def purchase(
        self, time_ms: int, person: Person, slot: int, amount_minor: int, place: Place, device_id: str | None = None,
        refused: bool = False,
    ) -> Transaction:  # fmt: skip
        """Pay by card at `place`, or draw cash there.

        `device_id` is the customer's own unless given (online only); `refused`: declined for a wrong PIN or the like.
        """
        online, cash = place.terminal_id is None, place.merchant_id is None
        line = person.line
        if slot == CREDIT and line is not None and not line.closed:
            approved = not refused and line.used_minor + amount_minor <= line.limit_minor
            if approved:
                line.used_minor += amount_minor
            balance: int | None = None
            account = line.facility_id
        else:
            slot = DEBIT
            approved = not refused and person.balance_minor - amount_minor >= -person.overdraft_minor
            if approved:
                person.balance_minor -= amount_minor
            balance = person.balance_minor
            account = person.account_id
        foreign = place.currency != CURRENCY
        event = Transaction(
            event_id=self.next_id(),
            customer_id=person.customer_id,
            event_time_ms=time_ms,
            schema_version=1,
            amount_minor=round(amount_minor * RATES[place.currency]) if foreign else amount_minor,
            currency=place.currency,  # type: ignore[arg-type]  # the table of countries holds known codes only
            direction="debit",
            channel="ecom" if online else "atm" if cash else "pos",
            type="cash" if cash else "purchase",
            status="approved" if approved else "declined",
            billing_amount_minor=amount_minor if foreign else UNSET,
            balance_minor=UNSET if balance is None else balance,
            merchant_id=place.merchant_id or UNSET,
            terminal_id=place.terminal_id or UNSET,
            mcc=place.mcc,
            country=place.country,
            card_id=person.cards[slot],
            account_id=account,
            device_id=(device_id or person.device_id) if online else UNSET,
            district=place.district or UNSET,
        )
        self.out.append(event)
        if self.visits and place.terminal_id in self.visits:
            self.visits[place.terminal_id](time_ms, person, slot)
        return event

    def pay(
        self,
        time_ms: int,
        person: Person,
        amount_minor: int,
        category: Category,
        payee_id: str,
        *,
        channel: Channel = "online",
        device_id: str | None = None,
        ordered: bool = True,
    ) -> Transaction:
        """Transfer from the current account. Standing orders may overdraw it, other transfers are declined then."""
        approved = ordered or person.balance_minor - amount_minor >= -person.overdraft_minor
        if approved:
            person.balance_minor -= amount_minor
        return self._move(time_ms, person, amount_minor, "debit", channel, category, approved, payee_id, device_id)

    def credit(
        self, time_ms: int, person: Person, amount_minor: int, category: Category, *, refund: bool = False
    ) -> Transaction:
        """Money arrives in the current account."""
        person.balance_minor += amount_minor
        return self._move(time_ms, person, amount_minor, "credit", "online", category, True, None, None, refund)

    def credit_card(self, time_ms: int, person: Person, amount_minor: int) -> None:
        """The bank refunds `amount_minor` to the credit card; its balance may end in the customer's favour."""
        if person.line is not None:
            person.line.used_minor -= amount_minor
            self.emit(
                Transaction, time_ms, person, amount_minor=amount_minor, currency=CURRENCY, direction="credit",
                channel="online", type="refund", status="approved", category="other", country=HOME,
                account_id=person.line.facility_id,
            )  # fmt: skip

    def _move(
        self,
        time_ms: int,
        person: Person,
        amount_minor: int,
        direction: Literal["debit", "credit"],
        channel: Channel,
        category: Category,
        approved: bool,
        payee_id: str | None,
        device_id: str | None,
        refund: bool = False,
    ) -> Transaction:
        event = Transaction(
            event_id=self.next_id(),
            customer_id=person.customer_id,
            event_time_ms=time_ms,
            schema_version=1,
            amount_minor=amount_minor,
            currency=CURRENCY,
            direction=direction,
            channel=channel,
            type="transfer" if direction == "debit" else "refund" if refund else "deposit",
            status="approved" if approved else "declined",
            balance_minor=person.balance_minor,
            category=category,
            country=HOME,
            account_id=person.account_id,
            device_id=device_id or UNSET,
            payee_id=payee_id or UNSET,
        )
        self.out.append(event)
        return event

    def repay_card(self, time_ms: int, person: Person, amount_minor: int, *, own: bool = True) -> Repayment | None:
        """Pay towards the credit card, at most what is used; `own` money leaves the current account."""
        line = person.line
        amount = min(amount_minor, line.used_minor) if line is not None and not line.closed else 0
        if line is None or amount <= 0:
            return None
        line.used_minor -= amount
        if own:
            self.pay(time_ms, person, amount, "loan_payment", "payee_bank")
        return self._repayment(time_ms, person, line.facility_id, amount)

    def repay_loan(self, time_ms: int, person: Person, loan: Loan, amount_minor: int) -> Repayment:
        """Pay an instalment from the current account."""
        loan.paid_minor += amount_minor
        self.pay(time_ms, person, amount_minor, "loan_payment", "payee_bank")
        return self._repayment(time_ms, person, loan.facility_id, amount_minor)

    def return_payment(self, time_ms: int, person: Person, amount_minor: int) -> Repayment | None:
        """A payment towards the credit card bounces: the line is used again, over its limit if need be."""
        if person.line is None:
            return None
        person.line.used_minor += amount_minor
        return self._repayment(time_ms, person, person.line.facility_id, amount_minor, returned=True)

    def _repayment(
        self, time_ms: int, person: Person, facility: str, amount: int, *, returned: bool = False
    ) -> Repayment:
        event = Repayment(
            event_id=self.next_id(),
            customer_id=person.customer_id,
            event_time_ms=time_ms,
            schema_version=1,
            facility_id=facility,
            amount_minor=amount,
            currency=CURRENCY,
            returned=True if returned else UNSET,
        )
        self.out.append(event)
        return event

    def login(
        self, time_ms: int, person: Person, ok: bool, channel: Channel = "mobile",
        device_id: str | None = None, country: str = HOME,
    ) -> Login:  # fmt: skip
        """A sign-in, from the customer's own device unless another is given."""
        event = Login(
            event_id=self.next_id(),
            customer_id=person.customer_id,
            event_time_ms=time_ms,
            schema_version=1,
            channel=channel,
            result="ok" if ok else "failed",
            device_id=device_id or person.device_id,
            country=country,
        )
        self.out.append(event)
        return event

    def bind_device(self, time_ms: int, person: Person, device_id: str | None = None) -> DeviceChange:
        """Bind a device: a new one of the customer's own unless a stranger's is given."""
        if device_id is None:
            person.devices += 1
            device_id = person.device_id = f"dev_{person.index:06d}_{person.devices}"
        event: DeviceChange = self.emit(DeviceChange, time_ms, person, device_id=device_id, channel="mobile")
        return event

    def add_payee(self, time_ms: int, person: Person, country: str = HOME) -> PayeeAdded:
        """Set up a payee nobody has paid before."""
        person.payees += 1
        payee = f"payee_{person.index:06d}_{person.payees}"
        event: PayeeAdded = self.emit(PayeeAdded, time_ms, person, payee_id=payee, country=country, channel="mobile")
        return event
