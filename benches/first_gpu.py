#!/usr/bin/env python3
"""What a GPU does with dreamfuse, in ten minutes: the self-test, steps a second beside the CPU's and PyTorch's, Stable Diffusion 1.5's
shape beside diffusers, training images a second, and rendering. Results are JSON.

  cargo build --release --features cuda
  cargo bench --workspace --bench measure --no-run      # prints the path of MEASURE
  pip install torch diffusers transformers              # for the peers
  benches/first_gpu.py DREAMFUSE MEASURE --device cuda [--model SD15_FOLDER] [--out results.json] [--minutes 10]

What is not there (MEASURE may be `-`) is left out. Without --model, `peers/full_size.py` makes the folder. The file is written after
every entry. An entry gets its share of the time that is left; if it fails it says why, and the exit code is 1. For times nothing else
may run meanwhile.
"""

import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib import import_module, metadata, util
from pathlib import Path

HERE = Path(__file__).resolve().parent
STOPPING = 10  # seconds that a program gets to end after it was asked to
PEERS = ("torch", "diffusers", "transformers")
SELDOM = ["preview_every=1000000", "checkpoint_every=1000000"]
# The scene of `measure render`, all of it marched: four views of 32 x 32 pixels are its 4,096 rays.
RENDER = """scene.levels=16 scene.base=16 scene.finest=1024 scene.log2_table=17 scene.hidden=64 scene.step=0.03125
    scene.exploration=1.0 occupancy_every=10000 albedo_only=1.0 losses.orientation=0.0""".split()


def said(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=HERE).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def nvidia(device, keys):
    """What nvidia-smi says of a device such as `cuda:1`."""
    return said("nvidia-smi", "-i", device.partition(":")[2] or "0", f"--query-gpu={keys}", "--format=csv,noheader,nounits")


def machine(options):
    keys, cpu = "name,driver_version,compute_cap,memory.total,memory.used", re.search(r"model name\s*: (.*)", said("cat", "/proc/cpuinfo"))
    return {
        "gpu": {keys: nvidia(options.device, keys)}, "cpu": cpu and cpu[1], "cores": os.cpu_count(), "load": os.getloadavg(),
        "system": platform.platform(), "dreamfuse": said(options.dreamfuse, "--version"), "commit": said("git", "rev-parse", "HEAD"),
        "python": platform.python_version(), **{name: metadata.version(name) if util.find_spec(name) else None for name in PEERS},
    }


def watch(options, command, limit, is_enough=None, codes=(0,)):
    """What a program says, and the most memory that the GPU has in use meanwhile. With `is_enough` it may be stopped, else it has to end."""
    begun, looked, stopped, most = time.monotonic(), 0, None, 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err)
        try:
            while process.poll() is None:
                now = time.monotonic()
                if now > looked + 1:
                    used = nvidia(options.device, "memory.used")
                    looked, most = now, max(most, int(used) if used.isdigit() else 0)
                if not stopped and (now > begun + limit or (is_enough and is_enough())):
                    stopped = now
                    process.send_signal(signal.SIGINT)
                if stopped and now > stopped + STOPPING:
                    process.kill()
                time.sleep(0.05)
        finally:
            process.kill()
        code, (text, complaint) = process.wait(), [file.seek(0) or file.read() for file in (out, err)]
    lines = [line for line in complaint.splitlines() if line.strip(" ^~")][-8:]
    if not stopped and code not in codes or stopped and not is_enough:
        raise RuntimeError(f"not done within {limit:.0f} s" if stopped else f"it ended with {code}", *lines)
    return {"out": text, "lines": lines, "gpu_mib": most or None}


def selftest(options, limit, _):
    """With code 69 it says what is wrong, if it could test."""
    ended = watch(options, [options.dreamfuse, "doctor", "--selftest", "--device", options.device, "--json"], limit, codes=(0, 69))
    found = json.loads(ended["out"] or "{}")
    if not found.get("passes"):
        raise RuntimeError("it does not pass", *ended["lines"], found)
    return found | {"gpu_mib": ended["gpu_mib"]}


