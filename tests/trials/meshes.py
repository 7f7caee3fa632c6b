"""Meshes of eighteen prompts, looked at by others' tools: meshes.py DREAMFUSE OUT [STEPS]. ToyBench's daily six and the first
twelve of prompts/toybench.txt that are not among them. Needs trimesh and 3dqa of PyPI, and prusa-slicer where it is installed."""

import json
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import trimesh

SAID = re.compile(r"(?P<triangles>\d+) triangles, (?P<charts>\d+) charts \((?P<unwrap>[a-z ]+)\).*silhouettes (?P<iou>[\d.]+), "
                  r"albedo (?P<psnr>[\d.]+) dB")
ROOT = Path(__file__).resolve().parent.parent.parent


def prompts():
    def listed(name):
        lines = (ROOT / "prompts" / name).read_text().splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    daily = listed("toybench-6.txt")
    return daily + [line for line in listed("toybench.txt") if line not in daily][:12]


def slices(folder):
    """PrusaSlicer makes G-code of the STL, finds it manifold and repairs nothing."""
    solid, code = str(folder / "mesh.stl"), folder / "mesh.gcode"
    told = subprocess.run(["prusa-slicer", "--info", solid], capture_output=True, text=True)
    done = subprocess.run(["prusa-slicer", "--export-gcode", "--output", str(code), solid], capture_output=True, text=True)
    words = told.stdout + told.stderr + done.stdout + done.stderr
    whole = "manifold = yes" in words and "repair" not in words
    made = done.returncode == 0 and code.exists()
    code.unlink(missing_ok=True)
    return made and whole


def main():
    dreamfuse, out = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve()
    steps = (sys.argv[3:] or ["500"])[0]
    out.mkdir(parents=True, exist_ok=True)
    (out / "prompts.txt").write_text("\n".join(prompts()) + "\n")
    runs = out / "runs"

    def run(*arguments):
        return subprocess.run([dreamfuse, *map(str, arguments)], capture_output=True, text=True)

    assert run("batch", "plan", out / "prompts.txt", "--out", runs, "--steps", steps).returncode == 0
    assert run("batch", "run", runs, "--all", "--jobs", "2").returncode == 0
    rows = []
    for line in (runs / "plan.jsonl").read_text().splitlines():
        item = json.loads(line)
        folder = runs / item["key"]
        exported = run("export", folder, "--format", "glb,ply,obj,stl")
        assert exported.returncode == 0, exported.stderr
        found = SAID.search(exported.stdout + exported.stderr)
        assert found, exported.stdout + exported.stderr
        checks = {}
        for kind in ("glb", "ply", "obj", "stl"):
            checked = run("check-mesh", "--json", folder / f"mesh.{kind}")
            checks[kind] = json.loads(checked.stdout)
            assert checked.returncode == 0, (item["config"]["prompt"], kind, checks[kind]["problems"])
        solid = trimesh.load(folder / "mesh.stl")
        lint = subprocess.run(["3dqa", "lint", str(folder / "mesh.glb")], capture_output=True, text=True)
        verdict = json.loads(lint.stdout)["verdict"]
        sliced = slices(folder) if shutil.which("prusa-slicer") else None
        uvs = checks["glb"]["uvs"]
        rows.append({
            "prompt": item["config"]["prompt"], "triangles": int(found["triangles"]), "iou": float(found["iou"]),
            "psnr": float(found["psnr"]), "charts": int(found["charts"]), "unwrap": found["unwrap"],
            "coverage": uvs["coverage"], "stretch": uvs["stretch"], "overlap": uvs["overlapping_texels"],
            "crossing": checks["glb"]["self_intersections"], "watertight": bool(solid.is_watertight and solid.is_volume),
            "lint": verdict == "PASS", "sliced": sliced,
        })
        print(json.dumps(rows[-1]), flush=True)
    print("| prompt | triangles | IoU | albedo PSNR | charts | coverage | stretch | trimesh: volume | 3dqa | sliced |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        marks = ["–" if value is None else "yes" if value else "no" for value in (row["watertight"], row["lint"], row["sliced"])]
        print(f"| {row['prompt']} | {row['triangles']:,} | {row['iou']:.3f} | {row['psnr']:.1f} | {row['charts']} | "
              f"{row['coverage']:.0%} | {row['stretch']:.2f} | {' | '.join(marks)} |")
    print(f"median {statistics.median(row['charts'] for row in rows)} charts, worst IoU {min(row['iou'] for row in rows):.3f}, "
          f"worst PSNR {min(row['psnr'] for row in rows):.1f} dB")


main()
