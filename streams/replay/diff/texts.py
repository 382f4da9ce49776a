"""Words of the comparison's page, English and Chinese."""

from __future__ import annotations

from streams.evaluation.texts import spans

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("What would have happened", "如果当时换一种做法"),
    "lead": (
        "Two replays of the same events. An alert is the same where customer, scope, event and rule are.",
        "同一批事件的两次回放。客户、对象、事件和规则相同，即视为同一条预警。",
    ),
    "other_input": (
        "The two replays read different events: what differs may come from that.",
        "两次回放读取的事件不同，差异可能由此而来。",
    ),
    "figures": ("Both in figures", "两次回放的数字"),
    "policy": ("policy", "策略"),
    "model": ("last model version", "最后的模型版本"),
    "events": ("events", "事件数"),
    "n_alerts": ("alerts", "预警数"),
    "alerts_a_day": ("alerts a day", "每日预警"),
    "most_a_day": ("most in a day", "单日最多"),
    "days_over": ("days above the budget", "超出预算的天数"),
    "beyond": ("alerts beyond the budget", "超出预算的预警"),
    "judged": ("judged: events old enough, until", "参与评判的事件截至"),
    "frauds": ("frauds among them", "其中的欺诈笔数"),
    "precision": ("precision of alerts", "预警精确率"),
    "recall": ("recall", "召回率"),
    "amount_recall": ("recall of the money", "金额召回率"),
    "ap": ("average precision of scores", "评分平均精确率 (AP)"),
    "auc": ("AUC of scores", "评分 AUC"),
    "cases": ("fraud cases with an alert in time", "及时预警的欺诈案件"),
    "hours": ("hours before a case's last fraud, median", "距案件最后一笔欺诈的小时数（中位数）"),
    "defaults": ("defaults with an alert before", "违约前有预警"),
    "days": ("days before default, median", "距违约的天数（中位数）"),
    "exposure": ("amounts in alerts", "预警涉及金额"),
    "moved": ("Alerts gained and lost", "新增与消失的预警"),
    "both": ("in both", "两者都有"),
    "gained": ("gained", "新增"),
    "lost": ("lost", "消失"),
    "by_severity": ("by severity", "按严重程度"),
    "by_rule": ("by rule", "按规则"),
    "by_typology": ("by what became known", "按事后真相"),
    "per_day": ("Alerts a day against the budget", "每日预警与预算"),
    "budget": ("budget", "预算"),
    "grades": ("Last grades", "最终信用等级"),
    "grades_text": (
        "Customers by their last grade: rows are the first replay, columns the second. Right of the diagonal is worse.",
        "按最终等级统计客户：行为第一次回放，列为第二次回放；对角线右侧为变差。",
    ),
    "no_grades": (
        "No customer has a grade: the events have no credit in them.",
        "没有客户有等级：事件中没有信贷信息。",
    ),
    "customers": ("To whom it matters most", "影响最大的客户"),
    "customer": ("customer", "客户"),
    "distance": ("distance", "差异"),
    "why": ("why", "原因"),
    "frauds_known": ("frauds known", "已知欺诈"),
    "grade": ("grade", "等级"),
    "score": ("score", "评分"),
    "nothing": ("Nothing differs.", "没有差异。"),
    "no fraud known": ("no fraud known", "未知有欺诈"),
    "unnamed": ("unnamed fraud", "未命名欺诈"),
}


def both(key: str) -> str:
    """A word in both languages; the page shows one of them."""
    return spans(*TEXTS[key])
