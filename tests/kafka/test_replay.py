"""A run through Apache Kafka with its workers killed in between equals its replay, byte for byte."""

from __future__ import annotations

import json
import os
import signal
from itertools import islice
from pathlib import Path

import pytest

from features.events import encode
from streams.town import Town, TownConfig
from tests.brokers.apache import ApacheKafka
from tests.streams.harness import Deployment, riskshift, until

LEARNING = {
    "RISKSHIFT_TICK_EVERY_MS": "3600000",
    "RISKSHIFT_LEARN_EVERY_MS": "3600000",
    "RISKSHIFT_PUBLISH_EVERY_MS": "86400000",
    "RISKSHIFT_PUBLISH_EVERY_S": "0.2",
    "RISKSHIFT_LABEL_MATURITY_MS": "172800000",
}


@pytest.mark.timeout(300)
def test_workers_killed_and_restarted_said_what_the_replay_says(
    kafka: ApacheKafka, prefix: str, tmp_path: Path
) -> None:
    town = Town(TownConfig(people=150, days=40, seed=8)).events()
    records = [(event.customer_id.encode(), encode(event), ()) for event in islice(town, 12_000)]
    with Deployment(kafka.address, prefix, tmp_path, partitions=4) as deployment:
        deployment.declare()
        with deployment.worker(workers=2, learner=True, env=LEARNING) as worker:
            deployment.send_raw(records[:4_000])
            until(lambda: len(deployment.read("decisions")) > 1_500, 60, "the first decisions")
            pids = sorted({line["pid"] for line in worker.said if line.get("worker") == "ready" and "pid" in line})
            os.kill(pids[0], signal.SIGKILL)
            deployment.send_raw(records[4_000:8_000])
            deployment.drain(120)
            assert worker.restarts, "nobody was restarted"
        assert worker.stop() == 0
        deployment.send_raw(records[8_000:])
        with deployment.worker(workers=2, learner=True, env=LEARNING) as worker:
            deployment.drain(120)
        assert worker.stop() == 0

        outs = []
        for batch in ("1000", "7"):
            done = riskshift(
                "replay", prefix, "--format", "topic", "--broker", kafka.address, "--state", deployment.state,
                "--out", tmp_path / f"replay{batch}", "--batch", batch, "--check", "--json", timeout_s=200,
            )  # fmt: skip
            assert done.out, done.err
            outs.append(json.loads(done.out.splitlines()[-1]))
            assert (done.status, outs[-1]["check"]) == (0, {"equal": True, "difference": None}), done.err
        assert outs[0]["events"] == len(records)
        assert outs[0]["model_version"] > 1
        assert outs[0]["alerts"] > 0
        assert outs[0]["output_hash"] == outs[1]["output_hash"]
