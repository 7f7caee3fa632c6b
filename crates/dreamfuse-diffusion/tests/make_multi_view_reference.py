#!/usr/bin/env python3
"""Makes tests/reference/mvdream and mvdream.safetensors: a small random model of MVDream by its authors' own classes, in the layout of their
checkpoints, and what it computes. What is not the U-Net is that of sd21.safetensors.

  pip install torch==2.15.0 safetensors==0.8.0 einops numpy
  git clone https://github.com/bytedance/MVDream && git -C MVDream checkout 618f84476c88e04adaf588133be2830142b9956d
  python3 make_multi_view_reference.py MVDream     # after make_latent_reference.py

Weights are rounded to f16 before anything is computed, so that the committed files stay small; all arithmetic is in f32.
"""
import json
import os
import shutil
import sys
import types

import torch
from safetensors.torch import load_file, save_file

SOURCE = sys.argv[1]
# The package's own __init__ loads what downloads checkpoints.
package = types.ModuleType("mvdream")
package.__path__ = [f"{SOURCE}/mvdream"]
sys.modules["mvdream"] = package
from mvdream.camera_utils import get_camera  # noqa: E402
from mvdream.ldm.modules import attention  # noqa: E402
from mvdream.ldm.modules.diffusionmodules import openaimodel, util  # noqa: E402

# As many groups as a small network can have: with one channel a group, norms would take away what cameras and times add.
GROUPS = 4
openaimodel.normalization = lambda channels: util.GroupNorm32(GROUPS, channels)
attention.Normalize = lambda channels: torch.nn.GroupNorm(GROUPS, channels, eps=1e-6)

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference")
VIEWS, WIDTH = 4, 16


def network():
    torch.manual_seed(0)
    unet = openaimodel.MultiViewUNetModel(
        image_size=8, in_channels=4, out_channels=4, model_channels=16, attention_resolutions=[1], num_res_blocks=1, channel_mult=[1, 1],
        num_head_channels=4, use_spatial_transformer=True, use_linear_in_transformer=True, transformer_depth=1, context_dim=WIDTH,
        use_checkpoint=False, legacy=False, camera_dim=16)
    with torch.no_grad():
        for value in unet.parameters():  # some start at zero and would hide what lies behind them
            value += 0.05 * torch.randn_like(value)
        for value in unet.camera_embed.parameters():  # and cameras say little at first
            value *= 4
    return unet.half().float().eval()


def main():
    unet = network()
    folder = f"{OUT}/mvdream"
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("tokenizer", "text_encoder/config.json", "vae/config.json"):
        copy = shutil.copytree if os.path.isdir(f"{OUT}/sd21/{part}") else shutil.copy
        os.makedirs(os.path.dirname(f"{folder}/{part}"), exist_ok=True)
        copy(f"{OUT}/sd21/{part}", f"{folder}/{part}")
    os.makedirs(f"{folder}/unet")
    json.dump(dict(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=[16, 16], norm_num_groups=GROUPS, layers_per_block=1, cross_attention_dim=WIDTH, attention_head_dim=[4, 4],
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"], up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"], use_linear_projection=True,
        class_embed_type="projection", projection_class_embeddings_input_dim=16, num_views=VIEWS), open(f"{folder}/unet/config.json", "w"), indent=2)
    state = {key: value for key, value in load_file(f"{OUT}/sd21.safetensors").items() if not key.startswith("model.diffusion_model.")}
    state |= {f"model.diffusion_model.{key}": value.half() for key, value in unet.state_dict().items()}
    save_file({key: value.contiguous() for key, value in state.items()}, f"{OUT}/mvdream.safetensors")
    cameras = get_camera(VIEWS, elevation=15, azimuth_start=30)
    sample, timesteps = torch.randn(2 * VIEWS, 4, 8, 8), torch.tensor([37] * VIEWS + [801] * VIEWS)
    text = torch.randn(2 * VIEWS, 24, WIDTH)
    with torch.no_grad():
        output = unet(sample, timesteps, context=text, camera=torch.cat([cameras, cameras]), num_frames=VIEWS)
        single = unet(sample, timesteps, context=text, num_frames=1)
        turned = unet(sample, timesteps, context=text, camera=cameras.roll(1, 0).repeat(2, 1), num_frames=VIEWS)
    for other in (single, turned):
        assert (other - output).norm() > 0.01 * output.norm(), (other - output).norm() / output.norm()
    tensors = dict(cameras=cameras, sample=sample, timesteps=timesteps, text_embeddings=text, output=output, output_single=single)
    save_file({key: value.contiguous() for key, value in tensors.items()}, f"{folder}/reference.safetensors")


main()
