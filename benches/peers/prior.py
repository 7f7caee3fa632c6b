"""The prior in diffusers: guided evaluations and training steps of the U-Nets that `benches/work` names."""

import torch
from diffusers import UNet2DConditionModel


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


def inputs(network, batch, tokens=40):
    size = network.config.sample_size
    picture = torch.randn(batch, 3, size, size)
    return picture, torch.full((batch,), 500), torch.randn(batch, tokens, 128), torch.zeros(batch, 9)


class Evaluation:
    def __init__(self, network):
        self.network, self.inputs = network.eval(), inputs(network, 2)

    @torch.no_grad()
    def __call__(self):
        picture, time, text, camera = self.inputs
        return self.network(picture, time, text, class_labels=camera).sample.numel()


class Training:
    """The U-Net's part alone: ours also encodes the text, draws the pictures and averages the weights."""

    def __init__(self, network, batch=32):
        self.network, self.batch, self.inputs = network.train(), batch, inputs(network, batch)
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
        self.target = torch.randn_like(self.inputs[0])

    def __call__(self):
        picture, time, text, camera = self.inputs
        out = self.network(picture, time, text, class_labels=camera).sample
        self.optimizer.zero_grad(set_to_none=True)
        (out - self.target).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return self.batch
