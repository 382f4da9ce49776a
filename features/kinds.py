"""The canonical event records, one small typed struct per kind; `features.events` decodes and validates them.

Units are in the names: `_ms` UTC milliseconds, `_minor` minor units of the currency. Bounds are part of the
types, so decoding is validating. Three kinds are *control* records without a customer, which workers put
into a partition's order: `tick`, `switch` and `indicator`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from features.currencies import Currency

SCHEMA_VERSION = 1
# 2100-01-01: beyond any event, and small enough that sums of times never overflow 64 bits.
EVENT_TIME_MAX_MS = 4_102_444_800_000

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Label = Annotated[str, Meta(min_length=1, max_length=64)]
TimeMs = Annotated[int, Meta(ge=0, le=EVENT_TIME_MAX_MS)]
# 10^13 minor units: a hundred thousand million euro; sums over any window stay inside 64 bits.
Minor = Annotated[int, Meta(ge=0, le=10**13)]
SignedMinor = Annotated[int, Meta(ge=-(10**13), le=10**13)]
Country = Annotated[str, Meta(min_length=2, max_length=2)]
Mcc = Annotated[str, Meta(min_length=4, max_length=4)]
Ratio = Annotated[float, Meta(ge=0, le=1000)]
Days = Annotated[int, Meta(ge=0, le=36_500)]
Opt = UnsetType | None

Channel = Literal["pos", "ecom", "atm", "mobile", "online", "branch"]
TransactionType = Literal["purchase", "cash", "transfer", "deposit", "fee", "refund"]
Category = Literal[
    "salary", "pension", "benefit", "interest", "penalty_interest", "household", "insurance",
    "loan_payment", "rent", "gambling", "tax", "fee", "other",
]  # fmt: skip
OutcomeType = Literal[
    "fraud_confirmed", "false_positive", "chargeback", "default", "cured", "paid_in_full",
    "dispute_upheld", "campaign_response",
]  # fmt: skip


class Event(Struct, kw_only=True, frozen=True, gc=False, tag_field="kind"):
    """What every event carries. `event_id` is unique per customer; `event_time_ms` is UTC milliseconds."""

    event_id: Id
    customer_id: Id
    event_time_ms: TimeMs
    schema_version: Literal[1]


# --- card and account ---------------------------------------------------------------------------------


class Transaction(Event, frozen=True, tag="transaction"):
    """Money that moved, or was asked to. `billing_amount_minor` is the amount in the account's own currency."""

    amount_minor: Minor
    currency: Currency
    direction: Literal["debit", "credit"]
    channel: Channel
    type: TransactionType | Opt = UNSET
    status: Literal["approved", "declined", "reversed"] | Opt = UNSET
    billing_amount_minor: Minor | Opt = UNSET
    balance_minor: SignedMinor | Opt = UNSET
    category: Category | Opt = UNSET
    merchant_id: Id | Opt = UNSET
    terminal_id: Id | Opt = UNSET
    mcc: Mcc | Opt = UNSET
    country: Country | Opt = UNSET
    card_id: Id | Opt = UNSET
    account_id: Id | Opt = UNSET
    device_id: Id | Opt = UNSET
    payee_id: Id | Opt = UNSET
    district: Label | Opt = UNSET


class AuthResult(Event, frozen=True, tag="auth_result"):
    """What the authorisation system answered to a transaction."""

    transaction_id: Id
    result: Literal["approved", "declined", "step_up_passed", "step_up_failed"]
    card_id: Id | Opt = UNSET
    reason: Label | Opt = UNSET


class ActionResult(Event, frozen=True, tag="action_result"):
    """What became of an action that Riskshift recommended (freeze applied, call outcome)."""

    action: Label
    result: Literal["applied", "refused", "failed", "confirmed_fraud", "confirmed_genuine", "no_answer"]
    card_id: Id | Opt = UNSET
    alert_id: Id | Opt = UNSET
    by: Label | Opt = UNSET


class Login(Event, frozen=True, tag="login"):
    """A sign-in to the bank's channels."""

    channel: Channel
    result: Literal["ok", "failed"]
    device_id: Id | Opt = UNSET
    country: Country | Opt = UNSET


class DeviceChange(Event, frozen=True, tag="device_change"):
    """A new device was bound to the customer."""

    device_id: Id
    channel: Channel | Opt = UNSET


class PayeeAdded(Event, frozen=True, tag="payee_added"):
    """A new payee was set up."""

    payee_id: Id
    country: Country | Opt = UNSET
    channel: Channel | Opt = UNSET


# --- credit -------------------------------------------------------------------------------------------


class Application(Event, frozen=True, tag="application"):
    """A request for credit."""

    product: Label
    amount_minor: Minor
    currency: Currency
    term_months: Annotated[int, Meta(ge=0, le=600)] | Opt = UNSET
    stated_income_minor: Minor | Opt = UNSET
    channel: Channel | Opt = UNSET


class OfferMade(Event, frozen=True, tag="offer_made"):
    """An offer of the bank to the customer; `holdout` marks those who deliberately got none."""

    campaign_id: Id
    product: Label
    holdout: bool | UnsetType = UNSET


class Statement(Event, frozen=True, tag="statement"):
    """A card or loan statement: what is due and how much of the limit is used."""

    facility_id: Id
    balance_minor: SignedMinor
    minimum_due_minor: Minor
    due_time_ms: TimeMs
    limit_minor: Minor | Opt = UNSET
    currency: Currency | Opt = UNSET


class Repayment(Event, frozen=True, tag="repayment"):
    """Money paid towards a facility."""

    facility_id: Id
    amount_minor: Minor
    currency: Currency | Opt = UNSET
    returned: bool | UnsetType = UNSET


