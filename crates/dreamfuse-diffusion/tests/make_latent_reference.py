#!/usr/bin/env python3
"""Makes tests/reference/{sd15,sd21}: small random latent diffusion models by diffusers' and transformers' own classes, in
the shapes of Stable Diffusion 1.5 and 2.1, and what they compute; and {sd15,sd21}.safetensors, the same weights in the
layout of latent diffusion's own checkpoints, which diffusers' own conversion is held to bring back.

  pip install torch==2.15.0 diffusers==0.42.1 transformers==5.23.0 safetensors==0.8.0 peft==0.21.2 numpy
  python3 make_latent_reference.py     # after make_reference.py, whose tokenizer it takes

Weights are rounded to f16 before anything is computed, so that the committed files stay small; all arithmetic is in f32 but where it
is said to be in f16 or bf16.
"""
import copy
import json
import math
import os
import shutil

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, PNDMScheduler, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference")
TEXTS = ["a squirrel at an easel!", ""]
OTHERS = ["a robot", "a tower"]
BETAS = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
KINDS = {
    "sd15": dict(act="quick_gelu", unet=dict(attention_head_dim=4), prediction="epsilon", pad=None),
    "sd21": dict(act="gelu", unet=dict(attention_head_dim=(2, 4), use_linear_projection=True), prediction="v_prediction", pad="!"),
}


def tokenizer(folder, pad):
    shutil.copytree(f"{OUT}/tokenizer", f"{folder}/tokenizer", dirs_exist_ok=True)
    if pad:  # as in the folders of Stable Diffusion 2, whose two files contradict each other
        json.dump(dict(pad_token=pad), open(f"{folder}/tokenizer/special_tokens_map.json", "w"))
    return CLIPTokenizer.from_pretrained(f"{folder}/tokenizer")


def rounded(model):
    return model.half().float().eval()


def halves(unet, sample, timesteps, text, **added):
    """What the network computes in f16 and in bf16, with this added to the text."""
    def answer(numbers):
        also = dict(added_cond_kwargs={key: value.to(numbers) for key, value in added.items()}) if added else {}
        return copy.deepcopy(unet).to(numbers)(sample.to(numbers), timesteps, text.to(numbers), **also).sample.float()
    with torch.no_grad():
        return dict(output_f16=answer(torch.float16), output_bf16=answer(torch.bfloat16))


def perpendicular(x, y):
    along = (x * y).sum(dim=(1, 2, 3)) / (y * y).sum(dim=(1, 2, 3)).clamp(min=1e-6)
    return x - along.view(-1, 1, 1, 1) * y


