"""The same job in what a user would pick instead, and in ours, measured side by side.

Start with `job.py`: it *is* the job, one event at a time, with River called as its documentation shows; every
peer in `peers/` runs exactly that and keeps a customer's state where its own documentation says to. Ours
(`ours.py`) computes the same numbers from whole batches: `columns.py` the features, `linear.py` and
`models/half_space.py` the models, `stored.py` what becomes durable. `tests/benchmarks/test_same_job.py` holds the
two to each other, event by event. `events.py` makes and loads the stream, `process.py` is what every measured
process does alike, `measure.py` starts them in turns, `figures.py` makes ratios,
`breakdown.py` says where each microsecond goes.

    python -m benchmarks.same_job
"""
