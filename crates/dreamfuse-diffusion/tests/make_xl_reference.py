#!/usr/bin/env python3
"""Makes tests/reference/sdxl: a small random model in the shape of Stable Diffusion XL by diffusers' and transformers' own
classes, and what they compute; and sdxl.safetensors, the same weights in the layout of the authors' own checkpoint, U-Net and
autoencoder of which diffusers' own conversion is held to bring back.

  pip install torch==2.15.0 diffusers==0.42.1 transformers==5.23.0 safetensors==0.8.0 numpy
  python3 make_xl_reference.py     # after make_reference.py, whose tokenizer it takes

Weights are rounded to f16 before anything is computed, so that the committed files stay small; all arithmetic is in f32 but where it
is said to be in f16 or bf16.
"""
import json
import os

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

import make_latent_reference as latent

FOLDER = f"{latent.OUT}/sdxl"
TEXTS = ["a squirrel at an easel!", "two robots"]
RESOLUTION = 16


def text_encoder(tokenizer, kind, width, act):
    size = len(tokenizer)
    return latent.rounded(kind(CLIPTextConfig(
        vocab_size=size, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length, projection_dim=12, hidden_act=act, bos_token_id=size - 2, eos_token_id=size - 1,
        pad_token_id=size - 1)))


def tokenizers():
    """The second pads with an exclamation mark, as in Stable Diffusion XL."""
    first = latent.tokenizer(FOLDER, None)
    os.makedirs(f"{FOLDER}/tokenizer_2", exist_ok=True)
    for name in os.listdir(f"{FOLDER}/tokenizer"):
        with open(f"{FOLDER}/tokenizer/{name}", "rb") as source, open(f"{FOLDER}/tokenizer_2/{name}", "wb") as copy:
            copy.write(source.read())
    with open(f"{FOLDER}/tokenizer_2/special_tokens_map.json", "w") as file:
        json.dump(dict(pad_token="!"), file)
    return first, CLIPTokenizer.from_pretrained(f"{FOLDER}/tokenizer_2", pad_token="!")


def single_file(unet, vae, text, text_2):
    state = latent.pictures_in_one_file(unet, vae)
    state |= {f"conditioner.embedders.0.transformer.{key}": value for key, value in latent.transformers_names(text).items()}
    second = latent.open_clip_names(text_2) | {"logit_scale": torch.tensor(4.6)}
    state |= {f"conditioner.embedders.1.model.{key}": value for key, value in second.items()}
    latent.write_single_file("sdxl", state)


def adapted(pipeline, sample, timesteps, time_ids, rank=2, alpha=1.0, scale=0.7):
    """An adaptation of all three networks in the layout of kohya's scripts with latent diffusion's names, and what they compute with W + s α / r B A."""
    modules = [("unet", pipeline.unet, "attn2.to_q"), ("te1", pipeline.text_encoder, "q_proj"), ("te2", pipeline.text_encoder_2, "fc1")]
    file = {}
    for part, model, end in modules:
        for key, module in model.named_modules():
            if key.endswith(end):
                weight = module.weight
                down, up = torch.randn(rank, weight.shape[1]) / 4, torch.randn(weight.shape[0], rank) / 4
                down, up = down.half().float(), up.half().float()
                weight.data += scale * alpha / rank * up @ down
                if part == "unet":
                    full = latent.ldm_unet_key(f"{key}.weight", model.config.layers_per_block).removesuffix(".weight")
                else:
                    full = key if key.startswith("text_model.") else f"text_model.{key}"
                name = f"lora_{part}_{full.replace('.', '_')}"
                file |= {f"{name}.lora_down.weight": down.half(), f"{name}.lora_up.weight": up.half(), f"{name}.alpha": torch.tensor(alpha)}
    save_file(file, f"{FOLDER}/lora.safetensors")
    embeddings, _, pooled, _ = pipeline.encode_prompt(TEXTS, device="cpu", do_classifier_free_guidance=True)
    output = pipeline.unet(sample, timesteps, embeddings, added_cond_kwargs=dict(text_embeds=pooled, time_ids=time_ids)).sample
    return dict(text_embeddings_lora=embeddings, pooled_lora=pooled, output_lora=output)


def main():
    torch.manual_seed(0)
    tok, tok_2 = tokenizers()
    text = text_encoder(tok, CLIPTextModel, 8, "quick_gelu")
    text_2 = text_encoder(tok_2, CLIPTextModelWithProjection, 16, "gelu")
    unet = latent.rounded(UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=24, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 3), use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=12 + 6 * 4))
    vae = latent.rounded(AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, scaling_factor=0.13025, force_upcast=True))
    scheduler = EulerDiscreteScheduler(prediction_type="epsilon", timestep_spacing="leading", steps_offset=1, **latent.BETAS)
    scheduler.save_pretrained(f"{FOLDER}/scheduler")
    for part, model in [("text_encoder", text), ("text_encoder_2", text_2), ("unet", unet), ("vae", vae)]:
        model.half().save_pretrained(f"{FOLDER}/{part}")
        model.float()
    single_file(unet, vae, text, text_2)
    pipeline = StableDiffusionXLPipeline(vae, text, text_2, tok, tok_2, unet, scheduler)
    with open(f"{FOLDER}/model_index.json", "w") as file:
        json.dump(dict(_class_name="StableDiffusionXLPipeline", force_zeros_for_empty_prompt=True), file, indent=2)
    ids = [t(TEXTS, padding="max_length", max_length=t.model_max_length, return_tensors="pt").input_ids for t in (tok, tok_2)]
    with torch.no_grad():
        embeddings, empty, pooled, pooled_empty = pipeline.encode_prompt(TEXTS, device="cpu", do_classifier_free_guidance=True)
        assert empty.abs().max() == 0 and pooled_empty.abs().max() == 0
        time_ids = torch.tensor([[RESOLUTION, RESOLUTION, 0, 0, RESOLUTION, RESOLUTION]] * 2).float()
        added = dict(text_embeds=pooled, time_ids=time_ids)
        sample, timesteps = torch.randn(2, 4, 8, 8), torch.tensor([37, 801])
        output = unet(sample, timesteps, embeddings, added_cond_kwargs=added).sample
        nothing = dict(text_embeds=pooled_empty, time_ids=time_ids)
        output_empty = unet(sample, timesteps, empty, added_cond_kwargs=nothing).sample
        picture = torch.rand(2, 3, RESOLUTION, RESOLUTION)
        latents = vae.encode(picture * 2 - 1).latent_dist.mode() * vae.config.scaling_factor
    shown = lambda index: (embeddings[index:index + 1], pooled[index:index + 1])
    texts = [shown(0), tuple(torch.zeros_like(part) for part in shown(0)), shown(1), shown(1)]
    output_of = lambda x, t, text: unet(
        x, t, text[0].expand(len(x), -1, -1), added_cond_kwargs=dict(text_embeds=text[1].expand(len(x), -1), time_ids=time_ids[:len(x)])).sample
    sds = latent.score_distillation(output_of, vae, scheduler, picture, texts, timesteps)
    with torch.no_grad():
        tensors = dict(
            input_ids=ids[0], input_ids_2=ids[1], text_embeddings=embeddings, pooled=pooled, sample=sample, output=output,
            output_empty=output_empty, picture=picture, latents=latents,
            decoded=vae.decode(latents / vae.config.scaling_factor).sample / 2 + 0.5, **latent.halves(unet, sample, timesteps, embeddings, **added), **sds,
            **adapted(pipeline, sample, timesteps, time_ids))
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, f"{FOLDER}/reference.safetensors")


if __name__ == "__main__":
    main()