def inverted(noise_in, alphas_cumprod, latents, noise, timesteps):
    """x_t and the noise seen in x_s, picture by picture: DDIM backwards as Song et al. (2021, equation 14) write it, in x / sqrt(alpha) over
    sqrt((1 - alpha) / alpha). The strides are as many as the latest timestep needs."""
    ends = [max(int(t) - 50, 0) for t in timesteps]
    strides = math.ceil(max(ends) / 200)
    level = lambda t: ((1 - alphas_cumprod[t]) / alphas_cumprod[t]).sqrt()
    pairs = []
    for x, e, end, t in zip(latents, noise, ends, timesteps):
        scaled = x + level(0) * e
        path = [end * i // strides for i in range(strides + 1)] + [int(t)]
        for at, to in zip(path, path[1:]):
            seen = noise_in(scaled[None] * alphas_cumprod[at].sqrt(), torch.tensor([at]))[0]
            scaled = scaled + (level(to) - level(at)) * seen
        pairs.append((scaled * alphas_cumprod[t].sqrt(), seen))
    return [torch.stack(column) for column in zip(*pairs)]


def score_distillation(output_of, vae, scheduler, picture, texts, timesteps, scale=7.5):
    """One step for the first of the texts against the second, as threestudio's stable_diffusion_guidance.py takes it, but with a mean over the latents' numbers and their mode:
    plain, with Perp-Neg against the other texts, with diffusers' guidance rescale, with a clipped direction,
    CSD, and ISM against the third text."""
    picture = picture.detach().clone().requires_grad_()
    latents = vae.encode(F.interpolate(picture, (16, 16), mode="bilinear") * 2 - 1).latent_dist.mode() * vae.config.scaling_factor
    noise = torch.randn_like(latents)
    alphas = scheduler.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
    with torch.no_grad():
        noisy = alphas.sqrt() * latents + (1 - alphas).sqrt() * noise
        answer = [output_of(noisy, timesteps, text) for text in texts]
        is_v = scheduler.config.prediction_type == "v_prediction"
        noise_of = lambda output, x, a: a.sqrt() * output + (1 - a).sqrt() * x if is_v else output
        rescaled = noise_of(rescale_noise_cfg(answer[1] + scale * (answer[0] - answer[1]), answer[0], 0.7), noisy, alphas)
        answer = [noise_of(output, noisy, alphas) for output in answer]
        text, empty, *against = answer
        own = text - empty
        weights = torch.tensor([[-0.4, -1.6], [-0.9, -0.2]])
        away = sum(weights[:, i].view(-1, 1, 1, 1) * perpendicular(answer - empty, own) for i, answer in enumerate(against))
        guided = empty + scale * own
        directions = dict(sds_gradient=guided - noise, perp_neg_gradient=empty + scale * (own + away) - noise, csd_gradient=guided - empty,
                          rescaled_gradient=rescaled - noise, clipped_gradient=((1 - alphas) * (guided - noise)).clamp(-0.5, 0.5) / (1 - alphas))
        seen_in = lambda x, t, text: noise_of(output_of(x, t, text), x, scheduler.alphas_cumprod[t].view(-1, 1, 1, 1))
        x, reference = inverted(lambda x, t: seen_in(x, t, texts[1]), scheduler.alphas_cumprod, latents, noise, timesteps)
        text, negative = (seen_in(x, timesteps, text) for text in (texts[0], texts[2]))
        directions["ism_gradient"] = negative + scale * (text - negative) - reference
    gradients = {}
    for key, direction in directions.items():
        gradients[key], = torch.autograd.grad((latents * (1 - alphas) * direction).sum() / noise.numel(), picture, retain_graph=True)
    return dict(noise=noise, perp_neg_weights=weights, **gradients)


def make(name, kind):
    folder = f"{OUT}/{name}"
    torch.manual_seed(0)
    tok = tokenizer(folder, kind["pad"])
    size, width = len(tok), 16
    length = tok.model_max_length
    text = rounded(CLIPTextModel(CLIPTextConfig(
        vocab_size=size, hidden_size=width, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=length,
        projection_dim=width, hidden_act=kind["act"], bos_token_id=size - 2, eos_token_id=size - 1, pad_token_id=size - 1)))
    unet = rounded(UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=width, norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **kind["unet"]))
    vae = rounded(AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2))
    scheduler = PNDMScheduler if kind["prediction"] == "epsilon" else DDPMScheduler
    scheduler(prediction_type=kind["prediction"], **BETAS).save_pretrained(f"{folder}/scheduler")
    for part, model in [("text_encoder", text), ("unet", unet), ("vae", vae)]:
        model.half().save_pretrained(f"{folder}/{part}")
        model.float()
    single_file(name, unet, vae, text)
    ids = tok(TEXTS, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        embeddings = text(ids).last_hidden_state
        others = text(tok(OTHERS, padding="max_length", max_length=length, return_tensors="pt").input_ids).last_hidden_state
        sample, timesteps = torch.randn(2, 4, 8, 8), torch.tensor([37, 801])
        output = unet(sample, timesteps, embeddings).sample
    scale = vae.config.scaling_factor
    picture = torch.rand(2, 3, 8, 8).requires_grad_()  # display-referred, half as large as the model's
    moments = vae.encode(F.interpolate(picture, (16, 16), mode="bilinear") * 2 - 1).latent_dist
    latents = moments.mean * scale
    gradient = torch.randn_like(latents)
    (latents * gradient).sum().backward()
    adapted = low_rank(folder, unet, text, sample, timesteps, embeddings, ids) if name == "sd15" else {}
    output_of = lambda x, t, text: unet(x, t, text.expand(len(x), -1, -1)).sample
    texts = [*embeddings.split(1), *others.split(1)]
    sds = score_distillation(output_of, vae, scheduler(prediction_type=kind["prediction"], **BETAS), picture, texts, timesteps)
    with torch.no_grad():
        decoded = vae.decode(latents / scale).sample / 2 + 0.5
    tensors = dict(input_ids=ids, text_embeddings=embeddings, sample=sample, timesteps=timesteps, output=output, picture=picture.detach(),
                   moments=moments.parameters, latents=latents, latents_gradient=gradient, picture_gradient=picture.grad, decoded=decoded, **sds, **adapted, **halves(unet, sample, timesteps, embeddings))
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, f"{folder}/reference.safetensors")


