"""The learner's parts: how records become epochs, where events wait for their label, what a checkpoint holds.

Start with `models/learner.py`, which puts them together; then `epochs.py` (the order that does not depend on
arrival), `waiting.py` (events until their label is mature) and `checkpoint.py` (signed bytes, restored
through `unpickler.py`, which knows a short list of classes and refuses every other).
"""
