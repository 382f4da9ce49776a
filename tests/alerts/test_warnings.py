"""The watch list: on at the line with enough signs, off after a calm time, once per cool-down, with reasons."""

from __future__ import annotations

import msgspec
import pytest

from alerts.changes import Change, Facts
from alerts.errors import PolicyError
from alerts.policy import DEFAULT_PATH, Policy, load_policy, parse_policy
from alerts.records import encode
from alerts.state import RiskState
from alerts.texts import load
from alerts.warnings import CLEARED, RULE, WarningDesk
from features.warning_catalogue import CODES, INDICATORS, PLACE
from features.warnings import Warnings
from models.early_warning import EXPERT, WarningWeights

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000
CALM = [0.0] * len(CODES)
TROUBLED = [
    float(code in ("salary_overdue", "applications_many", "bureau_worse", "balance_falling", "declined_payments"))
    for code in CODES
]


class Customer:
    def __init__(self, policy: Policy | None = None) -> None:
        self.desk = WarningDesk(policy or load_policy(), load())
        self.risk, self.watch = RiskState(), Warnings()
        self.count = 0

    def review(self, day: float, readings: list[float], **more: object) -> Change | None:
        self.count += 1
        facts = Facts("c-1", f"e{self.count}", START_MS + int(day * DAY_MS), model_version=3)
        _p, change = self.desk.review(
            self.risk,
            self.watch,
            facts,
            readings,
            more.pop("model", EXPERT),
            **more,  # type: ignore[arg-type]
        )
        return change

    def rules(self, *steps: tuple[float, list[float]]) -> list[str]:
        changes = [self.review(day, readings) for day, readings in steps]
        return [alert.rule for change in changes if change is not None for alert in change.alerts]


def test_crossing_the_line_alerts_once_puts_on_the_list_and_says_why() -> None:
    customer = Customer()
    assert customer.review(0, CALM) is None
    change = customer.review(1, TROUBLED)
    assert change is not None
    (alert,) = change.alerts
    assert (alert.rule, alert.scope.type, alert.event_time_ms) == (RULE, "customer", START_MS + DAY_MS)
    assert 0.4 <= alert.warning_probability <= 1
    assert alert.parent_alert_id is msgspec.UNSET
    assert len(alert.reasons) == 4
    shares = [reason.contribution or 0 for reason in alert.reasons]
    assert shares == sorted(shares, reverse=True)
    words = {it.code: (it.en, it.zh) for it in INDICATORS}
    assert [(r.text.en, r.text.zh_cn) for r in alert.reasons] == [words[r.code] for r in alert.reasons]
    assert any("\u4e00" <= letter <= "\u9fff" for letter in alert.title.zh_cn)
    # Membership is a state: it shows in the risk change and stays until the customer leaves.
    assert change.risk_change is not None
    assert [(a.action, a.reason, a.expires_ms) for a in change.risk_change.state.actions] == [("monitor", RULE, None)]
    assert customer.watch.watch_since_ms == START_MS + DAY_MS
    assert customer.review(2, TROUBLED) is None


def test_the_list_is_left_after_the_calm_time_and_not_a_day_before() -> None:
    customer = Customer()
    assert customer.rules((0, TROUBLED), (5, CALM), (25.9, CALM)) == [RULE]
    change = customer.review(26, CALM)
    assert change is not None
    assert [alert.rule for alert in change.alerts] == [CLEARED]
    assert customer.risk.actions == []
    assert customer.watch.watch_since_ms == customer.watch.calm_since_ms == -1


def test_a_relapse_within_the_calm_time_starts_it_again() -> None:
    customer = Customer()
    middling = [reading * 0.7 for reading in TROUBLED]
    assert customer.rules((0, TROUBLED), (5, CALM), (15, middling), (20, CALM), (40, CALM)) == [RULE]
    assert customer.rules((41.1, CALM)) == [CLEARED]


