#!/usr/bin/env python3
"""Races dreamfuse against PyTorch, taking turns on one machine, and prints medians and their ratio.

  pip install torch diffusers
  cargo bench --workspace --bench measure --no-run      # prints the path of the executable
  benches/peers/compare.py EXECUTABLE [WORK ...] [--rounds 5] [--threads 2]

Nothing else may run meanwhile.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

import torch
from prior import Evaluation, Patches, Training, large, small
from raster import Raster
from render import RenderStep
from step import Step

# The work, how our program is asked for it, the peer's, and how many times each runs in a round.
WORK = {
    "render": (["render"], lambda ours: RenderStep(), 5),
    "render, 0.3 kept": (["render", "0.3"], lambda ours: RenderStep(0.3), 5),
    "render, 0.1 kept": (["render", "0.1"], lambda ours: RenderStep(0.1), 9),
    "render, 0.03 kept": (["render", "0.03"], lambda ours: RenderStep(0.03), 9),
    "mesh": (["raster"], lambda ours: Raster(), 9),
    "evaluation, 64 x 64": (["evaluation"], lambda ours: Evaluation(large()), 15),
    "evaluation, embedded": (["evaluation-embedded"], lambda ours: Evaluation(small()), 15),
    "training, 64 x 64": (["training"], lambda ours: Training(large()), 3),
    "training, embedded": (["training-embedded"], lambda ours: Training(small()), 3),
    "evaluation, 64 x 64, bf16": (["evaluation-bf16"], lambda ours: Evaluation(large(), bf16=True), 15),
    "evaluation, patches": (["evaluation-uvit"], lambda ours: Evaluation(Patches()), 15),
    "evaluation, patches, bf16": (["evaluation-uvit-bf16"], lambda ours: Evaluation(Patches(), bf16=True), 15),
    "training, 64 x 64, bf16": (["training-bf16"], lambda ours: Training(large(), bf16=True), 3),
    "training, patches": (["training-uvit"], lambda ours: Training(Patches(), batch=8), 9),
    "training, patches, bf16": (["training-uvit-bf16"], lambda ours: Training(Patches(), batch=8, bf16=True), 9),
    "step of the default run": (["step"], lambda ours: Step(ours["items"]), 9),
    "the same without skipping": (["step-full"], lambda ours: Step(ours["items"]), 5),
}


def measure_ours(executable, threads, call, runs):
    command = [executable, call[0], str(runs), *call[1:]]
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads)}
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def measure_peer(work, runs):
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        items = work()
        times.append(1e3 * (time.perf_counter() - start))
    return {"milliseconds": statistics.median(times), "items": items}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("executable")
    parser.add_argument("work", nargs="*", help=", ".join(WORK))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"PyTorch {torch.__version__}, {options.threads} threads, {options.rounds} rounds\n")
    print("| work | ours (ms) | items | PyTorch (ms) | items | ours, times as fast an item |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in options.work or WORK:
        call, make, runs = WORK[name]
        ours, peer, ratios, work = [], [], [], None
        for _ in range(options.rounds):
            ours.append(measure_ours(options.executable, options.threads, call, runs))
            work = work or make(ours[0])
            peer.append(measure_peer(work, runs))
            per_item = [row[-1]["milliseconds"] / row[-1]["items"] for row in (ours, peer)]
            ratios.append(per_item[1] / per_item[0])
        median = lambda rows: statistics.median(row["milliseconds"] for row in rows)
        print(
            f"| {name} | {median(ours):.1f} | {ours[0]['items']} | {median(peer):.1f} | {peer[0]['items']} "
            f"| {statistics.median(ratios):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
