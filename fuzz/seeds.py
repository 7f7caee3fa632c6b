#!/usr/bin/env python3
"""First inputs of the fuzz targets: fuzz/seeds.py DREAMFUSE. Small files of every kind, made by the binary or found in the tests;
they join what fuzzing left in fuzz/corpus."""

import pathlib
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "crates/dreamfuse-diffusion/tests/reference"
SCENE = "views = 1\nmesh_cells = 16\nmesh_faces = 100\ntexture_size = 16\ncheckpoint_every = 2\n[scene]\nlevels = 1\nbase = 4\nfinest = 4\n" \
    "log2_table = 4\nhidden = 16\noccupancy_cells = 4\n[refine]\nsteps = 1\n"
PARTED = b"\xff"


def seed(target, name, data):
    folder = ROOT / "fuzz/corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(data)


def payload(path):
    """What follows the line with the checksum."""
    return path.read_bytes().split(b"\n", 1)[1]


def of_a_run(dreamfuse, work):
    (work / "scene.toml").write_text(SCENE)
    run = work / "run"
    subprocess.run([dreamfuse, "a car", "--steps", "4", "--config", work / "scene.toml", "--out", run, "--quiet"], check=True)
    subprocess.run([dreamfuse, "export", run, "--format", "glb,ply,obj,stl", "--quiet"], check=True)
    for index, ending in enumerate(["glb", "ply", "obj", "stl"]):
        seed("mesh", ending, bytes([index]) + (run / f"mesh.{ending}").read_bytes())
    seed("settings", "run", (run / "config.toml").read_bytes())
    newest = sorted((run / "checkpoints").iterdir())[-1]
    seed("saved_scene", "checkpoint", b"\x01" + payload(newest))
    seed("saved_scene", "refined", b"\x00" + payload(run / "refined.mesh"))


def of_prompts(dreamfuse, work):
    texts = [b"# notes\na car\r\na red cup, small\n", b'prompt,seed,scene.finest\n"a ""red"" car",2,96\n', b'{"prompt": "a car", "seed": 4}\n']
    for index, text in enumerate(texts):
        seed("prompts", str(index), bytes([index]) + text)
    (work / "prompts.txt").write_text("a car\n")
    subprocess.run([dreamfuse, "batch", "plan", work / "prompts.txt", "--out", work / "runs", "--quiet"], check=True)
    attempts = b'{"time":1.0,"step":0,"process":"a"}\n'
    seed("plan", "one", (work / "runs/plan.jsonl").read_bytes() + PARTED + attempts)
    for index, line in enumerate((ROOT / "prompts/toybench.txt").read_text().splitlines()[:20]):
        seed("sentence", str(index), line.encode())


def of_models():
    model = REFERENCE / "sd15"
    names = ["unet/config.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "vae/config.json",
             "tokenizer/tokenizer_config.json", "model_index.json"]
    parts = [(model / name).read_bytes() if (model / name).exists() else b"{}" for name in names]
    seed("model_folder", "sd15", PARTED.join(parts))
    words = model / "tokenizer"
    parts = [b"a red car"] + [(words / name).read_bytes() for name in ["tokenizer_config.json", "vocab.json", "merges.txt"]]
    seed("tokenizer", "parts", PARTED.join(parts))
    header = b'{"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight":{"dtype":"F32","shape":[1,4],"data_offsets":[0,16]}}'
    file = struct.pack("<Q", len(header)) + header + bytes(16)
    seed("lora", "kohya", file)
    key = b"model.diffusion_model.input_blocks.0.0.weight"
    seed("single_file", "ldm", file.replace(b"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight", key + b" " * 12))


with tempfile.TemporaryDirectory() as folder:
    of_a_run(sys.argv[1], pathlib.Path(folder))
    of_prompts(sys.argv[1], pathlib.Path(folder))
of_models()
