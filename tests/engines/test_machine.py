"""What is read of the machine: its processor, caches, and the CPUs' time that control groups leave."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from foveate.engines import machine


def write(root: Path, **files: str) -> Path:
    """A system whose files are these, `__` for each slash and `_dot_` for each dot."""
    for name, text in files.items():
        path = root / name.replace("_dot_", ".").replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_this_machine_has_a_name_and_cores():
    assert machine.cpu_name()
    assert 1 <= machine.physical_cores() <= len(machine.usable_cpus()) <= (os.cpu_count() or 1)


def test_threads_that_share_a_core_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blocks = [
        f"processor\t: {number}\nmodel name\t: Fast One\nphysical id\t: 0\ncore id\t: {number // 2}\n"
        for number in range(8)
    ]
    root = write(tmp_path, proc__cpuinfo="\n".join(blocks))
    monkeypatch.setattr(machine, "usable_cpus", lambda: {0, 1, 2})
    assert machine.cpu_name(root) == "Fast One"
    assert machine.physical_cores(root) == 2


def test_where_the_system_tells_nothing(tmp_path: Path):
    assert machine.cpu_name(tmp_path)
    assert machine.physical_cores(tmp_path) == len(machine.usable_cpus())
    assert machine.data_caches(tmp_path) == {}
    assert machine.cpu_quota(tmp_path) is None


def test_caches_without_that_of_instructions(tmp_path: Path):
    caches = [("1", "Data", "32K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K"), ("3", "Unified", "32768K")]
    for number, (level, kind, size) in enumerate(caches):
        folder = tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{number}"
        folder.mkdir(parents=True)
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    assert machine.data_caches(tmp_path) == {"L1": "32K", "L2": "1024K", "L3": "32768K"}


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        pytest.param(
            {"proc__self__cgroup": "0::/\n", "sys__fs__cgroup__cpu_dot_max": "150000 100000\n"}, 1.5, id="v2, container"
        ),
        pytest.param(
            {"proc__self__cgroup": "0::/\n", "sys__fs__cgroup__cpu_dot_max": "max 100000\n"}, None, id="v2, no limit"
        ),
        pytest.param(
            {
                "proc__self__cgroup": "0::/outer/inner\n",
                "sys__fs__cgroup__outer__inner__cpu_dot_max": "max 100000\n",
                "sys__fs__cgroup__outer__cpu_dot_max": "50000 100000\n",
                "sys__fs__cgroup__cpu_dot_max": "400000 100000\n",
            },
            0.5,
            id="v2, the smallest around it",
        ),
        pytest.param(
            {"proc__self__cgroup": "0::/../host\n", "sys__fs__cgroup__cpu_dot_max": "200000 100000\n"},
            2.0,
            id="v2, a path from outside",
        ),
        pytest.param(
            {
                "proc__self__cgroup": "5:memory:/x\n4:cpu,cpuacct:/docker/1f\n0::/\n",
                "sys__fs__cgroup__cpu,cpuacct__cpu_dot_cfs_quota_us": "300000\n",
                "sys__fs__cgroup__cpu,cpuacct__cpu_dot_cfs_period_us": "100000\n",
            },
            3.0,
            id="v1, container",
        ),
        pytest.param(
            {
                "proc__self__cgroup": "1:cpu:/\n",
                "sys__fs__cgroup__cpu__cpu_dot_cfs_quota_us": "-1\n",
                "sys__fs__cgroup__cpu__cpu_dot_cfs_period_us": "100000\n",
            },
            None,
            id="v1, no limit",
        ),
        pytest.param(
            {"proc__self__cgroup": "nonsense\n0::/\n", "sys__fs__cgroup__cpu_dot_max": "a few\n"}, None, id="damaged"
        ),
    ],
)
def test_the_time_that_control_groups_leave(tmp_path: Path, files: dict[str, str], quota: float | None):
    assert machine.cpu_quota(write(tmp_path, **files)) == quota


@pytest.mark.parametrize(
    ("limit", "threads"), [("max", 8), ("50000", 1), ("150000", 1), ("300000", 3), ("1600000", 8)], ids=str
)
def test_no_more_threads_than_the_quota_lets_run(tmp_path: Path, limit: str, threads: int):
    root = write(tmp_path, proc__self__cgroup="0::/\n", sys__fs__cgroup__cpu_dot_max=f"{limit} 100000\n")
    assert machine.threads_within_quota(8, root) == threads


QUOTA = """
from foveate.engines import machine
machine.cpu_quota = lambda root=None: 1.5
from foveate.engines.native import _native
print(_native.threads())
"""


@pytest.mark.parametrize(("asked", "threads"), [(None, "1"), ("3", "3")], ids=["of itself", "as it is told"])
def test_the_native_engine_begins_with_as_many_threads(asked: str | None, threads: str):
    settings = {name: text for name, text in os.environ.items() if name != "OMP_NUM_THREADS"}
    settings |= {} if asked is None else {"OMP_NUM_THREADS": asked}
    command = [sys.executable, "-c", QUOTA]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=settings)
    assert done.stdout.strip() == threads


WAITING = """
import os
from foveate.engines.native import WAITING
import foveate.engines.native._native
print(int(WAITING["GOMP_SPINCOUNT"]) <= 1000, os.environ.get("GOMP_SPINCOUNT"))
"""


def test_threads_that_wait_sleep_soon_and_the_environment_stays_as_it_was():
    """A longer spin stands in the way of whatever else runs: two trainings side by side took four times as long."""
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    settings = {name: text for name, text in os.environ.items() if name not in names}
    command = [sys.executable, "-c", WAITING]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=settings)
    assert done.stdout.split() == ["True", "None"]
