#!/usr/bin/env python3
"""Real priors at their full size with random weights, in f16: makes the folder, takes steps of score distillation under
/usr/bin/time beside what `dreamfuse plan` says, and races a guided evaluation of Stable Diffusion 1.5's U-Net against diffusers,
taking turns.

  pip install torch diffusers transformers
  cargo build --release
  cargo bench --workspace --bench measure --no-run      # prints the path of the executable
  benches/peers/full_size.py make KIND FOLDER           # sd15 2.1 GB, sd21 2.6 GB, sdxl 6.9 GB, if 12 GB
  benches/peers/full_size.py steps FOLDER target/release/dreamfuse [--steps 2]
  benches/peers/full_size.py race FOLDER EXECUTABLE [--rounds 3] [--threads 2]

For times nothing else may run meanwhile.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

SMALL_TOKENIZER = f"{os.path.dirname(os.path.abspath(__file__))}/../../crates/dreamfuse-diffusion/tests/reference/deepfloyd/tokenizer"
SPECIAL = ["<|startoftext|>", "<|endoftext|>"]


def tokenizer(folder, pad=None):
    """Bytes alone: how a text is cut does not matter to random weights."""
    os.makedirs(folder, exist_ok=True)
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    units = [chr(byte) for byte in kept] + [chr(256 + i) for i in range(256 - len(kept))]
    vocabulary = {token: i for i, token in enumerate(units + [unit + "</w>" for unit in units] + SPECIAL)}
    json.dump(vocabulary, open(f"{folder}/vocab.json", "w"))
    open(f"{folder}/merges.txt", "w").write("#version: 0.2\n")
    json.dump(dict(model_max_length=77) | (dict(pad_token=pad) if pad else {}), open(f"{folder}/tokenizer_config.json", "w"))


def u_net(size, channels=(320, 640, 1280, 1280), without_text=3, **config):
    """Cross-attention at every level but one."""
    down = ["CrossAttnDownBlock2D"] * len(channels)
    down[without_text] = "DownBlock2D"
    return UNet2DConditionModel(
        sample_size=size, in_channels=4, out_channels=4, block_out_channels=channels, down_block_types=down,
        up_block_types=[kind.replace("Down", "Up") for kind in reversed(down)], **config)


def vae(size, scale=0.18215):
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, sample_size=size, scaling_factor=scale,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)


def clip(kind, width, layers, heads, act):
    return kind(CLIPTextConfig(
        vocab_size=49408, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads,
        projection_dim=width, hidden_act=act))


def sd15(folder):
    yield "unet", u_net(64, cross_attention_dim=768, attention_head_dim=8)
    yield "vae", vae(512)
    yield "text_encoder", clip(CLIPTextModel, 768, 12, 12, "quick_gelu")
    tokenizer(f"{folder}/tokenizer")


def sd21(folder):
    """The larger one, of 768 pixels."""
    yield "unet", u_net(96, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), use_linear_projection=True)
    yield "vae", vae(768)
    yield "text_encoder", clip(CLIPTextModel, 1024, 23, 16, "gelu")
    tokenizer(f"{folder}/tokenizer", pad="!")


def sdxl(folder):
    yield "unet", u_net(
        128, (320, 640, 1280), 0, cross_attention_dim=2048, attention_head_dim=(5, 10, 20), use_linear_projection=True,
        transformer_layers_per_block=(1, 2, 10), addition_embed_type="text_time", addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=1280 + 6 * 256)
    yield "vae", vae(1024, 0.13025)
    yield "text_encoder", clip(CLIPTextModel, 768, 12, 12, "quick_gelu")
    yield "text_encoder_2", clip(CLIPTextModelWithProjection, 1280, 32, 20, "gelu")
    tokenizer(f"{folder}/tokenizer")
    tokenizer(f"{folder}/tokenizer_2", pad="!")
    json.dump(dict(_class_name="StableDiffusionXLPipeline", force_zeros_for_empty_prompt=True), open(f"{folder}/model_index.json", "w"))


def deepfloyd(folder):
    """DeepFloyd IF's first stage in its size L, with T5-XXL."""
    text = ["SimpleCrossAttnDownBlock2D"] * 3
    yield "unet", UNet2DConditionModel(
        sample_size=64, in_channels=3, out_channels=6, block_out_channels=(320, 640, 960, 1280), layers_per_block=3, cross_attention_dim=1280,
        encoder_hid_dim=4096, down_block_types=["ResnetDownsampleBlock2D", *text], mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=[*(kind.replace("Down", "Up") for kind in text), "ResnetUpsampleBlock2D"], attention_head_dim=64,
        addition_embed_type="text", addition_embed_type_num_heads=64, cross_attention_norm="group_norm", resnet_time_scale_shift="scale_shift",
        act_fn="gelu")
    yield "text_encoder", T5EncoderModel(T5Config(
        vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu"))
    shutil.copytree(SMALL_TOKENIZER, f"{folder}/tokenizer", dirs_exist_ok=True)


KINDS = {
    "sd15": (sd15, dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)),
    "sd21": (sd21, dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="v_prediction")),
    "sdxl": (sdxl, dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)),
    "if": (deepfloyd, dict(
        beta_schedule="squaredcos_cap_v2", variance_type="learned_range", thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=1.5)),
}


def make(options):
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    os.makedirs(options.folder)
    parts, schedule = KINDS[options.kind]
    for part, model in parts(options.folder):
        model.save_pretrained(f"{options.folder}/{part}", max_shard_size="10GB")
    DDPMScheduler(**schedule).save_pretrained(f"{options.folder}/scheduler")


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
    arguments = ["a squirrel", "--prior", options.folder, "--steps", str(options.steps), "--views", "1"]
    subprocess.run([options.executable, "plan", *arguments], check=True)
    with tempfile.TemporaryDirectory() as out:
        command = [options.executable, *arguments, "--out", f"{out}/run"]
        timed = subprocess.run(["/usr/bin/time", "-v", *command], capture_output=True, text=True)
    if timed.returncode:
        raise SystemExit(timed.stderr[-2000:])
    wanted = ("Maximum resident", "Elapsed", "done in")
    print("\n".join(line.strip() for line in timed.stderr.splitlines() + timed.stdout.splitlines() if any(word in line for word in wanted)))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(required=True)
for name, run in [("make", make), ("race", race), ("steps", steps)]:
    command = commands.add_parser(name)
    command.set_defaults(run=run)
    if name == "make":
        command.add_argument("kind", choices=KINDS)
    command.add_argument("folder")
    if name != "make":
        command.add_argument("executable")
    command.add_argument("--rounds", type=int, default=3)
    command.add_argument("--threads", type=int, default=2)
    command.add_argument("--steps", type=int, default=2)
options = parser.parse_args()
options.run(options)
