"""What a batch costs beside its items: overhead.py DREAMFUSE [ITEMS]. Nothing else may run. ITEMS items of two steps by two jobs;
weights that are read; two tasks on two cores beside one, and two compute loops beside one."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DREAMFUSE = str(Path(sys.argv[1]).resolve())
COUNT = int((sys.argv[2:] or ["400"])[0])
WORK = Path(tempfile.mkdtemp())
LOOP = "total = 0\nfor i in range(60_000_000): total += i * i"


def plan(name, count, steps):
    runs = WORK / name
    prompts = WORK / f"{name}.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": "a red car", "seed": seed, "steps": steps}) + "\n" for seed in range(count)))
    command = [DREAMFUSE, "batch", "plan", prompts, "--out", runs, "--config", HERE / "small.toml"]
    subprocess.run(command, check=True, capture_output=True)
    return runs


def many():
    """Wall time of the supervisor against the processor time of its children: they have a thread each."""
    runs = plan("many", COUNT, 2)
    start = time.monotonic()
    child = subprocess.Popen([DREAMFUSE, "batch", "run", runs, "--all", "--jobs", "2"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    wall, busy = time.monotonic() - start, (used.ru_utime + used.ru_stime) / 2
    done = len(list(runs.glob("*/result.json")))
    assert status == 0 and done == COUNT, (status, done)
    print(f"{COUNT} items of 2 steps: {wall:.1f} s by two jobs, their processor time {busy:.1f} s each: {wall / busy - 1:.1%} more", flush=True)


def weights():
    """The line that says which prior was loaded, in the logs of tasks of four items."""
    runs = plan("weights", 12, 2)
    said = ""
    for index in range(3):
        command = [DREAMFUSE, "batch", "run", runs, "--index", str(index), "--items-per-task", "4"]
        said += subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert len(list(runs.glob("*/result.json"))) == 12
    print(f"12 items in 3 tasks: the prior was loaded {said.count('prior: ')} times", flush=True)


def seconds(commands):
    start = time.monotonic()
    children = [subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for core, command in enumerate(commands)]
    assert all(child.wait() == 0 for child in children)
    return time.monotonic() - start


def pinned():
    ratios = {"task": [], "loop": []}
    for turn in range(3):
        runs = plan(f"pinned{turn}", 3, 200)
        tasks = [[DREAMFUSE, "--threads", "1", "batch", "run", str(runs), "--index", str(index)] for index in range(3)]
        ratios["task"].append(seconds(tasks[:1]) / seconds(tasks[1:]))
        loop = [sys.executable, "-c", LOOP]
        ratios["loop"].append(seconds([loop]) / seconds([loop, loop]))
    best = {name: max(values) for name, values in ratios.items()}
    print(f"one beside two, pinned: tasks {best['task']:.3f}, compute loops {best['loop']:.3f}: {best['task'] / best['loop']:.3f} of it")


many()
weights()
pinned()
