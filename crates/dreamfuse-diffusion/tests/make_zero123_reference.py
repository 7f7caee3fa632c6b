#!/usr/bin/env python3
"""Makes tests/reference/zero123 and zero123.safetensors: a small random model in Zero123's layout by diffusers' and
transformers' own classes, and what it computes by the formulas of diffusers' community pipeline `pipeline_zero1to3.py`; the
same weights in one file, in the layout of the published checkpoints.

  pip install torch==2.15.0 diffusers==0.42.1 transformers==5.23.0 safetensors==0.8.0 numpy peft==0.21.2
  python3 make_zero123_reference.py

Weights are rounded to f16 before anything is computed; all arithmetic is in f32.
"""
import json
import math
import os
import runpy

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = os.path.join(HERE, "reference")
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# Of the reference and of three views: elevation, azimuth, distance in dreamfuse's units, twice as large as Zero123's.
CAMERAS = [(0.3, -0.4, 2.9), (0.5, 0.9, 3.1), (-0.1, 2.8, 2.7), (0.3, -0.4, 2.9)]


def rounded(model):
    return model.half().float().eval()


def turn(reference, view, is_stable):
    (e0, a0, d0), (e, a, d) = reference, view
    last = math.pi / 2 - e0 if is_stable else (d - d0) / 2
    return [(math.pi / 2 - e) - (math.pi / 2 - e0), math.sin(a - a0), math.cos(a - a0), last]


def visual_key(key):
    """OpenAI's names of CLIP's image encoder; queries, keys and values are joined by the caller."""
    names = {"embeddings.class_embedding": "class_embedding", "embeddings.patch_embedding.weight": "conv1.weight",
             "embeddings.position_embedding.weight": "positional_embedding", "pre_layrnorm": "ln_pre", "post_layernorm": "ln_post"}
    for own, theirs in names.items():
        if key.startswith(own):
            return key.replace(own, theirs)
    for own, theirs in {"encoder.layers": "transformer.resblocks", "layer_norm": "ln_", "self_attn": "attn", "fc1": "c_fc", "fc2": "c_proj"}.items():
        key = key.replace(own, theirs)
    return key


def single_file(unet, vae, encoder, projection):
    latent = runpy.run_path(f"{HERE}/make_latent_reference.py", run_name="latent")
    tensors = latent["pictures_in_one_file"](unet, vae)
    state = {key.removeprefix("vision_model."): value for key, value in encoder.state_dict().items()}
    start = "cond_stage_model.model.visual."
    for key, value in state.items():
        if key == "visual_projection.weight":
            tensors[f"{start}proj"] = value.T
        elif "q_proj" in key:
            joined = torch.cat([state[key.replace("q_proj", f"{part}_proj")] for part in "qkv"])
            tensors[start + visual_key(key).replace("q_proj.", "in_proj_")] = joined
        elif "k_proj" not in key and "v_proj" not in key:
            tensors[start + visual_key(key)] = value
    tensors["cond_stage_model.model.logit_scale"] = torch.tensor(4.6)
    tensors |= {f"cc_projection.{key}": value for key, value in projection.state_dict().items()}
    save_file({key: value.half().contiguous() for key, value in tensors.items() if "position_ids" not in key}, f"{OUT}/zero123.safetensors")


def main():
    torch.manual_seed(0)
    width, folder = 16, f"{OUT}/zero123"
    unet = rounded(UNet2DConditionModel(
        sample_size=8, in_channels=8, out_channels=4, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=width,
        norm_num_groups=4, attention_head_dim=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D")))
    vae = rounded(AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        sample_size=16, down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2))
    encoder = rounded(CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=64, intermediate_size=96, projection_dim=12, num_hidden_layers=2, num_attention_heads=1, image_size=12, patch_size=4,
        hidden_act="quick_gelu")))
    projection = rounded(torch.nn.Linear(12 + 4, width))
    for part, model in [("unet", unet), ("vae", vae), ("image_encoder", encoder)]:
        model.half().save_pretrained(f"{folder}/{part}")
        model.float()
    DDIMScheduler(**BETAS).save_pretrained(f"{folder}/scheduler")
    os.makedirs(f"{folder}/cc_projection", exist_ok=True)
    save_file({f"projection.{key}": value.half() for key, value in projection.state_dict().items()},
              f"{folder}/cc_projection/diffusion_pytorch_model.safetensors")
    json.dump({"_class_name": "CCProjection", "in_channel": 16, "out_channel": width}, open(f"{folder}/cc_projection/config.json", "w"))
    single_file(unet, vae, encoder, projection)

    picture, sample, timesteps = torch.rand(1, 3, 16, 16), torch.randn(3, 4, 8, 8), torch.tensor([37, 500, 801])
    with torch.no_grad():
        small = F.interpolate(picture * 2 - 1, (12, 12), mode="bicubic", align_corners=True) / 2 + 0.5
        normal = (small - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
        embedding = encoder(normal).image_embeds
        latents = vae.encode(picture * 2 - 1).latent_dist.mode()
        outputs = {}
        for name, is_stable in [("output", False), ("output_stable", True)]:
            turns = torch.tensor([turn(CAMERAS[0], camera, is_stable) for camera in CAMERAS[1:]])
            token = projection(torch.cat([embedding.expand(3, -1), turns], 1))[:, None]
            noisy = torch.cat([sample, latents.expand(3, -1, -1, -1)], 1)
            outputs[name] = unet(noisy, timesteps, token).sample
        nothing = torch.cat([sample, torch.zeros_like(sample)], 1)
        outputs["output_empty"] = unet(nothing, timesteps, torch.zeros(3, 1, width)).sample
    tensors = dict(picture=picture, sample=sample, embedding=embedding, latents=latents, **outputs)
    save_file({key: value.contiguous() for key, value in tensors.items()}, f"{folder}/reference.safetensors")


main()