def low_rank(folder, unet, text, sample, timesteps, embeddings, ids, rank=2, alpha=1.0, scale=0.7):
    """Adaptations of some weights, in the layouts of kohya's scripts and of PEFT, and what the adapted networks compute by PEFT."""
    pairs = {}
    for part, model, ends in [("unet", unet, ("to_q", "to_out.0", "ff.net.2", "proj_in")), ("te", text, ("q_proj", "fc1"))]:
        for key, module in model.named_modules():
            if key.endswith(ends) and "mid_block" not in key:
                w = module.weight
                down, up = torch.randn(rank, *w.shape[1:]) / 4, torch.randn(w.shape[0], rank, *([1, 1] if w.ndim == 4 else [])) / 4
                pairs[part, key] = [down.half().float(), up.half().float()]
    kohya, peft = {}, {}
    for (part, key), (down, up) in pairs.items():
        full = key if part == "unet" or key.startswith("text_model.") else f"text_model.{key}"
        name = f"lora_{part}_{full.replace('.', '_')}"
        kohya |= {f"{name}.lora_down.weight": down.half(), f"{name}.lora_up.weight": up.half(), f"{name}.alpha": torch.tensor(alpha)}
        name = f"{'unet' if part == 'unet' else 'text_encoder'}.{full}"
        peft |= {f"{name}.lora_A.weight": down.half(), f"{name}.lora_B.weight": up.half()}
    save_file(kohya, f"{folder}/lora-kohya.safetensors")
    note = {f"{part}.{key}": value for part in ("unet", "text_encoder") for key, value in (("r", rank), ("lora_alpha", alpha))}
    save_file(peft, f"{folder}/lora-peft.safetensors", metadata=dict(format="pt", lora_adapter_metadata=json.dumps(note)))
    with torch.no_grad():
        plain = {key: value.clone() for key, value in text.state_dict().items()}
        for (part, key), (down, up) in pairs.items():  # PEFT adapts no text encoder through transformers 5; the formula then
            if part == "te":
                text.get_submodule(key).weight += scale * alpha / rank * up @ down
        of_text = text(ids).last_hidden_state
        text.load_state_dict(plain)
        targets = {"unet.target_modules": sorted({key.removeprefix("unet.").rsplit(".lora", 1)[0] for key in peft if key.startswith("unet.")})}
        unet.load_lora_adapter({key: value.float() for key, value in peft.items()}, prefix="unet", adapter_name="a", metadata=note | targets)
        unet.set_adapters(["a"], [scale])
        of_unet = unet(sample, timesteps, embeddings).sample
        unet.delete_adapters(["a"])
    return dict(output_lora=of_unet, text_embeddings_lora=of_text)


RESNET = dict(norm1="in_layers.0", conv1="in_layers.2", time_emb_proj="emb_layers.1", norm2="out_layers.0", conv2="out_layers.3", conv_shortcut="skip_connection")
ATTENTION = dict(group_norm="norm", to_q="q", to_k="k", to_v="v", to_out="proj_out")
OPEN_CLIP = dict(layer_norm1="ln_1", layer_norm2="ln_2", self_attn="attn", fc1="c_fc", fc2="c_proj")


def ldm_unet_key(key, layers):
    p = key.split(".")
    if p[0] in ("down_blocks", "up_blocks"):
        block = int(p[1]) * (layers + 1) + int(p[3])
        side, block = ("input_blocks", block + 1) if p[0] == "down_blocks" else ("output_blocks", block)
        if p[2] == "downsamplers":
            return f"input_blocks.{(int(p[1]) + 1) * (layers + 1)}.0.op.{p[-1]}"
        if p[2] == "upsamplers":
            return f"output_blocks.{int(p[1]) * (layers + 1) + layers}.UP.conv.{p[-1]}"
        return f"{side}.{block}.1.{'.'.join(p[4:])}" if p[2] == "attentions" else f"{side}.{block}.0.{RESNET[p[4]]}.{p[5]}"
    if p[0] == "mid_block":
        return f"middle_block.1.{'.'.join(p[3:])}" if p[1] == "attentions" else f"middle_block.{2 * int(p[2])}.{RESNET[p[3]]}.{p[4]}"
    for own, theirs in (("time_embedding", "time_embed"), ("add_embedding", "label_emb.0")):
        if p[0] == own:
            return f"{theirs}.{0 if p[1] == 'linear_1' else 2}.{p[2]}"
    return {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}[p[0]] + "." + p[1]