def run(options, limit, _, arguments, settings=(), device=None, until=10**9):
    """The pace of a run that may be stopped once so many steps are done."""
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        log = Path(work) / "run/events.jsonl"
        events = lambda: [json.loads(line) for line in log.read_text().split("\n")[:-1]] if log.exists() else []
        is_enough = lambda: any(event.get("step", 0) >= until for event in events())
        settings = [word for pair in settings for word in ("--set", pair)]
        command = [options.dreamfuse, "--device", device or options.device, "--out", log.parent, "--quiet", *arguments, *settings]
        ended, logged = watch(options, command, limit, is_enough), events()
    of = lambda kind: [event for event in logged if event["event"] == kind]
    steps, stops = of("step"), [event for event in of("interrupted") if event["step"]]
    if not steps and not stops:
        raise RuntimeError(f"no step was done within {limit:.0f} s", *ended["lines"])
    first = (steps or stops)[0]
    warm_up = first["time"] - of("started")[0]["time"]
    gone = [(b["time"] - a["time"]) / (b["step"] - a["step"]) for a, b in zip(steps, steps[1:]) if b["step"] > a["step"]]
    return {
        "seconds_a_step": statistics.median(gone or [warm_up / first["step"]]), "has_warm_up": not gone, "has_part_of_a_step": not steps,
        "warm_up": {"steps": first["step"], "seconds": warm_up}, "steps": (stops or steps)[-1]["step"], "gpu_mib": ended["gpu_mib"],
        "samples_a_step": statistics.mean(event["samples"] for event in steps[1:] or steps) if steps else None,
        "health": of("health"), "whole_run_seconds": [event["seconds"] for event in of("finished")],
    }


def sd15(options, limit, parts, precision):
    """Makes the folder too, if none is given. Our VAE computes in f32 everywhere."""
    if not (options.model or all(map(util.find_spec, PEERS))):
        raise ImportError(f"no --model, and not all of {', '.join(PEERS)} to make one")
    if not options.model:
        watch(options, [sys.executable, HERE / "peers/full_size.py", "make", "sd15", f"{options.work}/sd15"], limit / 2)
        options.model, limit = f"{options.work}/sd15", limit / 2
    arguments = ["a squirrel", "--prior", options.model, "--views", 1, "--steps", 1000, "--precision", precision]
    return run(options, limit, parts, arguments, SELDOM, until=30)


def training(options, limit, _, batch):
    """`loss.csv` gets a line every 20 steps: how long those after the first took."""
    seen, begun = [], time.time()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        config, table = Path(work) / "config.toml", Path(work) / "out/loss.csv"
        text = (HERE.parent / "crates/dreamfuse-train/configs/uvit-32.toml").read_text()
        config.write_text(re.sub(r"(?m)^batch = \d+", f"batch = {batch}", text))
        def is_enough():
            if table.exists() and table.read_text().count("\n") > len(seen) + 1:
                seen.append(table.stat().st_mtime)
            return len(seen) >= 6
        command = [options.dreamfuse, "prior", "train", "--device", options.device, "--precision", "bf16", "--config", config, "--steps", 100_000]
        ended = watch(options, [*command, "--out", table.parent, "--save-every", 100_000, "--sheet-every", 100_000], limit, is_enough)
    if not seen:
        raise RuntimeError(f"no 20 steps were done within {limit:.0f} s", *ended["lines"])
    marks = seen if len(seen) > 1 else [begun, *seen]
    return {"images_a_second": 20 * batch * (len(marks) - 1) / (marks[-1] - marks[0]), "has_warm_up": len(seen) == 1,
            "steps": 20 * len(seen), "seconds_to_first_20": seen[0] - begun, "gpu_mib": ended["gpu_mib"]}


def peer(options, limit, parts, name, arguments):
    """PyTorch's side, in a process of its own: this script again."""
    device = options.device if options.device.startswith("cuda") else "cpu"
    command = [sys.executable, __file__, "peer", name, device, 0.6 * limit, json.dumps(arguments(options, parts))]
    ended = watch(options, command, limit)
    found = json.loads(ended["out"].splitlines()[-1])
    if "missing" in found:
        raise ImportError(found["missing"])
    return {"device": device} | found | {"gpu_mib": ended["gpu_mib"]}


