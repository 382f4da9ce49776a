"""Every word of the report, in English and Chinese."""

from __future__ import annotations

# key → (en, zh-CN); words of pictures are found by their English text.
TEXTS: dict[str, tuple[str, str]] = {
    "title": ("How good the scores are", "评分效果评估"),
    "lead": (
        "Every row was scored with what was known at its time, and its label was heard only when it became known. "
        "No score is of a row the model had learned.",
        "每一行都只用当时已知的信息评分，其标签要到真正获知之时才进入学习。没有任何评分针对模型已经学过的行。",
    ),
    "counts": ("What was read", "读取情况"),
    "file": ("file", "文件"),
    "learned_from": ("learned from", "先行学习的文件"),
    "rows": ("rows", "行数"),
    "scored": ("scored", "已评分"),
    "not_scored": ("not scored", "未评分"),
    "rejected": ("rejected", "被拒绝"),
    "frauds": ("frauds", "欺诈笔数"),
    "label_delay": ("labels late by", "标签延迟"),
    "own_times": ("times of their own", "各自的时间"),
    "days": ("days", "天"),
    "model_versions": ("model versions", "模型版本数"),
    "period": ("period", "时段"),
    "all": ("all", "全部"),
    "mean": ("mean of weeks", "各周平均"),
    "auc": ("AUC", "AUC"),
    "ap": ("average precision", "平均精确率 (AP)"),
    "cards": ("card precision, top", "卡片精确率，前"),
    "slope": ("slope", "斜率"),
    "intercept": ("intercept", "截距"),
    "observed_over_expected": ("observed / expected", "实际 / 预期"),
    "brier": ("Brier score", "Brier 分数"),
    "brier_skill": ("Brier skill", "Brier 技巧分"),
    "ranking": ("Does it rank frauds first?", "能否把欺诈排在前面？"),
    "ranking_text": (
        "In brackets: 95 % of draws of customers with replacement. Test weeks leave out customers who were known to be "
        "compromised, as the Fraud-Detection-Handbook does; “all” leaves out nobody.",
        "方括号内：对客户有放回抽样所得的 95 % 区间。测试周按 Fraud-Detection-Handbook 的做法剔除已知失陷的客户；"
        "“全部”不剔除任何客户。",
    ),
    "caught": ("What is caught", "抓住了什么"),
    "caught_text": (
        "The highest scores of each day, as many as a team opens; and the alerts of the policy in force.",
        "每天得分最高的若干笔（团队当天能处理的数量），以及现行策略发出的预警。",
    ),
    "budget": ("highest scores a day", "每日最高分"),
    "alerts": ("alerts of the policy", "策略预警"),
    "a_day": ("a day", "每日"),
    "precision": ("precision", "精确率"),
    "recall": ("recall", "召回率"),
    "amount_recall": ("recall of the money", "金额召回率"),
    "typology": ("typology", "欺诈类型"),
    "unnamed": ("unnamed", "未命名"),
    "calibration": ("Does 5 % mean five in a hundred?", "5 % 是否真的是百里有五？"),
    "predicted": ("predicted", "预测"),
    "observed": ("observed", "实际"),
    "interval": ("95 %", "95 % 区间"),
    "learning": ("How it learns", "学习过程"),
    "learning_text": (
        "By week of the file. Before the first label the expert prior scores.",
        "按文件的周次。首个标签到来之前由专家先验评分。",
    ),
    "histogram": ("Where the scores lie", "评分分布"),
    "nothing": (
        "The file has no labels: it was scored, and there is nothing to compare with.",
        "文件没有标签：已评分，但没有可供比较的真相。",
    ),
    # words of pictures
    "week": ("week from", "周（起始日）"),
    "known": ("frauds known when it began", "周初已知的欺诈笔数"),
    "pr": ("precision and recall", "精确率与召回率"),
    "good": ("good", "正常"),
    "fraud": ("fraud", "欺诈"),
    "score": ("score", "评分"),
    "calibrated": ("calibrated", "完全校准"),
    "chance": ("chance", "随机"),
    "bins": ("bins, 95 % intervals", "分箱及 95 % 区间"),
}


def both(key: str) -> str:
    """A word in both languages as HTML (or inside SVG text); the page shows one of them."""
    return spans(*TEXTS[key])


def spans(en: str, zh: str, tag: str = "span") -> str:
    """Two texts, already escaped, of which the page shows one."""
    if en == zh:
        return en
    return f'<{tag} class="en">{en}</{tag}><{tag} class="zh" lang="zh-CN">{zh}</{tag}>'
