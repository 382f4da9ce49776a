"""What goes wrong in a world: drawn from its seed, at drawn moments, until peace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.events import Indicator, encode
from tests.simulation.network import Trouble
from tests.simulation.versions import MODELS_MAX, POLICIES

if TYPE_CHECKING:
    from tests.simulation.world import World

HAPPENINGS_MAX = 14


class Chaos:
    """Troubles of one world. Some seeds have few kinds of them, so that each is also met alone."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._models = 1
        self._kinds: list[str] = []

    def begin(self) -> None:
        """Draw which troubles there are and when."""
        world = self.world
        rng = world.rng

        def some(most: float) -> float:
            return rng.choice((0.0, 0.0, most / 4, most))

        world.network.trouble = Trouble(
            kill=some(0.012), pause=some(0.012) if world.fenced else 0.0, request_lost=some(0.03),
            answer_lost=some(0.03), refused=some(0.5), slow=some(0.05), rebalance=some(0.12) if world.fenced else 0.0,
        )  # fmt: skip
        kinds = ["kill", "stop", "cut", "restart", "rebalance", "broker", "compact"]
        if not world.fenced:
            # One worker, and one after the other: without a fence nothing is promised to two at once.
            kinds = ["kill", "broker", "compact"]
        elif rng.random() < 0.6:
            kinds += ["model", "policy", "world"]
        self._kinds = rng.sample(kinds, rng.randint(1, len(kinds)))
        for _ in range(rng.randint(0, HAPPENINGS_MAX)):
            at_s = rng.choice(world.bursts_s) + rng.choice((0.1, 0.5, 5.0)) * rng.random()
            world.later(max(0.0, at_s) if rng.random() < 0.7 else rng.uniform(0.0, world.seconds), self._happen)
        # Control records in the input name it.
        self._publish(world.settings.topic_models, f"policy/{POLICIES[0]}".encode())

    def end(self) -> None:
        """Peace: what is drawn and has not happened yet does not."""
        self.world.network.trouble = Trouble()
        self._kinds = []
        self.world.note("world", "peace")

    def _happen(self) -> None:
        world = self.world
        rng, broker = world.rng, world.broker
        member = rng.choice(world.members) if world.members else None
        if not self._kinds:
            return
        kind = rng.choice(self._kinds)
        broker.count(kind)
        if kind == "kill" and member:
            world.kill(member.process, "SIGKILL")
        elif kind == "stop" and member:
            world.pause(member.process, "SIGSTOP")
        elif kind == "cut" and member and world.fenced:
            seconds = rng.choice((1.0, 12.0, 30.0))
            world.note(member.process, f"is cut off for {seconds} s")
            world.cut.add(member.process.name)
            world.group.silent(member.process, seconds)
            world.later(seconds, world.cut.discard, member.process.name)
        elif kind == "restart" and member:
            member.leaving = True
            world.group.leave(member)
        elif kind == "rebalance":
            world.group.rebalance()
        elif kind == "broker" and not broker.down:
            seconds = rng.choice((0.2, 3.0, 15.0))
            world.note("broker", f"is killed, back in {seconds} s")
            broker.down = True
            broker.incarnation += 1

            def back() -> None:
                broker.down = False

            world.later(seconds, back)
        elif kind == "compact":
            for (topic, _), log in broker.logs.items():
                if topic in (world.settings.topic_rows, world.settings.topic_risk_changes):
                    log.compact(rng.randint(0, log.end))
        elif kind == "model" and self._models < MODELS_MAX:
            self._models += 1
            self._publish(world.settings.topic_models, f"model/{self._models}".encode())
        elif kind == "policy":
            # The operator's new file: processes started from now on publish it and want it in force.
            world.policy = rng.choice(POLICIES)
            world.note("outside", "configures policy", world.policy)
        elif kind == "world":
            figure = Indicator(
                event_id=f"w-{broker.log(world.settings.topic_world, 0).end}",
                event_time_ms=broker.at_ms(), schema_version=1, scope="macro", scope_id="FR", name="rate", value=0.5,
            )  # fmt: skip
            self._publish(world.settings.topic_world, encode(figure))

    def _publish(self, topic: str, value: bytes) -> None:
        self.world.note("outside", "publishes", value[:40])
        broker = self.world.broker
        broker.log(topic, 0).append([(None, value, ())], broker.at_ms(), None)
