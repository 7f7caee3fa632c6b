"""Opens the network of dreamfuse's built-in prior in PyTorch.

  network = UVit.open("weights/unet")                       # config.json and diffusion_pytorch_model.safetensors
  text = CLIPTextModel.from_pretrained("weights/text_encoder")(ids).last_hidden_state
  v = network(noisy, timesteps, text, [Told(Camera(azimuth=0.5, elevation=0.3), shading="albedo", background=(.5, .5, .5))])

`noisy` is [batch, 3, size, size] in [-1, 1]; v-prediction of a squared-cosine schedule, as scheduler_config.json says. It is the same
network as crates/dreamfuse-diffusion/src/uvit.rs, whose parity test is made with this file. Needs torch and safetensors.
"""
import json
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file

SHADINGS = ("albedo", "lambertian", "textureless")


def cross(a, b):
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def plus(a, b, scale=1.0):
    return [x + scale * y for x, y in zip(a, b)]


def unit(a):
    return [x / math.sqrt(dot(a, a)) for x in a]


@dataclass
class Camera:
    """Angles in radians; azimuth 0 stands at -Y and grows towards +X; Z is up."""
    azimuth: float
    elevation: float
    distance: float = 3.0
    fov: float = math.radians(40)
    look_at: tuple = (0.0, 0.0, 0.0)
    roll: float = 0.0
    crop_center: tuple = (0.0, 0.0)
    crop_scale: float = 1.0

    def axes(self):
        (sa, ca), (se, ce) = ((math.sin(x), math.cos(x)) for x in (self.azimuth, self.elevation))
        forward, level = [-sa * ce, ca * ce, -se], [ca, sa, 0.0]
        up, sin, cos = cross(level, forward), math.sin(self.roll), math.cos(self.roll)
        right = plus([cos * x for x in level], up, -sin)
        return right, plus([cos * x for x in up], level, sin), forward

    def position(self):
        return plus(self.look_at, self.axes()[2], -self.distance)

    def ray(self, x, y):
        right, up, forward = self.axes()
        half = math.tan(self.fov / 2)
        on_plane = lambda value, center: half * (center + self.crop_scale * (2 * value - 1))
        direction = plus(forward, right, on_plane(x, self.crop_center[0]))
        return unit(plus(direction, up, -on_plane(y, self.crop_center[1])))

    def conditioning(self):
        return [1.0, math.cos(self.azimuth), math.sin(self.azimuth), math.sin(self.elevation), self.distance, self.fov,
                *self.crop_center, self.crop_scale]

    def aim(self):
        """Where the origin is in the whole view, and the roll."""
        right, up, forward = self.axes()
        to = [-x for x in self.position()]
        half = dot(to, forward) * math.tan(self.fov / 2)
        return [dot(to, right) / half, -dot(to, up) / half, self.roll]

    def ray_maps(self, size):
        """[18, size, size]: direction, point nearest to the origin, and its sines and cosines."""
        centers = [(i + 0.5) / size for i in range(size)]
        d = torch.tensor([[self.ray(x, y) for x in centers] for y in centers]).permute(2, 0, 1)
        origin = torch.tensor(self.position()).view(3, 1, 1)
        p = origin - (origin * d).sum(0) * d
        waves = [f(k * math.pi * p) for k in (1, 2) for f in (torch.sin, torch.cos)]
        return torch.cat([d, p, *waves])


@dataclass
class Told:
    """What is known of an image; None is unknown. A light is (position, ambient)."""
    camera: Camera = None
    shading: str = None
    light: tuple = None
    background: tuple = None
    canonical: bool = None

    def conditioning(self):
        camera = self.camera.conditioning() if self.camera else [0.0] * 9
        shading = [float(self.shading == name) for name in SHADINGS]
        light = [0.0] * 4
        if self.light and self.camera and self.shading != "albedo":
            direction = unit(self.light[0])
            light = [*(dot(axis, direction) for axis in self.camera.axes()), self.light[1]]
        background = [x - 0.5 for x in self.background] if self.background else [0.0] * 3
        aim = self.camera.aim() if self.camera else [0.0] * 3
        canonical = 0.0 if self.canonical is None else 1.0 if self.canonical else -1.0
        return [*camera, *shading, *light, *background, *aim, canonical]


class Embedding(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, outputs), nn.Linear(outputs, outputs)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x)))