def test_the_list_is_joined_again_in_silence_within_the_cool_down() -> None:
    customer = Customer()
    assert customer.rules((0, TROUBLED), (1, CALM), (23, CALM), (30, TROUBLED)) == [RULE, CLEARED]
    assert customer.watch.watch_since_ms == START_MS + 30 * DAY_MS
    assert [action.reason for action in customer.risk.actions] == [RULE]
    assert customer.rules((31, CALM), (53, CALM), (61, TROUBLED)) == [CLEARED, RULE]


def test_one_loud_sign_is_not_enough() -> None:
    loud = WarningWeights(0.0, [8.0] * len(CODES))
    one = list(CALM)
    one[PLACE["pawn_shop"]] = 1.0
    customer = Customer()
    assert customer.review(0, one, model=loud) is None
    assert customer.review(1, TROUBLED, model=loud) is not None


def test_past_due_or_default_is_no_early_case() -> None:
    late, lost = Customer(), Customer()
    assert late.review(0, TROUBLED, past_due=True) is None
    lost.risk.grade = "D"
    assert lost.review(0, TROUBLED) is None
    assert late.watch.watch_since_ms == lost.watch.watch_since_ms == -1


def test_default_takes_a_customer_off_without_saying_all_is_well() -> None:
    customer = Customer()
    customer.review(0, TROUBLED)
    customer.risk.grade = "D"
    change = customer.review(1, TROUBLED)
    assert change is not None
    assert change.alerts == []
    assert customer.watch.watch_since_ms == -1


def test_a_common_shock_is_the_parent_and_changes_nothing_else() -> None:
    alone, member, neighbour = Customer(), Customer(), Customer()
    parent = "f" * 32
    first, second, third = (
        each.review(0, TROUBLED, groups=groups, struck={11: parent})
        for each, groups in ((alone, ()), (member, (7, 11)), (neighbour, (7, 12)))
    )
    assert first is not None
    assert second is not None
    assert third is not None
    assert second.alerts[0].parent_alert_id == parent
    assert msgspec.structs.replace(second.alerts[0], parent_alert_id=msgspec.UNSET) == first.alerts[0]
    assert third.alerts == first.alerts
    assert second.risk_change == first.risk_change
    # Who is calm is not alerted because the neighbours are struck.
    assert Customer().review(0, CALM, groups=(7, 11), struck={11: parent}) is None


def test_the_employer_comes_before_the_district() -> None:
    customer = Customer()
    change = customer.review(0, TROUBLED, groups=(21, 11), struck={11: "d" * 32, 21: "e" * 32})
    assert change is not None
    assert change.alerts[0].parent_alert_id == "e" * 32


def test_a_policy_without_the_table_watches_nobody() -> None:
    before, _, rest = DEFAULT_PATH.read_text("utf-8").partition("[warnings]\n")
    customer = Customer(parse_policy(before + rest[rest.index("# --- lending") :]))
    assert customer.review(0, TROUBLED) is None


@pytest.mark.parametrize(
    ("line", "instead", "what"),
    [
        ("exit = 0.15", "exit = 0.41", "warnings.exit"),
        ("indicators_min = 3", "indicators_min = 0", "warnings.indicators_min"),
        ('calm_time = "21d"', "calm_time = 21", "warnings.calm_time"),
        ("indicators_min = 3", "indicator_min = 3", "warnings.indicators_min"),
    ],
)
def test_a_wrong_table_is_refused_with_its_key(line: str, instead: str, what: str) -> None:
    head, tail = DEFAULT_PATH.read_text("utf-8").split("[warnings]")
    assert line in tail
    with pytest.raises(PolicyError, match=what):
        parse_policy(f"{head}[warnings]{tail.replace(line, instead)}")


def test_the_alert_id_is_the_same_for_whoever_wakes_the_timer() -> None:
    ids = []
    for event_id in ("tick/0/1", "e-7"):
        customer = Customer()
        facts = Facts("c-1", event_id, START_MS)
        _p, change = customer.desk.review(
            customer.risk, customer.watch, facts, TROUBLED, EXPERT, source="timer:early_warning:income_missed:income:5"
        )
        assert change is not None
        ids.append(change.alerts[0].alert_id)
        assert b"warning_probability" in encode(change.alerts[0])
    assert ids[0] == ids[1]
