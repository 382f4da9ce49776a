"""Who decides: champion and challengers, the evidence between them, the guards around them, whose labels count.

Start with `council.py`, which puts the parts together for the learner; then `evidence.py` (when is a challenger
better), `guards.py` (what must never be published), `labels.py` (how much one actor may say), `drift.py` (when the
world has changed). `rules.py` declares the numbers, `records.py` what leaves. All of it is pure.
"""
