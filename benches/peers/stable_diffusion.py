#!/usr/bin/env python3
"""Stable Diffusion 1.5 at its full size with random weights: makes the folder, races a guided evaluation of the U-Net against
diffusers, taking turns, and takes steps of score distillation under /usr/bin/time.

  pip install torch diffusers transformers
  cargo build --release
  cargo bench --workspace --bench measure --no-run      # prints the path of the executable
  benches/peers/stable_diffusion.py make FOLDER         # 2.1 GB in f16
  benches/peers/stable_diffusion.py race FOLDER EXECUTABLE [--rounds 3] [--threads 2]
  benches/peers/stable_diffusion.py steps FOLDER target/release/dreamfuse [--steps 2]

Nothing else may run meanwhile.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


def tokenizer(folder):
    """Bytes alone: how a text is cut does not matter to random weights."""
    os.makedirs(folder, exist_ok=True)
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    units = [chr(byte) for byte in kept] + [chr(256 + i) for i in range(256 - len(kept))]
    vocabulary = {token: i for i, token in enumerate(units + [unit + "</w>" for unit in units] + SPECIAL)}
    json.dump(vocabulary, open(f"{folder}/vocab.json", "w"))
    open(f"{folder}/merges.txt", "w").write("#version: 0.2\n")
    json.dump(dict(model_max_length=77), open(f"{folder}/tokenizer_config.json", "w"))


def make(options):
    torch.manual_seed(0)
    channels = (320, 640, 1280, 1280)
    attention = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    unet = UNet2DConditionModel(
        sample_size=64, in_channels=4, out_channels=4, block_out_channels=channels, cross_attention_dim=768, attention_head_dim=8,
        down_block_types=attention, up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(attention)))
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="quick_gelu"))
    for part, model in [("unet", unet), ("vae", vae), ("text_encoder", text)]:
        model.half().save_pretrained(f"{options.folder}/{part}")
    PNDMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012).save_pretrained(f"{options.folder}/scheduler")
    tokenizer(f"{options.folder}/tokenizer")


def race(options):
    torch.set_num_threads(options.threads)
    unet = UNet2DConditionModel.from_pretrained(options.folder, subfolder="unet", torch_dtype=torch.float32).eval()
    inputs = torch.randn(2, 4, 64, 64), torch.tensor([500, 500]), torch.randn(2, 77, 768)
    ours, theirs = [], []
    for _ in range(options.rounds):
        environment = os.environ | {"RAYON_NUM_THREADS": str(options.threads)}
        command = [options.executable, "evaluation-of", "1", options.folder]
        ours.append(json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)["milliseconds"])
        with torch.no_grad():
            unet(*inputs)
            start = time.perf_counter()
            unet(*inputs)
            theirs.append(1e3 * (time.perf_counter() - start))
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    print(f"guided evaluation: ours {ours:.0f} ms, diffusers {theirs:.0f} ms, ours takes {ours / theirs:.2f} times as long")


def steps(options):
    with tempfile.TemporaryDirectory() as out:
        command = [options.executable, "a squirrel", "--prior", options.folder, "--steps", str(options.steps), "--views", "1", "--out", f"{out}/run"]
        timed = subprocess.run(["/usr/bin/time", "-v", *command], capture_output=True, text=True)
    wanted = ("Maximum resident", "Elapsed", "done in", "error")
    print("\n".join(line.strip() for line in timed.stderr.splitlines() + timed.stdout.splitlines() if any(word in line for word in wanted)))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(required=True)
for name, run in [("make", make), ("race", race), ("steps", steps)]:
    command = commands.add_parser(name)
    command.set_defaults(run=run)
    command.add_argument("folder")
    if name != "make":
        command.add_argument("executable")
    command.add_argument("--rounds", type=int, default=3)
    command.add_argument("--threads", type=int, default=2)
    command.add_argument("--steps", type=int, default=2)
options = parser.parse_args()
options.run(options)
