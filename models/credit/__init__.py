"""Credit: a scorecard that is data, and the learner behind it.

`scale.py` is the points scale, `characteristics.py` the catalogue (what is looked at, which way is worse, the
expert's curves), `card.py` a card and what it says of a customer. `learner.py` waits for outcomes, lets River learn
(`curves.py`) and proposes a card; `challenger.py` is a richer model beside it; `migration.py` counts how grades move;
`change.py` says what part of a change of score is the customer's own. Start with `card.py`; `docs/credit-models.md`.
"""
