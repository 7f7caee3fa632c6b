"""Opens the network of dreamfuse's built-in prior in PyTorch.
  network = UVit.open("weights/unet")                       # config.json and diffusion_pytorch_model.safetensors
  text = CLIPTextModel.from_pretrained("weights/text_encoder")(ids).last_hidden_state
  v = network(noisy, timesteps, text, [Told(Camera(azimuth=0.5, elevation=0.3), shading="albedo", background=(.5, .5, .5))])
With images of the object, where config.json has "references" (a set an image of the batch, or none):
  shown = network.read_references(images, timesteps, empty_text, [Told(Camera(0.0, 0.3))], per_set=1)
  v = network(noisy, timesteps, text, told, shown, sets=[0, None])
`noisy` is [batch, 3, size, size] in [-1, 1]; v-prediction of a squared-cosine schedule, as scheduler_config.json says.
crates/dreamfuse-diffusion/src/uvit.rs is the same network, tested against this file. Needs torch, safetensors and numpy.
"""
import json
import math
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file


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
        forward, level = np.array([-sa * ce, ca * ce, -se]), np.array([ca, sa, 0.0])
        up, sin, cos = np.cross(level, forward), math.sin(self.roll), math.cos(self.roll)
        return cos * level - sin * up, cos * up + sin * level, forward

    def position(self):
        return np.asarray(self.look_at) - self.distance * self.axes()[2]

    def conditioning(self):
        return [1.0, math.cos(self.azimuth), math.sin(self.azimuth), math.sin(self.elevation), self.distance, self.fov,
                *self.crop_center, self.crop_scale]

    def frames(self):
        """World to camera and back, lengths in units of 3."""
        to_camera = np.vstack([np.c_[self.axes(), -np.array(self.axes()) @ self.position() / 3], [0, 0, 0, 1]])
        return to_camera, np.linalg.inv(to_camera)

    def aim(self):
        """Where the origin is in the whole view, and the roll."""
        (right, up, forward), to = self.axes(), -self.position()
        half = to @ forward * math.tan(self.fov / 2)
        return [to @ right / half, -(to @ up) / half, self.roll]

    def ray_maps(self, size):
        """[18, size, size]: direction, point nearest to the origin, and its sines and cosines."""
        (right, up, forward), half = self.axes(), math.tan(self.fov / 2)
        x, y = (half * (center + self.crop_scale * (2 * np.arange(size) + 1 - size) / size) for center in self.crop_center)
        d = forward + x[None, :, None] * right - y[:, None, None] * up
        d = torch.tensor(d / np.linalg.norm(d, axis=-1, keepdims=True), dtype=torch.float32).permute(2, 0, 1)
        origin = torch.tensor(self.position(), dtype=torch.float32).view(3, 1, 1)
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
    is_turned: bool = False  # azimuths count from an unknown direction

    def conditioning(self):
        camera = self.camera.conditioning() if self.camera else [0.0] * 9
        camera[1:3] = [0.0, 0.0] if self.is_turned else camera[1:3]
        shading = [float(self.shading == name) for name in ("albedo", "lambertian", "textureless")]
        is_lit = self.light and self.camera and self.shading != "albedo"
        light = [*(self.camera.axes() @ np.array(self.light[0]) / np.linalg.norm(self.light[0])), self.light[1]] if is_lit else [0.0] * 4
        background = [x - 0.5 for x in self.background] if self.background else [0.0] * 3
        aim = self.camera.aim() if self.camera else [0.0] * 3
        return [*camera, *shading, *light, *background, *aim, {None: 0.0, True: 1.0, False: -1.0}[self.canonical]]


def embedding(inputs, outputs):
    layers = dict(linear_1=nn.Linear(inputs, outputs), act=nn.SiLU(), linear_2=nn.Linear(outputs, outputs))
    return nn.Sequential(OrderedDict(layers))


class Attention(nn.Module):
    def __init__(self, width, context, heads):
        super().__init__()
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k, self.to_v = nn.Linear(context, width, bias=False), nn.Linear(context, width, bias=False)
        self.to_out, self.heads = nn.ModuleList([nn.Linear(width, width)]), heads

    def keys_values(self, context, camera=None):
        return [act(to(context), camera, self.heads) for to in (self.to_k, self.to_v)]

    def forward(self, x, keys_values, camera=None):
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (act(self.to_q(x), camera, self.heads), *keys_values))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.to_out[0](act(y, camera if camera is None else camera.transpose(1, 2), self.heads))


def act(x, camera, heads):
    """A camera's matrix on groups of four channels in half of each head (GTA, Miyato et al. 2024); [batch, 4, 4] of them."""
    if camera is None:
        return x
    acted, rest = x.unflatten(-1, (heads, 2, -1)).unbind(-2)
    return torch.stack([(acted.reshape(len(x), -1, 4) @ camera).view_as(acted), rest], -2).flatten(2)


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
        x = x + self.attn1(self.norm1(x), self.attn1.keys_values(self.norm1(x)))
        return x + self.ff(self.norm2(x))


