"""Small random models as the pinned diffusers, transformers and PEFT save them today, with what Python computes:
python_models.py FOLDER. `cargo run --example compare FOLDER` loads them and compares.
"""

import json
import os
import sys

import diffusers
import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    EulerDiscreteScheduler,
    IFPipeline,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

ROOT = sys.argv[1]
REFERENCE = os.path.join(os.path.dirname(__file__), "..", "crates", "dreamfuse-diffusion", "tests", "reference")
TEXTS = ["a squirrel at an easel!", "Two  robots"]
TIMESTEPS = torch.tensor([37, 801])


def rounded(model):
    return model.half().float().eval()


def tokenizer(padding=None):
    changes = dict(pad_token=padding) if padding else {}
    return CLIPTokenizer.from_pretrained(f"{REFERENCE}/tokenizer", **changes)


def clip(words, kind=CLIPTextModel, width=16, act="quick_gelu", layers=2):
    size = len(words)
    config = CLIPTextConfig(
        vocab_size=size, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, num_attention_heads=4,
        max_position_embeddings=words.model_max_length, projection_dim=12, hidden_act=act, bos_token_id=size - 2,
        eos_token_id=size - 1, pad_token_id=words.pad_token_id,
    )
    return rounded(kind(config))


def vae():
    return rounded(AutoencoderKL(
        block_out_channels=(8, 16), norm_num_groups=4, latent_channels=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    ))


def unet(width=16, **changes):
    shape = dict(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=width,
        norm_num_groups=4, attention_head_dim=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    return rounded(UNet2DConditionModel(**(shape | changes)))


def expect(name, network, embeddings, **added):
    config = network.config
    sample = torch.randn(2, config.in_channels, config.sample_size, config.sample_size)
    with torch.no_grad():
        output = network(sample, TIMESTEPS, embeddings, **added).sample
    tensors = dict(sample=sample, timesteps=TIMESTEPS, output=output[:, : config.in_channels])
    save_file({key: value.contiguous() for key, value in tensors.items()}, f"{ROOT}/{name}/expected.safetensors")


def embeddings_of(pipeline):
    with torch.no_grad():
        return torch.cat([pipeline.encode_prompt(text, "cpu", 1, False)[0] for text in TEXTS])


def stable_diffusion(name, words, network, scheduler, act, **saving):
    text = clip(words, act=act)
    pipeline = StableDiffusionPipeline(
        vae(), text, words, network, scheduler, None, None, requires_safety_checker=False)
    pipeline.save_pretrained(f"{ROOT}/{name}", **saving)
    expect(name, network, embeddings_of(pipeline))
    return pipeline


def with_lora(pipeline):
    """PEFT's layers in U-Net and text encoder, saved by diffusers."""
    targets = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "conv1"]
    pipeline.unet.add_adapter(LoraConfig(r=2, lora_alpha=3, target_modules=targets, init_lora_weights=False))
    text_targets = ["q_proj", "fc1"]
    config = LoraConfig(r=2, lora_alpha=1, target_modules=text_targets, init_lora_weights=False)
    pipeline.text_encoder.add_adapter(config)
    layers = [get_peft_model_state_dict(model) for model in (pipeline.unet, pipeline.text_encoder)]
    metadata = [model.peft_config["default"].to_dict() for model in (pipeline.unet, pipeline.text_encoder)]
    folder = f"{ROOT}/sd15-lora"
    StableDiffusionPipeline.save_lora_weights(
        folder, *layers, unet_lora_adapter_metadata=metadata[0], text_encoder_lora_adapter_metadata=metadata[1])
    os.rename(f"{folder}/pytorch_lora_weights.safetensors", f"{folder}/lora.safetensors")
    json.dump(dict(model="sd15"), open(f"{folder}/of.json", "w"))
    expect("sd15-lora", pipeline.unet, embeddings_of(pipeline))


def xl():
    first, second = tokenizer(), tokenizer("!")
    texts = clip(first, layers=3), clip(second, CLIPTextModelWithProjection, 24, "gelu", 3)
    network = unet(
        40, addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=12 + 6 * 8,
        use_linear_projection=True, attention_head_dim=(2, 4), transformer_layers_per_block=(1, 2),
    )
    scheduler = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    pipeline = StableDiffusionXLPipeline(vae(), *texts, first, second, network, scheduler, add_watermarker=False)
    pipeline.save_pretrained(f"{ROOT}/sdxl", variant="fp16")
    with torch.no_grad():
        encoded = [pipeline.encode_prompt(text, do_classifier_free_guidance=False) for text in TEXTS]
    embeddings, pooled = torch.cat([e[0] for e in encoded]), torch.cat([e[2] for e in encoded])
    sizes = torch.tensor([[16, 16, 0, 0, 16, 16]] * 2)
    expect("sdxl", network, embeddings, added_cond_kwargs=dict(text_embeds=pooled, time_ids=sizes))


def deepfloyd():
    words = T5Tokenizer.from_pretrained(f"{REFERENCE}/deepfloyd/tokenizer")
    text = rounded(T5EncoderModel(T5Config(
        vocab_size=232, d_model=24, d_kv=6, d_ff=32, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=16, relative_attention_max_distance=40)))
    network = unet(
        32, sample_size=16, in_channels=3, out_channels=6, encoder_hid_dim=24, block_out_channels=(8, 16),
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), addition_embed_type="text",
        addition_embed_type_num_heads=2, cross_attention_norm="group_norm", resnet_time_scale_shift="scale_shift", act_fn="gelu",
    )
    scheduler = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=1.5,
        variance_type="learned_range")
    pipeline = IFPipeline(words, text, network, scheduler, None, None, None, requires_safety_checker=False)
    pipeline.save_pretrained(f"{ROOT}/if", variant="fp16", max_shard_size="16KB")
    with torch.no_grad():
        embeddings = torch.cat([pipeline.encode_prompt(text, do_classifier_free_guidance=False)[0] for text in TEXTS])
    expect("if", network, embeddings)


def main():
    diffusers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    os.makedirs(ROOT, exist_ok=True)
    json.dump(TEXTS, open(f"{ROOT}/texts.json", "w"))
    betas = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    pipeline = stable_diffusion("sd15", tokenizer(), unet(), PNDMScheduler(**betas), "quick_gelu")
    with_lora(pipeline)
    linear = unet(use_linear_projection=True, attention_head_dim=(2, 4))
    v = DDPMScheduler(prediction_type="v_prediction", **betas)
    stable_diffusion("sd21", tokenizer("!"), linear, v, "gelu", max_shard_size="64KB")
    xl()
    deepfloyd()


main()
