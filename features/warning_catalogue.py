"""Early-warning indicators as data: what each is called, read from, and where supervisors ask for it.

References: **EBA** is EBA/GL/2020/06 (loan origination and monitoring), section 8.5; **SAMA** is the Saudi Central Bank's
Rules on Management of Problem Loans (No. 41033343, January 2020; for firms), section 2.1 and the appendix of signals.
Both list signs by theme, not formulae: the theme is cited, the formula is ours.
"""

from __future__ import annotations

from typing import NamedTuple

EBA = "EBA/GL/2020/06, section 8.5"
SAMA = "SAMA 41033343 (2020), section 2.1 and appendix"


class Indicator(NamedTuple):
    """One indicator. Its reading is 0 (absent) to 1 (full); `expert` is its weight in log-odds before any outcome:
    an opinion fitted on the development towns.

    `common`: it may come from a blow to many, so that a district's or an employer's rate of it is watched.
    """

    code: str
    en: str
    zh: str
    source: str
    theme: str
    expert: float
    common: bool = False


INDICATORS: tuple[Indicator, ...] = (
    # income
    Indicator("salary_overdue", "Expected income has not come", "应到收入未到账", "timer income_missed", "income", 1.2, True),
    Indicator("salary_missed_twice", "Expected income missing for two pay days", "连续两个发薪日未到账", "timer income_missed_twice", "income", 0.2, True),
    Indicator("salary_late", "The last income came days late", "最近一次收入迟到", "income, transaction", "income", 0.5, True),
    Indicator("salary_drop", "The last income was clearly lower than usual", "最近一次收入明显低于平常", "income, transaction", "income", 2.3, True),
    Indicator("inflow_falling", "Less money comes in than in earlier months", "资金流入较前几个月下降", "transaction", "income", 0.1),
    Indicator("employment_ended", "The job has ended", "雇佣关系已结束", "employment_change", "income", 0.9, True),
    Indicator("benefit_received", "Unemployment or other benefit is received", "开始领取失业等救济金", "transaction, income", "income", 0.5, True),
    # account
    Indicator("balance_falling", "The lowest weekly balance keeps falling", "每周最低余额持续下降", "transaction", "account", 0.6),
    Indicator("balance_low", "Hardly anything is left at the end of the week", "每周末余额所剩无几", "transaction", "account", 0.1),
    Indicator("overdraft_used", "The account went below zero recently", "近期账户透支", "transaction", "account", 0.6),
    Indicator("overdraft_lasting", "The account stays below zero", "账户持续透支", "transaction", "account", 0.1),
    Indicator("outflow_exceeds_inflow", "More goes out than comes in", "支出超过收入", "transaction", "account", 0.1),
    Indicator("declined_payments", "Payments are declined repeatedly", "付款屡次被拒", "transaction", "account", 0.7),
    Indicator("rent_late", "Rent was paid late or not at all", "房租迟付或未付", "transaction", "account", 1.6),
    Indicator("insurance_lapsed", "Insurance is no longer paid", "停止缴纳保险费", "transaction", "account", 1.2),
    # card and loan
    Indicator("utilisation_high", "The credit limit is nearly used up", "授信额度接近用尽", "statement", "credit", 0.6),
    Indicator("utilisation_rising", "The use of the credit limit rises quickly", "额度使用率快速上升", "statement", "credit", 0.3),
    Indicator("minimum_only", "Only the minimum was paid", "仅支付最低还款额", "statement, repayment", "credit", 0.1),
    Indicator("payment_ratio_falling", "A smaller part of the statement is paid than usual", "还款占账单比例低于平常", "statement, repayment", "credit", 0.4),
    Indicator("payment_later", "Payments come closer to the due date than usual", "还款时间较平常更接近到期日", "repayment", "credit", 0.5),
    Indicator("returned_payment", "A payment was returned unpaid", "还款被退回", "repayment", "credit", 1.5),
    Indicator("cash_advance", "Cash was drawn on the credit card", "信用卡取现", "transaction", "credit", 1.0),
    Indicator("applications_many", "Credit was applied for several times", "短期内多次申请信贷", "application", "credit", 1.5),
    Indicator("bureau_worse", "The credit bureau's view has worsened", "征信评分恶化或查询增多", "bureau_report", "credit", 1.6),
    Indicator("new_debt", "A new loan was taken up recently", "近期新增贷款", "loan_granted", "credit", 0.1),
    # spending
    Indicator("cash_rising", "More cash is drawn than usual", "取现多于平常", "transaction", "spending", 1.5),
    Indicator("gambling", "Money goes to gambling", "有博彩支出", "transaction", "spending", 1.7),
    Indicator("pawn_shop", "A pawn shop was visited", "有典当行交易", "transaction", "spending", 1.6),
    Indicator("merchants_fewer", "Fewer shops are visited than usual", "光顾商户少于平常", "transaction", "spending", 0.5),
    Indicator("purchases_fewer", "Fewer purchases than usual", "消费次数少于平常", "transaction", "spending", 0.4),
    Indicator("logins_more", "The account is looked at more often than usual", "查看账户比平常频繁", "login", "spending", 1.2),
    # firms and law
    Indicator("legal_event", "A lawsuit or enforcement is under way", "涉及诉讼或强制执行", "legal_event", "law", 1.6),
    Indicator("registry_adverse", "The company register shows late filing or a change of management", "工商登记显示逾期申报或管理层变动", "registry_change", "law", 1.1),
    Indicator("penalty_interest", "Penalty interest was charged", "被收取罚息", "transaction", "law", 0.6),
    # calming
    Indicator("account_quiet", "The account is hardly used any more: money may be kept elsewhere", "账户几乎停用，资金可能转至他行", "transaction", "account", -0.6),
)  # fmt: skip
CODES: tuple[str, ...] = tuple(indicator.code for indicator in INDICATORS)
PLACE: dict[str, int] = {code: place for place, code in enumerate(CODES)}
COMMON: tuple[int, ...] = tuple(place for place, indicator in enumerate(INDICATORS) if indicator.common)
# From this reading on an indicator counts as there.
ON = 0.5
# Supervisors' theme by ours.
REFERENCES: dict[str, str] = {
    "income": f"{EBA}: adverse change in income or employment; {SAMA}: cash flow",
    "account": f"{EBA}: adverse trends in account turnover and balances; {SAMA}: account conduct",
    "credit": f"{EBA}: increased use of limits, late or partial payments, new debt; {SAMA}: repayment behaviour",
    "spending": f"{EBA}: other indicators of the borrower's stress; {SAMA}: borrower behaviour",
    "law": f"{EBA}: legal action, management change, late accounts; {SAMA}: management and legal signs",
}


class Listed(NamedTuple):
    """An indicator that supervisors list and nothing here measures yet: its event kind is there, its lift is not."""

    code: str
    en: str
    zh: str
    source: str
    theme: str


# Catalogue only: no reading, no weight.
LISTED: tuple[Listed, ...] = (
    Listed("collateral_value_falling", "The value of collateral falls", "抵押物价值下降", "collateral_valued", "credit"),
    Listed("limit_cut_elsewhere", "The number of open facilities elsewhere falls", "他行授信收缩", "bureau_report", "credit"),
    Listed("customer_concentration", "A firm's income comes from one payer", "企业收入集中于单一付款人", "income", "income"),
    Listed("payer_failed", "The payer of the income is in trouble itself", "付款人自身陷入困境", "income, outcome", "income"),
    Listed("address_changed", "A firm moves its seat", "企业变更注册地址", "registry_change", "law"),
    Listed("capital_reduced", "A firm reduces its capital", "企业减少注册资本", "registry_change", "law"),
    Listed("macro_unemployment", "Unemployment in the industry rises", "行业失业率上升", "indicator", "income"),
)  # fmt: skip
