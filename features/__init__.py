"""Events in, features out: what is known about one customer at one moment of event time.

Start with `events.py` (the canonical records and their validation), then `catalogue.py` (every
feature, its window, unit and meaning), then `row.py` (what is kept per customer) and `hot.py`
(how one event updates it). `warnings.py` keeps what early warning needs, `warning_readings.py` reads its indicators,
`warning_catalogue.py` names them. Nothing here does I/O, reads a clock or draws a random number.
"""
