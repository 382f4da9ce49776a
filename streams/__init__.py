"""Everything that touches the world: Kafka, Faust, files, clocks, processes and the command line.

Start with `engine.py`, which touches none of it: the pure heart that the worker, the replay and the
tests drive. Then `commit.py` (how a batch becomes durable) and `worker.py` (how they meet Kafka).
"""
