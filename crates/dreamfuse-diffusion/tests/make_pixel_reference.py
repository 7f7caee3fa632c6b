#!/usr/bin/env python3
"""Makes tests/reference/deepfloyd: a small random model of DeepFloyd IF's first stage by diffusers' and transformers' own classes, and
what it computes.

  pip install torch==2.15.0 diffusers==0.42.1 transformers==5.23.0 safetensors==0.8.0 sentencepiece==0.2.3 numpy
  python3 make_pixel_reference.py

Weights are rounded to f16 before anything is computed, so that the committed files stay small; all arithmetic is in f32 but where it is
said to be in f16 or bf16.
"""
import io
import os
import shutil

import sentencepiece
import torch
from diffusers import DDPMScheduler, IFPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import T5Config, T5EncoderModel, T5Tokenizer

from make_latent_reference import halves, rounded

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference", "deepfloyd")
TEXTS = ["A squirrel  at an easel, painting!", ""]
WORDS = "a squirrel an easel at painting robot and dinosaur playing chess tower bridge made out of gingerbread candy photo red blue view front side back"
# What a tokenizer may stumble over: case, spaces, accents, ligatures, full-width letters, unknown signs, special tokens.
TRICKY = ["a squirrel", "  two  spaces ", "Café ﬁne ＡＢＣ", "日本 語", "tab\tand\nline", "robots' 12 % of <extra_id_3> <pad> end</s>", "½ … “quoted” — dash", "🐿 squirrel"]


def sentence_piece(folder):
    os.makedirs(folder, exist_ok=True)
    words, model = WORDS.split(), io.BytesIO()
    sentences = [" ".join(words[(i * step) % len(words)] for i in range(9)) for step in range(1, 40)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences * 3), model_writer=model, vocab_size=120, hard_vocab_limit=False, model_type="unigram", normalization_rule_name="nmt_nfkc",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, character_coverage=1.0, num_threads=1, minloglevel=2)
    open(f"{folder}/spiece.model", "wb").write(model.getvalue())


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    torch.manual_seed(0)
    sentence_piece(f"{OUT}/tokenizer")
    tokenizer = T5Tokenizer.from_pretrained(f"{OUT}/tokenizer")
    text = rounded(T5EncoderModel(T5Config(
        vocab_size=232, d_model=24, d_kv=6, d_ff=32, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=16, relative_attention_max_distance=40)))
    unet = rounded(UNet2DConditionModel(
        sample_size=16, in_channels=3, out_channels=6, block_out_channels=(8, 16, 16), layers_per_block=1, cross_attention_dim=32, encoder_hid_dim=24,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), attention_head_dim=4, norm_num_groups=4,
        addition_embed_type="text", addition_embed_type_num_heads=2, cross_attention_norm="group_norm", resnet_time_scale_shift="scale_shift",
        act_fn="gelu"))
    scheduler = DDPMScheduler(
        beta_schedule="squaredcos_cap_v2", thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=1.5, variance_type="learned_range")
    model = IFPipeline(tokenizer, text, unet, scheduler, None, None, None, requires_safety_checker=False)
    embeddings = torch.cat([model.encode_prompt(prompt, do_classifier_free_guidance=False)[0] for prompt in TEXTS])
    ids = tokenizer([prompt.lower().strip() for prompt in TEXTS], padding="max_length", max_length=77).input_ids
    with torch.no_grad():
        sample, timesteps = torch.randn(2, 3, 16, 16), torch.tensor([37, 801])
        output = unet(sample, timesteps, embeddings).sample
        clean = scheduler._threshold_sample(sample)
        tricky = torch.tensor([tokenizer(prompt.lower().strip(), padding="max_length", max_length=77).input_ids for prompt in TRICKY])
    scheduler.save_pretrained(f"{OUT}/scheduler")
    unet.half().save_pretrained(f"{OUT}/unet")
    text.half().save_pretrained(f"{OUT}/text_encoder", max_shard_size="16KB")
    tensors = dict(input_ids=torch.tensor(ids), text_embeddings=embeddings, sample=sample, timesteps=timesteps, output=output, thresholded=clean, tricky_ids=tricky,
                   **halves(unet, sample, timesteps, embeddings))
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, f"{OUT}/reference.safetensors")


main()
