"""A small random CLIP and what transformers makes of texts and pictures with it, for tests/parity.rs.

    pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0
    python crates/dreamfuse-clip/tests/make_reference.py
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizerFast

OUT = Path(__file__).parent / "reference"
SIZE = 16


def tokenizer():
    """Letters, and one merge."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    tokens = letters + [letter + "</w>" for letter in letters] + ["ca", "<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    (OUT / "vocab.json").write_text(json.dumps(vocab))
    (OUT / "merges.txt").write_text("#version: 0.2\nc a\n")
    made = CLIPTokenizerFast(str(OUT / "vocab.json"), str(OUT / "merges.txt"), model_max_length=12)
    made.save_pretrained(OUT)
    for name in ["vocab.json", "merges.txt", "special_tokens_map.json"]:
        (OUT / name).unlink(missing_ok=True)
    return made, len(tokens)


def main():
    torch.manual_seed(0)
    OUT.mkdir(exist_ok=True)
    tokens, count = tokenizer()
    ends = {"bos_token_id": count - 2, "eos_token_id": count - 1, "pad_token_id": count - 1}
    common = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2}
    text = {**common, **ends, "vocab_size": count, "max_position_embeddings": 12, "projection_dim": 24}
    vision = {**common, "image_size": SIZE, "patch_size": 8, "projection_dim": 24}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
        model.save_pretrained(OUT)
        texts = ["cat", "a dog at a car", "two cats"]
        padded = tokens(texts, padding="max_length", max_length=12, return_tensors="pt")
        pixels = torch.rand(4, 3, SIZE, SIZE)
        mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).reshape(1, 3, 1, 1)
        std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).reshape(1, 3, 1, 1)
        out = model(**padded, pixel_values=(pixels - mean) / std)
        save_file(
            {
                "pixels": pixels,
                "ids": padded["input_ids"].to(torch.float32),
                "text_embeds": out.text_embeds,
                "image_embeds": out.image_embeds,
            },
            OUT / "reference.safetensors",
        )
    (OUT / "texts.json").write_text(json.dumps(texts))


if __name__ == "__main__":
    main()
