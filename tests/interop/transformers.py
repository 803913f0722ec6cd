"""Small vision transformers in plain PyTorch, written as timm and torchvision write theirs."""

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor, nn


class Attention(nn.Module):
    """Queries, keys and values of one layer; they are split along `split`, before or behind the batch."""

    def __init__(self, width: int, heads: int, split: int = 0, *, fused: bool = False) -> None:
        super().__init__()
        self.heads, self.split, self.fused = heads, split, fused
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(*((2, 0) if self.split == 0 else (0, 2)), 3, 1, 4).unbind(self.split)
        if self.fused:
            made = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        else:
            weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
            made = (weights if bias is None else weights + bias).softmax(-1) @ v
        return self.proj(made.transpose(1, 2).reshape(batch, length, width))


class Mlp(nn.Sequential):
    """Two layers along the last axis."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


class Block(nn.Module):
    """Attention and a perceptron, each after a norm and added."""

    def __init__(self, width: int, heads: int, split: int = 0, *, fused: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = Attention(width, heads, split, fused=fused), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Patches as tokens behind one for the class, with places."""

    def __init__(self, width: int = 12, heads: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.place = nn.Parameter(torch.randn(1, 17, width))
        self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


class WindowBlock(nn.Module):
    """Attention within windows that may be shifted, with a bias for each pair of places and a mask, as in Swin."""

    def __init__(self, width: int, heads: int, size: int, side: int, shift: int) -> None:
        super().__init__()
        self.side, self.shift, self.heads = side, shift, heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = Attention(width, heads), Mlp(width)
        self.bias = nn.Parameter(torch.randn(heads, side**2, side**2))
        windows = (size // side) ** 2
        self.register_buffer("mask", -100.0 * torch.randint(0, 2, (windows, side**2, side**2)))

    def windows(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        side = self.side
        parts = x.view(batch, height // side, side, width // side, side, channels)
        return parts.permute(0, 1, 3, 2, 4, 5).reshape(-1, side**2, channels)

    def attended(self, x: Tensor) -> Tensor:
        merged, length, width = x.shape
        heads = self.heads
        q, k, v = self.attn.qkv(x).reshape(merged, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + self.bias
        if self.shift:
            count = self.mask.shape[0]
            weights = weights.view(merged // count, count, heads, length, length)
            weights = (weights + self.mask.unsqueeze(1).unsqueeze(0)).view(-1, heads, length, length)
        return self.attn.proj((weights.softmax(-1) @ v).transpose(1, 2).reshape(merged, length, width))

    def forward(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        inside = self.norm1(x)
        if self.shift:
            inside = torch.roll(inside, (-self.shift, -self.shift), (1, 2))
        made = self.attended(self.windows(inside))
        parts = made.view(batch, height // self.side, width // self.side, self.side, self.side, channels)
        made = parts.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, channels)
        if self.shift:
            made = torch.roll(made, (self.shift, self.shift), (1, 2))
        x = x + made
        return x + self.mlp(self.norm2(x))


class WindowTransformer(nn.Module):
    """Two blocks of windows, the second shifted, and four patches merged into one between a stem and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 8, 2, 2), nn.LayerNorm(8)
        self.blocks = nn.Sequential(WindowBlock(8, 2, 8, 4, 0), WindowBlock(8, 2, 8, 4, 2))
        self.reduction, self.last, self.head = nn.Linear(32, 16, bias=False), nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.norm(self.patches(x).permute(0, 2, 3, 1)))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.head(self.last(self.reduction(x)).mean((1, 2)))