class LoanGranted(Event, frozen=True, tag="loan_granted"):
    """A loan was paid out."""

    facility_id: Id
    amount_minor: Minor
    currency: Currency
    instalment_minor: Minor
    term_months: Annotated[int, Meta(ge=1, le=600)]
    product: Label | Opt = UNSET


class InstalmentDue(Event, frozen=True, tag="instalment_due"):
    """An instalment falls due at `due_time_ms`; if it is not paid then, it is missed."""

    facility_id: Id
    amount_minor: Minor
    due_time_ms: TimeMs
    currency: Currency | Opt = UNSET


class LimitChanged(Event, frozen=True, tag="limit_changed"):
    """The limit of a facility is now `limit_minor`."""

    facility_id: Id
    limit_minor: Minor
    currency: Currency | Opt = UNSET


class CollateralValued(Event, frozen=True, tag="collateral_valued"):
    """A collateral was valued."""

    facility_id: Id
    collateral_id: Id
    value_minor: Minor
    currency: Currency | Opt = UNSET


# --- person or firm -----------------------------------------------------------------------------------


class Profile(Event, frozen=True, tag="profile"):
    """Who the customer is, as far as credit may look at it."""

    customer_type: Literal["individual", "enterprise"]
    occupation: Label | Opt = UNSET
    employer_id: Id | Opt = UNSET
    education_band: Label | Opt = UNSET
    customer_since_ms: TimeMs | Opt = UNSET
    district: Label | Opt = UNSET
    industry: Label | Opt = UNSET
    country: Country | Opt = UNSET


class Income(Event, frozen=True, tag="income"):
    """Money earned: a salary, a pension, a firm's revenue. `expected_days` is the pay rhythm where known."""

    amount_minor: Minor
    currency: Currency
    source: Literal["salary", "pension", "benefit", "revenue", "other"]
    payer_id: Id | Opt = UNSET
    expected_days: Annotated[int, Meta(ge=1, le=400)] | Opt = UNSET


class BureauReport(Event, frozen=True, tag="bureau_report"):
    """A report of a credit bureau."""

    score: Annotated[int, Meta(ge=0, le=1000)] | Opt = UNSET
    open_facilities: Annotated[int, Meta(ge=0, le=1000)] | Opt = UNSET
    days_past_due_max: Days | Opt = UNSET
    inquiries_6m: Annotated[int, Meta(ge=0, le=1000)] | Opt = UNSET
    bureau: Label | Opt = UNSET


class EmploymentChange(Event, frozen=True, tag="employment_change"):
    """A job began or ended."""

    change: Literal["started", "ended", "changed"]
    employer_id: Id | Opt = UNSET
    industry: Label | Opt = UNSET


class LegalEvent(Event, frozen=True, tag="legal_event"):
    """A court or enforcement event."""

    type: Literal["lawsuit", "judgment", "enforcement", "insolvency", "lifted"]
    amount_minor: Minor | Opt = UNSET
    currency: Currency | Opt = UNSET


class RegistryChange(Event, frozen=True, tag="registry_change"):
    """A change in a firm's public registry entry."""

    type: Literal["owner", "director", "address", "capital", "status", "filing_late"]
    detail: Annotated[str, Meta(max_length=256)] | Opt = UNSET


class SocialSignal(Event, frozen=True, tag="social_signal"):
    """Opt-in signal from social media; kept, never scored unless switched on."""

    source: Label
    value: Annotated[float, Meta(ge=-1, le=1)]


class Outcome(Event, frozen=True, tag="outcome"):
    """The truth about an earlier event or facility, as it became known at `event_time_ms`.

    `by` is the sort of source (customer, bank, scheme), `actor` the person or desk with a name who says it.
    """

    outcome: OutcomeType
    about_event_id: Id | Opt = UNSET
    facility_id: Id | Opt = UNSET
    card_id: Id | Opt = UNSET
    typology: Label | Opt = UNSET
    by: Label | Opt = UNSET
    actor: Id | Opt = UNSET


# --- control: no customer -----------------------------------------------------------------------------


class Control(Struct, kw_only=True, frozen=True, gc=False, tag_field="kind"):
    """What every control record carries; its Kafka key is null and it belongs to one partition."""

    event_id: Id
    event_time_ms: TimeMs
    schema_version: Literal[1]


class Tick(Control, frozen=True, tag="tick"):
    """Stream time has reached `event_time_ms` in this partition: silence before it is certain."""

    partition: Annotated[int, Meta(ge=0)]


class Switch(Control, frozen=True, tag="switch"):
    """From the next event on, this partition is scored with these versions."""

    partition: Annotated[int, Meta(ge=0)]
    model_version: Annotated[int, Meta(ge=0)]
    policy_version: Label


class Indicator(Control, frozen=True, tag="indicator"):
    """A figure about the world: macro, industry or district."""

    scope: Literal["macro", "industry", "district"]
    scope_id: Label
    name: Label
    value: Annotated[float, Meta(ge=-1e15, le=1e15)]
    unit: Label | Opt = UNSET


CUSTOMER_KINDS: tuple[type[Event], ...] = (
    Transaction, AuthResult, ActionResult, Login, DeviceChange, PayeeAdded,
    Application, OfferMade, Statement, Repayment, LoanGranted, InstalmentDue, LimitChanged, CollateralValued,
    Profile, Income, BureauReport, EmploymentChange, LegalEvent, RegistryChange, SocialSignal, Outcome,
)  # fmt: skip
CONTROL_KINDS: tuple[type[Control], ...] = (Tick, Switch, Indicator)
ALL_KINDS: tuple[type[Event] | type[Control], ...] = (*CUSTOMER_KINDS, *CONTROL_KINDS)
KINDS: dict[str, type[Event] | type[Control]] = {str(c.__struct_config__.tag): c for c in ALL_KINDS}