def ldm_vae_key(key, levels):
    p = key.split(".")
    if len(p) > 3 and p[1] in ("down_blocks", "up_blocks"):
        level = int(p[2]) if p[1] == "down_blocks" else levels - 1 - int(p[2])
        start = f"{p[0]}.{p[1].split('_')[0]}.{level}"
        if p[3] == "resnets":
            return f"{start}.block.{p[4]}.{p[5].replace('conv_shortcut', 'nin_shortcut')}.{p[6]}"
        return f"{start}.{p[3][:-3].replace('sampl', 'sample')}.conv.{p[-1]}"
    if len(p) > 2 and p[1] == "mid_block":
        return f"{p[0]}.mid.attn_1.{ATTENTION[p[4]]}.{p[-1]}" if p[2] == "attentions" else f"{p[0]}.mid.block_{int(p[3]) + 1}.{'.'.join(p[4:])}"
    return key.replace("conv_norm_out", "norm_out")


def open_clip(text):
    """OpenCLIP's names, and one more layer at the end than is used."""
    out = open_clip_names(text)
    last = f"transformer.resblocks.{text.config.num_hidden_layers - 1}."
    more = f"transformer.resblocks.{text.config.num_hidden_layers}."
    out |= {key.replace(last, more): torch.randn_like(value) for key, value in out.items() if key.startswith(last)}
    return out | {"text_projection": torch.randn(16, 16), "logit_scale": torch.tensor(4.6)}


def open_clip_names(text):
    """OpenCLIP's names, with queries, keys and values joined."""
    state, out = {key.removeprefix("text_model."): value for key, value in text.state_dict().items()}, {}
    for key, value in state.items():
        p = key.split(".")
        if p[0] == "text_projection":
            out["text_projection"] = value.T
        elif p[0] == "embeddings":
            out["positional_embedding" if p[1] == "position_embedding" else "token_embedding.weight"] = value
        elif p[0] == "final_layer_norm":
            out[f"ln_final.{p[1]}"] = value
        elif p[4] == "q_proj":
            joined = torch.cat([state[key.replace("q_proj", f"{part}_proj")] for part in "qkv"])
            out[f"transformer.resblocks.{p[2]}.attn.in_proj_{p[5]}"] = joined
        elif p[4] not in ("k_proj", "v_proj"):
            out[f"transformer.resblocks.{p[2]}.{'.'.join(OPEN_CLIP.get(part, part) for part in p[3:])}"] = value
    return out


def pictures_in_one_file(unet, vae):
    """U-Net and autoencoder with the names of a single file, which diffusers' own conversion brings back."""
    layers, levels = unet.config.layers_per_block, len(vae.config.block_out_channels)
    of_unet = {ldm_unet_key(key, layers): value for key, value in unet.state_dict().items()}
    has_attention = {key.split(".")[1] for key in of_unet if key.startswith("output_blocks") and ".1.norm." in key}
    slot = lambda key: key.replace("UP", "2" if key.split(".")[1] in has_attention else "1")
    of_unet = {slot(key): value for key, value in of_unet.items()}
    of_vae = {ldm_vae_key(key, levels): value for key, value in vae.state_dict().items()}
    pointwise = lambda key, value: value[:, :, None, None] if ".attn_1." in key and value.ndim == 2 else value
    of_vae = {key: pointwise(key, value) for key, value in of_vae.items()}
    state = {f"model.diffusion_model.{key}": value for key, value in of_unet.items()}
    state |= {f"first_stage_model.{key}": value for key, value in of_vae.items()}
    for convert, model in [(convert_ldm_unet_checkpoint, unet), (convert_ldm_vae_checkpoint, vae)]:
        back, right = convert(dict(state), dict(model.config)), model.state_dict()
        assert back.keys() == right.keys(), back.keys() ^ right.keys()
        assert all(torch.equal(back[key].reshape(right[key].shape), right[key]) for key in right)
    return state


def transformers_names(text):
    """As files of transformers before 5 and single files have them."""
    return {key if key.startswith("text_model.") else f"text_model.{key}": value for key, value in text.state_dict().items()}


def single_file(name, unet, vae, text):
    state = pictures_in_one_file(unet, vae)
    if text.config.hidden_act == "gelu":
        state |= {f"cond_stage_model.model.{key}": value for key, value in open_clip(text).items()}
    else:
        state |= {f"cond_stage_model.transformer.{key}": value for key, value in transformers_names(text).items()}
        state["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(24)[None]
    write_single_file(name, state)


def write_single_file(name, state):
    state["alphas_cumprod"] = torch.rand(10)
    half = {key: (value.half() if value.is_floating_point() else value).contiguous().clone() for key, value in state.items()}
    save_file(half, f"{OUT}/{name}.safetensors")


if __name__ == "__main__":
    for name, kind in KINDS.items():
        make(name, kind)
