"""Every kernel that runs would use on NVIDIA's sm_80 and sm_90, compiled without a GPU: report.py DREAMFUSE [NAME=PRIOR ...].
DREAMFUSE is a binary with the feature cuda-cpp, a PRIOR a folder in the diffusers layout (benches/peers/full_size.py makes some).
NVRTC writes PTX for a driver that answers as such a device (driver.c), and ptxas assembles it and says what it takes.

  pip install nvidia-cuda-nvrtc==13.5.37 nvidia-cuda-runtime==13.5.* nvidia-cuda-nvcc==13.5.* nvidia-cuda-crt==13.5.37
"""

import concurrent.futures
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SMS = {80: "sm_80", 90: "sm_90a"}


def toolkit():
    [place] = importlib.util.find_spec("nvidia").submodule_search_locations
    return Path(place) / "cu13"


def environment(work, sm, ptx):
    cuda = toolkit()
    return os.environ | {
        "DREAMFUSE_SM": str(sm), "DREAMFUSE_PTX": str(ptx), "CUDA_PATH": str(cuda),
        "LD_LIBRARY_PATH": f"{work}:{cuda / 'lib'}", "HOME": str(work), "XDG_CACHE_HOME": str(work / "cache"),
    }


def run(command, env):
    """What the driver counted: modules, launches, MiB, bytes of dynamic shared memory."""
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    counted = re.search(r"(\d+) modules, (\d+) launches, (\d+) MiB of memory and (\d+) bytes", done.stderr)
    # The self-test finds that nothing was computed, and a run that its scene is empty, as they have to.
    if not counted or done.returncode not in (69, 70) or "panicked" in done.stderr:
        sys.exit(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return [int(number) for number in counted.groups()]


def assemble(ptx, target):
    """Registers, spilled bytes and bytes of shared memory."""
    ptxas = str(toolkit() / "bin/ptxas")
    done = subprocess.run([ptxas, "-v", f"--gpu-name={target}", "-o", "/dev/null", str(ptx)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{ptx}: {done.stderr}")

    def number(pattern):
        return sum(int(found) for found in re.findall(pattern, done.stderr))

    return number(r"Used (\d+) registers"), number(r"(\d+) bytes spill stores"), number(r"(\d+) bytes smem")


def kernels(folder):
    """Files without those of the same text, by kernel."""
    known = {}
    for path in sorted(folder.glob("*.ptx")):
        known.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), path)
    return list(known.values())


def main():
    dreamfuse, priors = str(Path(sys.argv[1]).resolve()), dict(pair.split("=", 1) for pair in sys.argv[2:])
    work = Path(tempfile.mkdtemp())
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", work / "libcuda.so.1", HERE / "driver.c"], check=True)
    jobs = {"self-test, built-in prior": ["doctor", "--selftest", "--device", "cuda"]}
    for name, prior in priors.items():
        jobs[f"{name}, f16"] = ["a red apple", "--prior", prior, "--device", "cuda", "--precision", "f16", "--steps", "1", "--views", "1"]
    print("| run | target | kernels | launches | device memory, MiB | most registers | with spills | most bytes spilled | most shared memory, bytes |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, arguments in jobs.items():
        for sm, target in SMS.items():
            ptx = work / f"{name}-{sm}"
            ptx.mkdir()
            out = [] if arguments[0] == "doctor" else ["--out", str(work / f"run-{name}-{sm}")]
            _, launches, memory, dynamic = run([dreamfuse, *arguments, *out], environment(work, sm, ptx))
            files = kernels(ptx)
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                taken = list(pool.map(lambda path: assemble(path, target), files))
            registers, spills, shared = zip(*taken)
            print(f"| {name} | {target} | {len(files)} | {launches:,} | {memory:,} | {max(registers)} | "
                  f"{sum(spill > 0 for spill in spills)} | {max(spills)} | {max(*shared, dynamic):,} |", flush=True)


main()
