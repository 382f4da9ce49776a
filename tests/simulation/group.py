"""The consumer group: who owns what under which generation, and how late its members learn of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.member import Member
    from tests.simulation.world import World


class Group:
    """The broker's side of it. Unlike the real one it does not wait for members that are slow to let go."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.generation = 0
        self.members: list[Member] = []

    def join(self, member: Member) -> None:
        """A new member."""
        if member not in self.members:
            self.members.append(member)
            self.rebalance()
        if member.process.dead:
            # It was its last word.
            self.lost(member, at_once=False)

    def leave(self, member: Member) -> None:
        """A member says goodbye and lets go of everything."""
        if member in self.members:
            self.members.remove(member)
            self.rebalance()
        self._tell_later(member, ())

    def lost(self, member: Member, at_once: bool) -> None:
        """A member died: noticed when its session times out."""

        def expire() -> None:
            if member in self.members:
                self.members.remove(member)
                self.rebalance()

        if at_once:
            expire()
        else:
            self.world.later(self.world.rng.choice((0.1, self.world.settings.session_timeout_s)), expire)

    def silent(self, process: Process, seconds: float) -> None:
        """No heartbeat of a process for so long; afterwards it learns, at some time, that it was put out."""
        world, timeout_s = self.world, self.world.settings.session_timeout_s
        if seconds <= timeout_s:
            return
        member = next((member for member in self.members if member.process is process), None)
        if member is None:
            return

        def expire() -> None:
            if member in self.members:
                world.note("group", "puts out", process.name)
                self.members.remove(member)
                self.rebalance()

        def again() -> None:
            if not process.dead and not member.leaving:
                self.join(member)

        world.later(timeout_s, expire)
        world.later(seconds + world.rng.choice((0.0, 0.1, 3.0, 15.0)), again)

    def is_current(self, member: Member, generation: int) -> bool:
        """Whether a member speaks for the present generation."""
        return member in self.members and generation == self.generation

    def rebalance(self) -> None:
        """Deal the partitions anew."""
        self.generation += 1
        rng = self.world.rng
        partitions = list(range(self.world.partitions))
        rng.shuffle(partitions)
        self.world.broker.count("rebalances")
        self.world.note("group", "generation", self.generation, [member.process.name for member in self.members])
        for place, member in enumerate(self.members):
            self._tell_later(member, tuple(partitions[place :: len(self.members)]))

    def _tell_later(self, member: Member, assigned: tuple[int, ...]) -> None:
        world = self.world
        # Learning late makes a zombie: it goes on with what it had.
        delay_s = world.rng.choice((0.01, 0.05, 0.5, 8.0)) if world.fenced else 0.01
        world.later(delay_s, self._tell, member, self.generation, assigned)

    def _tell(self, member: Member, generation: int, assigned: tuple[int, ...]) -> None:
        member.notice(generation, assigned)