def sd15_step(folder, vae):
    """The prior's part of a step: a view encoded, a guided evaluation, and the gradient back to the view."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    device, dtype = torch.get_default_device(), torch.float32 if torch.get_default_device().type == "cpu" else torch.float16
    torch.set_default_device(None)
    load = lambda kind, part, dtype: kind.from_pretrained(folder, subfolder=part, torch_dtype=dtype).requires_grad_(False).to(device)
    unet, vae = load(UNet2DConditionModel, "unet", dtype), load(AutoencoderKL, "vae", getattr(torch, vae))
    told = torch.tensor([500, 500], device=device), torch.randn(2, 77, 768, device=device, dtype=dtype)

    def step():
        view = torch.rand(1, 3, 64, 64, device=device, requires_grad=True)
        image = torch.nn.functional.interpolate(view, size=512, mode="bilinear") * 2 - 1
        latent = vae.encode(image.to(vae.dtype)).latent_dist.mean * vae.config.scaling_factor
        noise = torch.randn_like(latent)
        with torch.no_grad():
            shown, unshown = unet((0.7 * latent + 0.7 * noise).to(dtype).repeat(2, 1, 1, 1), *told).sample.chunk(2)
        latent.backward(((unshown + 7.5 * (shown - unshown)).to(latent.dtype) - noise) / noise.numel())
    return step


def be_peer(name, device, seconds, arguments):
    """Prints the median of all times but the first three, or of the last. A default device slows PyTorch by some microseconds a call."""
    until, times, (module, kind), arguments = time.monotonic() + float(seconds), [], name.split("."), json.loads(arguments)
    sys.path.insert(0, f"{HERE}/peers")
    try:
        import torch
        torch.set_default_device(None if device == "cpu" else device)
        work = getattr(import_module(module), kind)(**arguments)
    except ImportError as error:
        return print(json.dumps({"missing": str(error)}))
    while not times or (len(times) < 23 and time.monotonic() < until):
        begun = time.monotonic()
        work(), device == "cpu" or torch.cuda.synchronize()
        times.append(time.monotonic() - begun)
    print(json.dumps({"seconds_a_step": statistics.median(times[min(3, len(times) - 1):]), "rounds": len(times)}))


def plan(device):
    """Part, entry, share of the time, and what is called."""
    mushroom, is_cpu = ["a red mushroom", "--steps"], device == "cpu"
    samples = lambda _, parts: {"samples": int(parts["default run"]["ours"].get("samples_a_step") or 20_000)}
    yield "self-test", "ours", 8, selftest
    yield "default run", "ours", 6, partial(run, arguments=[*mushroom, 100])
    yield "default run", "ours, cpu", 2, partial(run, arguments=[*mushroom, 100], device="cpu")
    yield "default run", "PyTorch", 2, partial(peer, name="step.Step", arguments=samples)
    yield "sd15", "ours", 14, partial(sd15, precision="f32" if is_cpu else "f16")
    for vae in ["float32"] if is_cpu else ["float32", "float16"]:
        named = lambda options, _, vae=vae: {"folder": options.model, "vae": vae}
        yield "sd15", f"diffusers, VAE in {vae}", 3, partial(peer, name="first_gpu.sd15_step", arguments=named)
    for batch in [8] if is_cpu else [256, 8]:
        yield "training", f"ours, batches of {batch}", 3, partial(training, batch=batch)
    yield "render", "measure, cpu", 1, lambda options, limit, _: json.loads(watch(options, [options.measure, "render", 5], limit)["out"])
    for rays, size in [(256, 8), (4096, 32)]:
        settings = [f"render_size={size}", *RENDER, *SELDOM]
        yield "render", f"step of ours, {rays} rays", 3, partial(run, arguments=[*mushroom, 10_000], settings=settings, until=40)
        yield "render", f"PyTorch, {rays} rays", 2, partial(peer, name="render.RenderStep", arguments=lambda *_, rays=rays: {"rays": rays})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dreamfuse", type=lambda path: str(Path(path).resolve(strict=True)))
    parser.add_argument("measure", type=os.path.abspath)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", help="Stable Diffusion 1.5 as a folder")
    parser.add_argument("--out", type=Path, default="results.json")
    parser.add_argument("--minutes", type=float, default=10)
    options, parts = parser.parse_args(), {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    end, entries = time.monotonic() + 60 * options.minutes - STOPPING, list(plan(options.device))
    results = {"device": options.device, "minutes": options.minutes, "machine": machine(options), "parts": parts}
    with tempfile.TemporaryDirectory() as options.work:
        for i, (part, name, share, work) in enumerate(entries):
            begun = time.monotonic()
            limit = max(0, end - begun) * share / sum(entry[2] for entry in entries[i:])
            try:
                found = work(options, limit, parts)
            except (ImportError, FileNotFoundError) as reason:
                found = {"missing": str(reason)}
            except Exception as error:
                found = {"failed": [type(error).__name__, *error.args]}
            parts.setdefault(part, {})[name] = found | {"took_seconds": round(time.monotonic() - begun, 1)}
            options.out.write_text(json.dumps(results, indent=1, default=str) + "\n")
            print(f"{part}, {name}: {json.dumps(found, default=str)[:150]}", flush=True)
    raise SystemExit(any("failed" in found for part in parts.values() for found in part.values()))


if __name__ == "__main__":
    be_peer(*sys.argv[2:]) if sys.argv[1:2] == ["peer"] else main()
