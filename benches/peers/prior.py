"""The prior in PyTorch: guided evaluations and training steps of the networks that `benches/work` names.

With bf16 this is PyTorch at its best on a CPU: products in bf16 and channels last.
"""

import contextlib
import functools
import os
import sys

import torch
from diffusers import UNet2DConditionModel

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "crates", "dreamfuse-diffusion", "python"))
from dreamfuse_uvit import Camera, Told, UVit  # noqa: E402


def unet(channels, attention_from, size):
    kind = lambda name, order: [("CrossAttn" if level >= attention_from else "") + name for level in order]
    levels = range(len(channels))
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=3,
        out_channels=3,
        down_block_types=kind("DownBlock2D", levels),
        up_block_types=kind("UpBlock2D", reversed(levels)),
        block_out_channels=channels,
        layers_per_block=1,
        cross_attention_dim=128,
        attention_head_dim=4,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
        class_embed_type="projection",
        projection_class_embeddings_input_dim=9,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )


def large():
    return unet((32, 64, 128, 128), 2, 64)


def small():
    return unet((32, 64, 128), 1, 32)


# What `uvit-32.toml` gives.
PATCHES = dict(
    sample_size=32, in_channels=3, channels=96, head_channels=24, hidden_size=256, blocks=4, heads=8, feed_forward_size=640,
    conditioning_size=512, text_size=128, context_layers=3, context_heads=4, told_tokens=4, told_size=23,
)


class SameCamera(Camera):
    """Its maps are drawn once: what is timed is the network."""

    @functools.cache
    def ray_maps(self, size):
        return super().ray_maps(size)

    __hash__ = object.__hash__


class Patches(torch.nn.Module):
    """The network of patches (`uvit-32.toml`), called as diffusers calls a U-Net."""

    def __init__(self):
        super().__init__()
        self.network = UVit(PATCHES)
        self.told = Told(SameCamera(0.3, 0.2), "albedo")

    def forward(self, picture, time, text):
        return self.network(picture, time, text, [self.told] * len(picture))


class Call:
    """A network with inputs; `bf16` rounds the operands of products."""

    def __init__(self, network, batch, bf16, tokens=40):
        size = 32 if isinstance(network, Patches) else network.config.sample_size
        picture = torch.randn(batch, 3, size, size)
        self.is_bf16 = bf16
        if bf16:
            network, picture = (x.to(memory_format=torch.channels_last) for x in (network, picture))
        self.network = network
        self.inputs = [picture, torch.full((batch,), 500), torch.randn(batch, tokens, 128)]
        self.labels = {} if isinstance(network, Patches) else {"class_labels": torch.zeros(batch, 9)}

    def __call__(self, picture=None):
        drawn, time, text = self.inputs
        with torch.autocast("cpu", torch.bfloat16) if self.is_bf16 else contextlib.nullcontext():
            out = self.network(drawn if picture is None else picture, time, text, **self.labels)
        return out if torch.is_tensor(out) else out.sample


class Evaluation:
    def __init__(self, network, bf16=False):
        self.call = Call(network.eval(), 2, bf16)

    @torch.no_grad()
    def __call__(self):
        return self.call().numel()


class Training:
    """The network's part alone: ours also encodes the text, draws the pictures and averages the weights."""

    def __init__(self, network, batch=32, bf16=False):
        self.network, self.batch, self.call = network.train(), batch, Call(network, batch, bf16)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
        self.target = torch.randn_like(self.call.inputs[0])

    def __call__(self):
        out = self.call()
        self.optimizer.zero_grad(set_to_none=True)
        (out.float() - self.target).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return self.batch