class Context(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, size = c["text_size"], c["conditioning_size"]
        self.time_embedding, self.told_embedding = embedding(128, size), embedding(c["told_size"], size)
        self.told_tokens = embedding(c["told_size"], c["told_tokens"] * width)
        self.told_position = nn.Parameter(torch.randn(c["told_tokens"], width) * 0.5)
        self.layers = nn.ModuleList(Layer(width, c["context_heads"]) for _ in range(c["context_layers"]))
        self.pooled = nn.Linear(width, size)

    def forward(self, timesteps, text, values):
        told = self.told_tokens(values).unflatten(1, self.told_position.shape) + self.told_position
        tokens = torch.cat([text, told], 1)
        for layer in self.layers:
            tokens = layer(tokens)
        angles = timesteps[:, None] * torch.exp(-math.log(1e4) * torch.arange(64) / 64)
        time = self.time_embedding(torch.cat([angles.cos(), angles.sin()], 1))
        return tokens, time + self.told_embedding(values) + self.pooled(tokens.mean(1))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, heads = c["hidden_size"], c["heads"]
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1, self.attn2 = Attention(width, width, heads), Attention(width, c["text_size"], heads)
        self.ff, self.modulation = FeedForward(width, c["feed_forward_size"]), nn.Linear(c["conditioning_size"], 6 * width)
        if c.get("references"):
            self.norm_x, self.attn_x = nn.LayerNorm(width), Attention(width, width, heads)

    def forward(self, x, context, embedding, frames, shown=None, read=None):
        """`shown` is keys, values of other images and a gate; `read` is told those of this one."""
        scale, shift, gate, ff_scale, ff_shift, ff_gate = self.modulation(embedding)[:, None].chunk(6, -1)
        h = self.norm1(x) * (1 + scale) + shift
        x = x + self.attn1(h, self.attn1.keys_values(h)) * (1 + gate)
        if shown:
            x = x + self.attn_x(self.norm_x(x), shown[:2], frames[0]) * shown[2]
        if read is not None:
            read.append(self.attn_x.keys_values(self.norm_x(x), frames[1].transpose(1, 2)))
        x = x + self.attn2(self.norm2(x), self.attn2.keys_values(context))
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
        network = cls(json.load(open(f"{folder}/config.json"))).eval()
        network.load_state_dict(load_file(f"{folder}/diffusion_pytorch_model.safetensors"))
        return network

    def read_references(self, images, timesteps, text, told, per_set):
        """[sets * per_set, 3, size, size] to keys and values of each block, [sets, per_set * tokens, width]."""
        self(images, timesteps, text, told, read=(read := []))
        return [[tokens.unflatten(0, (-1, per_set)).flatten(1, 2) for tokens in pair] for pair in read]

    def forward(self, sample, timesteps, text, told, references=None, sets=None, read=None):
        size, unknown = sample.shape[-1], torch.zeros(18, sample.shape[-1], sample.shape[-1])
        rays = torch.stack([known.camera.ray_maps(size) if known.camera else unknown for known in told])
        values = torch.tensor([known.conditioning() for known in told], dtype=torch.float32)
        context, embedding = self.context(timesteps, text, values)
        embedding, tokens, x = F.silu(embedding), lambda x: x.flatten(2).transpose(1, 2), torch.cat([sample, rays], 1)
        h = self.conv_in(F.pixel_unshuffle(x, 2))
        for block in self.down:
            h = block(h, embedding)
        z = self.patch_in(tokens(F.pixel_unshuffle(h, 2))) + self.position
        z = z + self.rays_in(tokens(F.pixel_unshuffle(F.pixel_unshuffle(rays, 2), 2)))
        if references:
            gate = torch.tensor([[[float(s is not None)]] for s in sets])
            references = [(*(tokens[[s or 0 for s in sets]] for tokens in pair), gate) for pair in references]
        frames = [one.camera.frames() if one.camera else (np.eye(4),) * 2 for one in told if references or read is not None]
        frames = [torch.tensor(np.array(matrices), dtype=torch.float32) for matrices in zip(*frames)]
        for i, block in enumerate(self.blocks):
            z = block(z, context, embedding, frames, references and references[i], read)
        z = F.pixel_shuffle(self.patch_out(z).transpose(1, 2).unflatten(2, (size // 4, size // 4)), 2)
        for block in self.up:
            z = block(torch.cat([z, h], 1) if block is self.up[0] else z, embedding)
        fine = F.pixel_shuffle(self.head(F.silu(self.norm_out(z))), 2)
        scale, shift = self.head_modulation(embedding)[:, :, None, None].chunk(2, 1)
        fine = self.head_1(torch.cat([fine, x], 1)) * (1 + scale) + shift
        return self.head_2(F.silu(fine)) + sample * self.skip(embedding)[:, :, None, None]
