"""nanoGPT's training loop on PyTorch, its README's CPU configuration (4 layers, 4 heads, d 128,
context 64, batch 12, no dropout, no bias): model.py's blocks with F.scaled_dot_product_attention,
AdamW, clip 1. Prints "ms <minimum> <median>" of a step over the given number of steps.

    python nanogpt.py THREADS STEPS
"""
import math
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

threads, steps = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(1337)
V, L, H, D, T, B = 65, 4, 4, 128, 64, 12


class LayerNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(D))

    def forward(self, x):
        return F.layer_norm(x, (D,), self.weight, None, 1e-5)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = LayerNorm(), LayerNorm()
        self.c_attn = nn.Linear(D, 3 * D, bias=False)
        self.attn_proj = nn.Linear(D, D, bias=False)
        self.c_fc = nn.Linear(D, 4 * D, bias=False)
        self.mlp_proj = nn.Linear(4 * D, D, bias=False)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (z.view(b, t, H, D // H).transpose(1, 2)
                   for z in self.c_attn(self.ln_1(x)).split(D, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_proj(y.transpose(1, 2).contiguous().view(b, t, D))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(V, D), nn.Embedding(T, D)
        self.h = nn.ModuleList(Block() for _ in range(L))
        self.ln_f = LayerNorm()
        self.apply(lambda m: nn.init.normal_(m.weight, 0, 0.02)
                   if isinstance(m, (nn.Linear, nn.Embedding)) else None)

    def forward(self, x, y):
        h = self.wte(x) + self.wpe(torch.arange(T))
        for block in self.h:
            h = block(h)
        logits = F.linear(self.ln_f(h), self.wte.weight)
        return F.cross_entropy(logits.view(-1, V), y.reshape(-1))


model = GPT()
matrices = [p for p in model.parameters() if p.dim() >= 2]
vectors = [p for p in model.parameters() if p.dim() < 2]
opt = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1},
                         {"params": vectors, "weight_decay": 0.0}], lr=1e-3, betas=(0.9, 0.99))
data = torch.randint(0, V, (100_000,))
times = []
for step in range(steps + 10):
    start = time.perf_counter()
    lr = 1e-4 + 0.5 * (1 + math.cos(math.pi * step / 2000)) * 9e-4
    for group in opt.param_groups:
        group["lr"] = lr
    at = torch.randint(len(data) - T - 1, (B,))
    rows = torch.stack([data[i:i + T + 1] for i in at])
    loss = model(rows[:, :-1], rows[:, 1:])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    opt.zero_grad(set_to_none=True)
    times.append((time.perf_counter() - start) * 1e3)
print(f"ms {min(times[10:]):.3f} {statistics.median(times[10:]):.3f} torch {torch.__version__}")
