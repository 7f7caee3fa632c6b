#!/usr/bin/env python3
"""Makes tests/reference: a small random pixel-space model by diffusers' and transformers' own classes,
and what they compute with it. The tests of dreamfuse-diffusion compare with these tensors.

  pip install torch==2.15.0 diffusers==0.42.1 transformers==5.23.0 safetensors==0.8.0 numpy
  python3 make_reference.py            # beside this file

Weights are rounded to f16 before anything is computed, so that the committed files stay small; all
arithmetic is in f32.
"""
import json
import os

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference")
TEXTS = ["a squirrel at an easel", "", "A  DSLR photo, of Tower Bridge!", "it's 3 robots' naïve café über-ü 北京", "squirrels easels xyzzy <|endoftext|> a"]
WORDS = "a squirrel at an easel robot and dinosaur playing chess tower bridge photo of".split()
TOKENS = 24


def byte_units():
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = 256 - len(keep)
    return [chr(b) for b in keep] + [chr(256 + i) for i in range(rest)]


def tokenizer():
    """CLIP's format: 256 bytes, the same at a word's end, merges that make each word one token."""
    units, merges = byte_units(), []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while True:  # what the merges so far leave of the word, lowest rank first
            ranked = [(merges.index(pair), i) for i, pair in enumerate(zip(parts, parts[1:])) if pair in merges]
            if not ranked:
                break
            i = min(ranked)[1]
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts[0:2] = [parts[0] + parts[1]]
    tokens = list(dict.fromkeys(units + [u + "</w>" for u in units] + ["".join(m) for m in merges]))
    vocab = {token: i for i, token in enumerate(tokens + ["<|startoftext|>", "<|endoftext|>"])}
    folder = f"{OUT}/tokenizer"
    os.makedirs(folder, exist_ok=True)
    json.dump(vocab, open(f"{folder}/vocab.json", "w"), ensure_ascii=False)
    open(f"{folder}/merges.txt", "w").write("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
    special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", pad_token="<|endoftext|>", unk_token="<|endoftext|>")
    json.dump(dict(tokenizer_class="CLIPTokenizer", model_max_length=TOKENS, **special), open(f"{folder}/tokenizer_config.json", "w"))
    return CLIPTokenizer.from_pretrained(folder), len(vocab)


def unet_of(channels, **options):
    return UNet2DConditionModel(
        sample_size=16, in_channels=3, out_channels=3, block_out_channels=channels, layers_per_block=1, cross_attention_dim=16,
        norm_num_groups=channels[0] // 2, attention_head_dim=4, class_embed_type="projection", projection_class_embeddings_input_dim=9,
        addition_embed_type="text", addition_embed_type_num_heads=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), **options).half().float().eval()


def main():
    torch.manual_seed(0)
    tok, size = tokenizer()
    ids = tok(TEXTS[:3], padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt").input_ids
    words = [tok(text, add_special_tokens=False).input_ids for text in TEXTS]
    json.dump([dict(text=t, ids=i) for t, i in zip(TEXTS, words)], open(f"{OUT}/tokens.json", "w"), indent=1, ensure_ascii=False)
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=size, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=TOKENS,
        projection_dim=16, hidden_act="quick_gelu", bos_token_id=size - 2, eos_token_id=size - 1, pad_token_id=size - 1)).half().float().eval()
    unet = unet_of((16, 32))
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    text.half().save_pretrained(f"{OUT}/text_encoder")
    unet.half().save_pretrained(f"{OUT}/unet")
    text, unet = text.float(), unet.float()
    scheduler.save_pretrained(f"{OUT}/scheduler")
    with torch.no_grad():
        embeddings = text(ids).last_hidden_state
        sample, timesteps, labels = torch.randn(3, 3, 16, 16), torch.tensor([37, 500, 801]), torch.randn(3, 9)
        output = unet(sample, timesteps, embeddings, class_labels=labels).sample
        torch.manual_seed(1)
        shifting = unet_of((8, 16), resnet_time_scale_shift="scale_shift")
        shifted = shifting(sample, timesteps, embeddings, class_labels=labels).sample
    shifting.half().save_pretrained(f"{OUT}/unet_scale_shift")
    save_file(dict(input_ids=ids, text_embeddings=embeddings, sample=sample, timesteps=timesteps, class_labels=labels, output=output,
                   output_scale_shift=shifted),
              f"{OUT}/reference.safetensors")
    schedules = {}
    for name in ["linear", "scaled_linear", "squaredcos_cap_v2"]:
        alphas = DDPMScheduler(beta_schedule=name, beta_start=0.00085, beta_end=0.012).alphas_cumprod
        schedules[name] = [float(alphas[t]) for t in (0, 500, 999)]
    json.dump(schedules, open(f"{OUT}/schedules.json", "w"), indent=1)


main()
