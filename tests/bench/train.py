"""train.py CONFIG THREADS MODE: the rival of train.lua, spoken to in the same way.
MODE: f32 or bf16 (autocast), with "-compile" behind it for torch.compile."""
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

CONFIGS = {"s": (4, 128, 4, 4096, 16, 256), "m": (6, 384, 6, 8192, 8, 256),
           "g": (12, 768, 12, 50304, 4, 64), "gl": (12, 768, 12, 50304, 2, 512)}
L, D, H, V, B, T = CONFIGS[sys.argv[1]]
HIDDEN = 8 * D // 3 // 32 * 32
MODE = sys.argv[3]
torch.set_num_threads(int(sys.argv[2]))
torch.manual_seed(1)

half = D // H // 2
angle = torch.outer(torch.arange(T).float(), 10000.0 ** (-torch.arange(half) / half))
COS, SIN = angle.cos(), angle.sin()


def rotate(x):
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * COS - b * SIN, a * SIN + b * COS), -1).to(x.dtype)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(D, eps=1e-5), nn.RMSNorm(D, eps=1e-5)
        self.qkv = nn.Linear(D, 3 * D, bias=False)
        self.out = nn.Linear(D, D, bias=False)
        self.up = nn.Linear(D, 2 * HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, D, bias=False)

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, H, D // H).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(rotate(q), rotate(k), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(B, T, D))
        gate, up = self.up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(V, D)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(L))
        self.norm = nn.RMSNorm(D, eps=1e-5)

    def forward(self, ids):
        x = self.embed(ids[:, :-1])
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.embed.weight)
        return F.cross_entropy(logits.float().view(-1, V), ids[:, 1:].reshape(-1))


model = Model()
forward = torch.compile(model) if MODE.endswith("-compile") else model
opt = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)


def step():
    ids = torch.randint(0, V, (B, T + 1))
    start = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=MODE.startswith("bf16")):
        loss = forward(ids)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    opt.zero_grad(set_to_none=True)
    return (time.perf_counter() - start) * 1e3


print("ready", flush=True)
for _ in sys.stdin:
    print(f"{step():.3f}", flush=True)
print(f"rss {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}", flush=True)
