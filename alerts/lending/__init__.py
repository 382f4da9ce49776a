"""Lending on top of the score: who gets what on which terms, what is done after the loan is made, how it is classed.

Everything that decides is a table of the policy over the figures of `facts.py`. Start with `borrower.py` (what is
known of a customer at one moment), then `origination.py` (an application), `regulatory.py` (IFRS 9 stages and the
five classes, with probation), `measures.py` (watch list and measures after the loan), and `desk.py`, which turns all
three into changes of the risk state. Beside them, for people: `plan.py` (which two changes lift a grade), `letter.py`
(a letter without internal words), `segments.py` (service by grade, who gets no offer), `campaigns.py` (uplift with an
interval) and `portfolio.py` (exposure and concentration). All of it is pure.
"""
