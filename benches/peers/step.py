"""A step of the default run in PyTorch: four views rendered, one guided evaluation of the prior, Adam."""

import torch
from prior import Call, small
from render import Field, composite


class Step:
    """`samples` are evaluated of all that lie on the rays, as many as ours in the same step."""

    def __init__(self, samples, views=4, size=32, along=50):
        self.rays, self.along, self.shape = views * size * size, along, (views, size, size, 3)
        self.field = Field(hidden=32, levels=12, base=8, finest=128, log2_table=16)
        self.prior = Call(small().eval(), 2 * views, bf16=False)
        self.kept = torch.randperm(self.rays * along)[:samples].sort().values
        self.points = 2 * torch.rand(len(self.kept), 3) - 1
        self.optimizer = torch.optim.Adam(self.field.parameters(), lr=0.005, betas=(0.9, 0.99), eps=1e-15)

    def __call__(self):
        density, color = self.field(self.points)
        picture = composite(density, color, self.kept, self.rays, self.along, 2 / self.along, 0.5)
        opacity = composite(density, torch.ones_like(color), self.kept, self.rays, self.along, 2 / self.along, 0.0)
        with torch.no_grad():
            clean = picture.view(self.shape).permute(0, 3, 1, 2) * 2 - 1
            noise = torch.randn_like(clean)
            noisy = (0.7 * clean + 0.7 * noise).repeat(2, 1, 1, 1)
            told, untold = self.prior(noisy).chunk(2)
            gradient = (untold + 5 * (told - untold) - noise).permute(0, 2, 3, 1).reshape(self.rays, 3) / noise.numel()
        loss = (picture * gradient).sum() + 0.002 * (opacity.square() + 0.01).sqrt().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return len(self.kept)
