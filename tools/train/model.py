"""BitNet b1.58 for training: what does one forward pass compute, with ternary weights and int8 activations or without?

Modules carry the names of HuggingFace's BitNetForCausalLM, so that a state dict is already the checkpoint's naming. Formulas:
BitNet b1.58 (arXiv 2402.17764) and its 2B4T report (arXiv 2504.12285): absmean ternary weights, absmax int8 activations per
token, a norm before every quantised matrix (SubLN), squared ReLU gates, RoPE, grouped queries, tied embedding, no biases.
"""
import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Shape:
    vocab: int = 4096
    layers: int = 6
    embd: int = 256
    ff: int = 768
    heads: int = 4
    kv_heads: int = 2
    ctx: int = 256
    theta: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.embd // self.heads

    def as_dict(self):
        return asdict(self)


def ternary(weight):
    """(codes in {-1, 0, 1}, scale): weight = codes * scale, scale = mean |w| of the whole matrix."""
    scale = weight.abs().mean().clamp(min=1e-5)
    return (weight / scale).round().clamp(-1, 1), scale


# Both functions below change nothing in place: torch 2.11 compiles that to no gradient at all.
class TernaryWeight(torch.autograd.Function):
    """The dequantised ternary weight; the gradient reaches the master weight unchanged (the straight-through estimator)."""

    @staticmethod
    def forward(ctx, weight):
        codes, scale = ternary(weight)
        return codes * scale

    @staticmethod
    def backward(ctx, grad):
        return grad


class Int8Activation(torch.autograd.Function):
    """Per token: 127 / max|x| as the scale, rounded half to even, and back; the gradient passes unchanged."""

    @staticmethod
    def forward(ctx, x):
        scale = 127.0 / torch.linalg.vector_norm(x, ord=math.inf, dim=-1, keepdim=True).clamp(min=1e-5)
        return (x * scale).round() / scale

    @staticmethod
    def backward(ctx, grad):
        return grad


class Projection(nn.Linear):
    """A matrix of the transformer's body, (outputs, inputs). `ternary` decides what forward sees of it."""

    def __init__(self, inputs, outputs, is_ternary):
        super().__init__(inputs, outputs, bias=False)
        self.is_ternary = is_ternary

    def used_weight(self):
        return TernaryWeight.apply(self.weight) if self.is_ternary else self.weight


def project(x, *projections):
    """The outputs of projections that read the same input, quantised once and multiplied at once."""
    if projections[0].is_ternary:
        x = Int8Activation.apply(x)
    if len(projections) == 1:
        return F.linear(x, projections[0].used_weight())
    y = F.linear(x, torch.cat([p.used_weight() for p in projections]))
    return y.split([p.out_features for p in projections], dim=-1)


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Rope(nn.Module):
    """Rotates halves: element i of a head with element i + head_dim / 2."""

    def __init__(self, shape):
        super().__init__()
        frequency = shape.theta ** (-torch.arange(0, shape.head_dim, 2, dtype=torch.float64) / shape.head_dim)
        angle = torch.outer(torch.arange(shape.ctx, dtype=torch.float64), frequency).float()
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, x):
        """x: (batch, head, time, head_dim)"""
        a, b = x.chunk(2, dim=-1)
        cos, sin = self.cos[:x.shape[2]], self.sin[:x.shape[2]]
        return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


def attend(q, k, v):
    """Causal attention of (batch, head, time, head_dim); fused where torch has it, from its second version on."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    future = torch.full((q.shape[2], k.shape[2]), -math.inf, device=q.device).triu(1)
    return (q @ k.transpose(2, 3) * q.shape[3]**-0.5 + future).softmax(-1) @ v


class Attention(nn.Module):
    def __init__(self, shape, is_ternary):
        super().__init__()
        kv = shape.head_dim * shape.kv_heads
        self.shape = shape
        self.q_proj = Projection(shape.embd, shape.embd, is_ternary)
        self.k_proj = Projection(shape.embd, kv, is_ternary)
        self.v_proj = Projection(shape.embd, kv, is_ternary)
        self.o_proj = Projection(shape.embd, shape.embd, is_ternary)
        self.attn_sub_norm = RMSNorm(shape.embd, shape.eps)

    def forward(self, x, rope):
        batch, time, _ = x.shape
        q, k, v = (y.view(batch, time, -1, self.shape.head_dim).transpose(1, 2)
                   for y in project(x, self.q_proj, self.k_proj, self.v_proj))
        group = self.shape.heads // self.shape.kv_heads
        k, v = (y.repeat_interleave(group, dim=1) for y in (rope(k), v))
        attended = attend(rope(q), k, v)
        return project(self.attn_sub_norm(attended.transpose(1, 2).reshape(batch, time, -1)), self.o_proj)


class FeedForward(nn.Module):
    def __init__(self, shape, is_ternary):
        super().__init__()
        self.gate_proj = Projection(shape.embd, shape.ff, is_ternary)
        self.up_proj = Projection(shape.embd, shape.ff, is_ternary)
        self.down_proj = Projection(shape.ff, shape.embd, is_ternary)
        self.ffn_sub_norm = RMSNorm(shape.ff, shape.eps)

    def forward(self, x):
        gate, up = project(x, self.gate_proj, self.up_proj)
        return project(self.ffn_sub_norm(gate.relu().square() * up), self.down_proj)


class Block(nn.Module):
    def __init__(self, shape, is_ternary, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.input_layernorm = RMSNorm(shape.embd, shape.eps)
        self.self_attn = Attention(shape, is_ternary)
        self.post_attention_layernorm = RMSNorm(shape.embd, shape.eps)
        self.mlp = FeedForward(shape, is_ternary)

    def forward(self, x, rope):
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), rope))
        return x + self.dropout(self.mlp(self.post_attention_layernorm(x)))


class LanguageModel(nn.Module):
    """Token ids (batch, time) -> logits (batch, time, vocabulary). With is_ternary=False the twin in full precision.

    `dropout`: the share of each block's outputs that training leaves out, against learning a small text by heart."""

    def __init__(self, shape, is_ternary=True, dropout=0.0):
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab, shape.embd)
        self.layers = nn.ModuleList(Block(shape, is_ternary, dropout) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.embd, shape.eps)
        self.rope = Rope(shape)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)
        for name, weight in self.named_parameters():
            if name.endswith("_proj.weight"):
                nn.init.normal_(weight, std=0.5 / math.sqrt(weight.shape[1]))

    def forward(self, ids):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, self.rope)
        return F.linear(self.norm(x), self.embed_tokens.weight)

    def loss(self, ids, targets):
        """Mean cross-entropy in nats per token."""
        return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten())
