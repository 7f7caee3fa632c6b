#!/usr/bin/env python3
"""Makes tests/reference/uvit: a small random network of python/dreamfuse_uvit.py, and what it computes.

  pip install torch==2.15.0 safetensors==0.8.0 numpy
  python3 make_uvit_reference.py

Weights are rounded to f16 before anything is computed; all arithmetic is in f32.
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "python"))
from dreamfuse_uvit import Camera, Told, UVit  # noqa: E402

OUT = os.path.join(HERE, "reference", "uvit")
CONFIG = dict(
    _class_name="UVit", sample_size=8, in_channels=3, channels=16, head_channels=8, hidden_size=16, blocks=2, heads=2, feed_forward_size=40,
    conditioning_size=24, text_size=16, context_layers=1, context_heads=2, told_tokens=2, told_size=23, references=True,
)
TOLD = [
    Told(Camera(0.7, 0.3, 3.1, 0.8, (0.1, -0.05, 0.2), 0.15, (0.2, -0.3), 0.6), "lambertian", ((1.0, -2.0, 3.0), 0.25), (0.2, 0.5, 0.9), True),
    Told(Camera(-2.1, 0.9), "albedo", ((1.0, 1.0, 1.0), 0.5), None, False),
    Told(),
]


def main():
    torch.manual_seed(0)
    network = UVit(CONFIG).half().float().eval()
    sample, text = torch.randn(3, 3, 8, 8), torch.randn(3, 5, 16)
    timesteps = torch.tensor([37, 500, 801])
    with torch.no_grad():
        output = network(sample, timesteps, text, TOLD)
        # Two sets of two images.
        images, empty = torch.randn(4, 3, 8, 8), torch.randn(1, 5, 16).expand(4, -1, -1)
        told = [Told(Camera(0.4 * i, 0.1 * i), is_turned=i == 3) for i in range(4)]
        shown = network.read_references(images, torch.tensor([0, 120, 0, 60]), empty, told, 2)
        output_shown = network(sample, timesteps, text, TOLD, shown, [1, None, 0])
    os.makedirs(OUT, exist_ok=True)
    json.dump(CONFIG, open(f"{OUT}/config.json", "w"), indent=2)
    save_file({key: value.half() for key, value in network.state_dict().items()}, f"{OUT}/diffusion_pytorch_model.safetensors")
    tensors = dict(sample=sample, text=text, output=output, images=images, empty=empty[:1], output_shown=output_shown)
    save_file({key: value.contiguous() for key, value in tensors.items()}, f"{OUT}/reference.safetensors")


main()
