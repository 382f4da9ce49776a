"""Three peers, each as its documentation would have a user write this job, with the settings of one who knows it.

All call `job.Job` once per event, decode with orjson, send alerts to the same topic, and keep a customer's state
where the framework keeps keyed state that survives a crash. What was set beyond the defaults, and why:

- `faust_table.py`: a Table in memory with its changelog topic. `producer_linger` 50 ms (default 0) lets changelog
  records go in batches, a fifth of the whole cost. RocksDB as the table's store would cost more.
- `quix_state.py`: `State` (RocksDB) with its changelog topic, commits every 5 s (the default), `linger.ms` 20.
- `bytewax_recovery.py`: `stateful_map` with a `RecoveryConfig`, a snapshot every 5 s (default 10; so that it would
  lose no more than Quix), `linger.ms` 20.

Ours is durable after every batch; Faust's table after the linger time; the other two every 5 s. All four set
Python's garbage collector alike (`process.py`), run linear algebra in one thread, and take timeouts that suit the
embedded broker.
"""
