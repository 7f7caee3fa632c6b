"""The rasterizer in plain tensors of PyTorch: a textured ball, with the gradients of its vertices and its texture. Silhouettes are
blended as in Laine et al. (2020)."""

import math

import torch
from torch.nn import functional as F

AROUND = ROWS = 32
SIZE, SIDE = 128, 256


def ball():
    """Places [V, 3], triangles [T, 3], texture coordinates of their corners [T, 3, 2], and vertices across their edges [T, 3]."""
    v, u = torch.meshgrid(torch.arange(ROWS + 1) / ROWS, torch.arange(AROUND) / AROUND, indexing="ij")
    x, y, z = torch.sin(math.pi * v) * torch.cos(2 * math.pi * u), torch.cos(math.pi * v), torch.sin(math.pi * v) * torch.sin(2 * math.pi * u)
    places = torch.stack([0.5 + 0.35 * x, 0.5 + 0.35 * y, 2 + 0.5 * z], 2).reshape(-1, 3)
    triangles, uvs = [], []
    for row in range(ROWS):
        for column in range(AROUND):
            cell = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
            for corners in [(0, 1, 2), (0, 2, 3)]:
                corners = [cell[corner] for corner in corners]
                if all(sum(r == end for r, _ in corners) < 2 for end in (0, ROWS)):
                    triangles.append([r * AROUND + c % AROUND for r, c in corners])
                    uvs.append([(c / AROUND, r / ROWS) for r, c in corners])
    third = {(t[k], t[(k + 1) % 3]): t[(k + 2) % 3] for t in triangles for k in range(3)}
    across = [[third.get((t[(k + 1) % 3], t[k]), -1) for k in range(3)] for t in triangles]
    return places, torch.tensor(triangles), torch.tensor(uvs), torch.tensor(across)


def cross(a, b, c):
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])


class Raster:
    def __init__(self):
        self.places, self.triangles, self.uvs, self.across = ball()
        self.places.requires_grad_()
        self.texture = torch.rand(SIDE, SIDE, 3, requires_grad=True)
        self.gradient = torch.rand(4, SIZE, SIZE)
        row, column = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
        self.centers = torch.stack([column, row], 2).reshape(-1, 2) + 0.5

    @torch.no_grad()
    def hits(self, points):
        """The nearest triangle of each pixel, or −1, and how near it is."""
        found, nearness = [], []
        a, b, c = points[self.triangles].unbind(1)
        depths, area = self.places[self.triangles, 2], cross(a, b, c)
        for centers in self.centers.split(2048):
            p = centers[:, None]
            weights = torch.stack([cross(p, b, c), cross(a, p, c), cross(a, b, p)], 2) / area[:, None]
            near = torch.where((weights >= 0).all(2), (weights / depths).sum(2), 0)
            best, index = near.max(1)
            found.append(torch.where(best > 0, index, -1))
            nearness.append(best)
        return torch.cat(found), torch.cat(nearness)

    def colors(self, points, found):
        corners = self.triangles[found]
        a, b, c = points[corners].unbind(1)
        p = self.centers
        weights = torch.stack([cross(p, b, c), cross(a, p, c), cross(a, b, p)], 1) / cross(a, b, c)[:, None]
        shares = weights / self.places[corners, 2]
        uv = (shares[..., None] * self.uvs[found]).sum(1) / shares.sum(1, keepdim=True)
        texture = self.texture.permute(2, 0, 1)[None]
        seen = F.grid_sample(texture, 2 * uv[None, None] - 1, padding_mode="border", align_corners=False)[0, :, 0].T
        is_seen = (found >= 0)[:, None]
        return torch.where(is_seen, torch.cat([seen, torch.ones(len(seen), 1)], 1), 0)

    def blends(self, points, found, nearness, colors, step):
        """What silhouettes between pixels and those `step` later add: the pixels, and the values."""
        first = torch.arange(SIZE * SIZE - step)
        if step == 1:
            first = first[first % SIZE < SIZE - 1]
        second = first + step
        differ = found[first] != found[second]
        first, second = first[differ], second[differ]
        is_first = nearness[first] > nearness[second]
        near, far = torch.where(is_first, first, second), torch.where(is_first, second, first)
        corners = self.triangles[found[near]]
        ends = points[corners], points[corners.roll(-1, 1)]
        side = cross(*points[corners].unbind(1)).sign()[:, None]
        inside, outside = (side * cross(*ends, self.centers[pixel][:, None]) for pixel in (near, far))
        t = torch.where(outside < 0, inside / (inside - outside), math.inf)
        t, edge = t.min(1)
        chosen = torch.arange(len(edge)), edge
        across = self.across[found[near]][chosen]
        folds = side[:, 0] * cross(ends[0][chosen], ends[1][chosen], points[across]) > 0
        keep = (t <= 1) & ((across < 0) | folds)
        near, far, t = near[keep], far[keep], t[keep]
        is_near = t < 0.5
        blended, other = torch.where(is_near, near, far), torch.where(is_near, far, near)
        return blended, (t - 0.5).abs()[:, None] * (colors[other] - colors[blended])

    def __call__(self):
        self.places.grad = self.texture.grad = None
        points = self.places[:, :2] * SIZE
        found, nearness = self.hits(points)
        sharp = colors = self.colors(points, found)
        for step in (1, SIZE):
            colors = colors.index_add(0, *self.blends(points, found, nearness, sharp, step))
        (colors.T.reshape(4, SIZE, SIZE) * self.gradient).sum().backward()
        return SIZE * SIZE
