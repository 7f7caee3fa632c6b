#!/usr/bin/env python3
"""Makes tests/reference/embedded: what diffusers and transformers compute with the prior that is built into the binary, read from its
folder. To be run again whenever its weights change.

  pip install torch==2.15.0 diffusers==0.42.1 transformers==5.23.0 safetensors==0.8.0 numpy
  python3 make_embedded_reference.py            # beside this file
"""
import os

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
PRIOR = os.path.join(HERE, "..", "assets", "embedded-prior")
OUT = os.path.join(HERE, "reference", "embedded")
TEXTS = ["a squirrel at an easel", ""]


def main():
    torch.manual_seed(0)
    ids = CLIPTokenizer.from_pretrained(f"{PRIOR}/tokenizer")(TEXTS, padding="max_length", return_tensors="pt").input_ids
    text = CLIPTextModel.from_pretrained(f"{PRIOR}/text_encoder", torch_dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(PRIOR, subfolder="unet", torch_dtype=torch.float32)
    side = unet.config.sample_size
    # A camera that is told, one that is not.
    camera = torch.tensor([[1, 0.6, 0.8, 0.3, 3, 0.7, 0, 0, 1], [0] * 9], dtype=torch.float32)
    sample, timesteps = torch.randn(2, 3, side, side), torch.tensor([850, 300])
    with torch.no_grad():
        embeddings = text(ids).last_hidden_state
        output = unet(sample, timesteps, embeddings, class_labels=camera).sample
    os.makedirs(OUT, exist_ok=True)
    save_file(dict(input_ids=ids, text_embeddings=embeddings, sample=sample, timesteps=timesteps, class_labels=camera, output=output),
              f"{OUT}/reference.safetensors")


main()
