"""A real HyperQueue: hq.py DREAMFUSE [ITEMS]. Its cluster is killed in the middle, with its worker, and begun again:
every item is finished, once. The package of PyPI holds server and worker in one process, so both are killed."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hyperqueue import Job
from hyperqueue.cluster import LocalCluster, WorkerConfig

HERE = Path(__file__).resolve().parent
SAVED = 75


def cluster(dreamfuse, runs, items, folder):
    """Submits the items whose results are not there, and waits for them; exits with the number that failed."""
    keys = [json.loads(line)["key"] for line in (runs / "plan.jsonl").read_text().splitlines()]
    with LocalCluster(str(folder), WorkerConfig(cores=2)) as local:
        job = Job(max_fails=None)
        for index in range(items):
            # A task of the job a task of the plan: HyperQueue's own number says which.
            job.program([dreamfuse, "batch", "run", str(runs), "--threads", "1"], stdout=None, stderr=None)
        client = local.client()
        client.wait_for_jobs([client.submit(job)], raise_on_error=False)
    sys.exit(sum(not (runs / key / "result.json").exists() for key in keys))


def start(*arguments):
    process = multiprocessing.get_context("spawn").Process(target=cluster, args=arguments)
    process.start()
    return process


def main():
    dreamfuse, items = os.path.abspath(sys.argv[1]), int((sys.argv[2:] or ["40"])[0])
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        rows = ["prompt,seed,steps"] + [f"a red car,{seed},40" for seed in range(items)]
        (work / "prompts.csv").write_text("\n".join(rows) + "\n")
        runs = work / "runs"
        plan = [dreamfuse, "batch", "plan", work / "prompts.csv", "--out", runs, "--config", HERE / "small.toml"]
        subprocess.run(plan, check=True, capture_output=True)
        begun = time.time()
        first = start(dreamfuse, runs, items, work / "first")
        while len(list(runs.glob("*/result.json"))) < items // 3:
            time.sleep(0.1)
            assert first.is_alive(), "the cluster ended early"
        os.kill(first.pid, signal.SIGKILL)
        first.join()
        before = len(list(runs.glob("*/result.json")))
        left = None
        for attempt in range(5):
            again = start(dreamfuse, runs, items, work / f"again{attempt}")
            again.join()
            left = again.exitcode
            if left == 0:
                break
        ended = [json.loads(line) for path in runs.glob("*/attempts.jsonl") for line in path.read_text().splitlines()]
        done = sum(line["event"] == "ended" and line["code"] == 0 for line in ended)
        assert before < items and left == 0, (before, left)
        assert done == items, f"{done} attempts finished {items} items"
        seconds = time.time() - begun
        print(f"HyperQueue: killed with {before} of {items} done; all finished, once each, {seconds:.0f} s")


if __name__ == "__main__":
    main()