class Attention(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = nn.Linear(context, width, bias=False), nn.Linear(context, width, bias=False)
        self.to_out, self.heads = nn.ModuleList([nn.Linear(width, width)]), heads

    def forward(self, x, context):
        split = lambda y: y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        y = F.scaled_dot_product_attention(split(self.to_q(x)), split(self.to_k(context)), split(self.to_v(context)))
        return self.to_out[0](y.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.proj_in, self.proj_out = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)

    def forward(self, x):
        value, gate = self.proj_in(x).chunk(2, -1)
        return self.proj_out(value * F.gelu(gate))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn1, self.ff = Attention(width, width, heads), FeedForward(width, 4 * width)

    def forward(self, x):
        h = self.norm1(x)
        x = x + self.attn1(h, h)
        return x + self.ff(self.norm2(x))


class Context(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, size = c["text_size"], c["conditioning_size"]
        self.time_embedding, self.told_embedding = Embedding(128, size), Embedding(c["told_size"], size)
        self.told_tokens = Embedding(c["told_size"], c["told_tokens"] * width)
        self.told_position = nn.Parameter(torch.randn(c["told_tokens"], width) * 0.5)
        self.layers = nn.ModuleList(Layer(width, c["context_heads"]) for _ in range(c["context_layers"]))
        self.pooled = nn.Linear(width, size)

    def forward(self, timesteps, text, values):
        told = self.told_tokens(values).unflatten(1, self.told_position.shape) + self.told_position
        tokens = torch.cat([text, told], 1)
        for layer in self.layers:
            tokens = layer(tokens)
        angles = timesteps[:, None].float() * torch.exp(-math.log(1e4) * torch.arange(64) / 64)
        sines = torch.cat([angles.cos(), angles.sin()], 1)
        return tokens, self.time_embedding(sines) + self.told_embedding(values) + self.pooled(tokens.mean(1))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        width = c["hidden_size"]
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1, self.attn2 = Attention(width, width, c["heads"]), Attention(width, c["text_size"], c["heads"])
        self.ff, self.modulation = FeedForward(width, c["feed_forward_size"]), nn.Linear(c["conditioning_size"], 6 * width)

    def forward(self, x, context, embedding):
        scale, shift, gate, ff_scale, ff_shift, ff_gate = self.modulation(embedding)[:, None].chunk(6, -1)
        h = self.norm1(x) * (1 + scale) + shift
        x = x + self.attn1(h, h) * (1 + gate)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x) * (1 + ff_scale) + ff_shift) * (1 + ff_gate)


class Resnet(nn.Module):
    def __init__(self, inputs, outputs, size):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(size, 2 * outputs)
        self.norm2, self.conv2 = nn.GroupNorm(8, outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x, embedding):
        scale, shift = self.time_emb_proj(embedding)[:, :, None, None].chunk(2, 1)
        h = self.norm2(self.conv1(F.silu(self.norm1(x)))) * (1 + scale) + shift
        return (self.conv_shortcut(x) if self.conv_shortcut else x) + self.conv2(F.silu(h))


class UVit(nn.Module):
    def __init__(self, c):
        super().__init__()
        channels, head, width, size = c["channels"], c["head_channels"], c["hidden_size"], c["conditioning_size"]
        inputs, self.config = c["in_channels"] + 18, c
        self.conv_in, self.context = nn.Conv2d(4 * inputs, channels, 3, padding=1), Context(c)
        self.down = nn.ModuleList(Resnet(channels, channels, size) for _ in range(2))
        self.patch_in, self.rays_in = nn.Linear(4 * channels, width), nn.Linear(16 * 18, width)
        self.position = nn.Parameter(torch.randn((c["sample_size"] // 4) ** 2, width) * 0.02)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c["blocks"]))
        self.patch_out = nn.Linear(width, 4 * channels)
        self.up = nn.ModuleList(Resnet(inputs, channels, size) for inputs in (2 * channels, channels))
        self.norm_out, self.head = nn.GroupNorm(8, channels), nn.Conv2d(channels, 4 * head, 1)
        self.head_1, self.head_modulation = nn.Conv2d(head + inputs, head, 3, padding=1), nn.Linear(size, 2 * head)
        self.head_2, self.skip = nn.Conv2d(head, c["in_channels"], 3, padding=1), nn.Linear(size, c["in_channels"])

    @classmethod
    def open(cls, folder):
        network = cls(json.load(open(f"{folder}/config.json")))
        weights = load_file(f"{folder}/diffusion_pytorch_model.safetensors")
        network.load_state_dict({key: value.float() for key, value in weights.items()})
        return network.eval()

    def forward(self, sample, timesteps, text, told):
        size, maps = sample.shape[-1], []
        for known in told:
            maps.append(known.camera.ray_maps(size) if known.camera else torch.zeros(18, size, size))
        rays, values = torch.stack(maps), torch.tensor([known.conditioning() for known in told])
        context, embedding = self.context(timesteps, text, values)
        embedding, tokens = F.silu(embedding), lambda x: x.flatten(2).transpose(1, 2)
        x = torch.cat([sample, rays], 1)
        h = self.conv_in(F.pixel_unshuffle(x, 2))
        for block in self.down:
            h = block(h, embedding)
        z = self.patch_in(tokens(F.pixel_unshuffle(h, 2))) + self.position
        z = z + self.rays_in(tokens(F.pixel_unshuffle(F.pixel_unshuffle(rays, 2), 2)))
        for block in self.blocks:
            z = block(z, context, embedding)
        z = F.pixel_shuffle(self.patch_out(z).transpose(1, 2).unflatten(2, (size // 4, size // 4)), 2)
        z = torch.cat([z, h], 1)
        for block in self.up:
            z = block(z, embedding)
        fine = F.pixel_shuffle(self.head(F.silu(self.norm_out(z))), 2)
        scale, shift = self.head_modulation(embedding)[:, :, None, None].chunk(2, 1)
        fine = self.head_1(torch.cat([fine, x], 1)) * (1 + scale) + shift
        return self.head_2(F.silu(fine)) + sample * self.skip(embedding)[:, :, None, None]
