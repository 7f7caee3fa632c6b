"""The render step in PyTorch: hash-grid encoding, a small network, compositing, and every parameter's gradient."""

import torch
from torch import nn
from torch.nn import functional as F

PRIMES = (1, 2654435761, 805459861)


class HashGrid(nn.Module):
    """Multiresolution hash encoding (Müller et al. 2022), two features a level, trilinear."""

    def __init__(self, levels=16, base=16, finest=1024, log2_table=17):
        super().__init__()
        growth = (finest / base) ** (1 / (levels - 1))
        self.cells = [int(base * growth**level) for level in range(levels)]
        self.entries = 1 << log2_table
        self.tables = nn.ParameterList(nn.Parameter(1e-4 * torch.randn(self.entries, 2)) for _ in self.cells)

    def index(self, corner, cells):
        if (cells + 1) ** 3 <= self.entries:
            return corner[:, 0] + (cells + 1) * (corner[:, 1] + (cells + 1) * corner[:, 2])
        x, y, z = (corner[:, axis] * prime for axis, prime in enumerate(PRIMES))
        return (x ^ y ^ z) & (self.entries - 1)

    def forward(self, points):
        """[N, 3] in [0, 1] to [N, 2 levels]."""
        levels = []
        for cells, table in zip(self.cells, self.tables):
            place = points * cells
            low = place.floor().clamp(max=cells - 1)
            part = place - low
            low = low.long()
            features = 0
            for bits in range(8):
                offset = torch.tensor([bits & 1, bits >> 1 & 1, bits >> 2])
                weight = torch.where(offset.bool(), part, 1 - part).prod(1, keepdim=True)
                features = features + weight * F.embedding(self.index(low + offset, cells), table)
            levels.append(features)
        return torch.cat(levels, 1)


class Field(nn.Module):
    """Density and albedo of points in [-1, 1]³."""

    def __init__(self, hidden=64, **grid):
        super().__init__()
        self.grid = HashGrid(**grid)
        self.network = nn.Sequential(nn.Linear(2 * len(self.grid.cells), hidden), nn.ReLU(), nn.Linear(hidden, 4))

    def forward(self, points, blob=8.0, radius=0.4, scale=8.0):
        out = self.network(self.grid((points + 1) / 2))
        density = scale * F.softplus(out[:, 0] + blob * (1 - points.norm(dim=1) / radius))
        return density, torch.sigmoid(out[:, 1:])


def composite(density, color, kept, rays, samples, step, background):
    """Pictures [rays, 3] of the samples that were kept, of `samples` on every ray."""
    density = torch.zeros(rays * samples).index_copy(0, kept, density).view(rays, samples)
    color = torch.zeros(rays * samples, 3).index_copy(0, kept, color).view(rays, samples, 3)
    depth = density * step
    seen = torch.exp(-(depth.cumsum(1) - depth))
    weight = (1 - torch.exp(-depth)) * seen
    return (weight[..., None] * color).sum(1) + (1 - weight.sum(1, keepdim=True)) * background


class RenderStep:
    """Picture and gradients of one view: `rays` rays, of whose samples the share `keep` is evaluated."""

    def __init__(self, keep=1.0, rays=4096, samples=64):
        self.field, self.rays, self.samples = Field(), rays, samples
        directions = F.normalize(torch.randn(rays, 3), dim=1)
        along = 2 * (torch.arange(samples) + 0.5) / samples
        points = 0.3 * torch.randn(rays, 1, 3) + directions[:, None] * (along[:, None] - 1)
        self.kept = torch.randperm(rays * samples)[: int(keep * rays * samples)].sort().values
        self.points = points.clamp(-1, 1).view(-1, 3)[self.kept]
        self.gradient = torch.randn(rays, 3)

    def __call__(self):
        density, color = self.field(self.points)
        step = 2 / self.samples
        picture = composite(density, color, self.kept, self.rays, self.samples, step, 0.5)
        self.field.zero_grad(set_to_none=True)
        picture.backward(self.gradient)
        return len(self.kept)
