"""Goldens of moonlit.loss: the formulas once more, in float64 torch, on inputs made of sines.

    python make.py            # needs torch; writes goldens.json beside itself

ANCHORS are what other systems' own code gave on the same inputs, run once (TRL f2cd577 of July
2026, OpenRLHF 3c3be62, open-instruct e6c3044, verl b178a3c); this file must agree with them.
"""
import json
import math
import os

import torch

V, T, B, PROMPT = 7, 6, 4, 2
LENGTH = [6, 5, 4, 6]
F = torch.float64


def logits(shift):
    x = [[[1.5 * math.sin(1.3 * b + 0.7 * t + 0.37 * v + 0.11 * b * v + shift) for v in range(V)]
          for t in range(T)] for b in range(B)]
    return torch.tensor(x, dtype=F)


def tok(b, t):
    return (3 * b + 5 * t + b * t + 1) % V


IDS = torch.tensor([[tok(b, t) for t in range(T)] for b in range(B)])
MASK = torch.tensor([[float(PROMPT <= t < LENGTH[b]) for t in range(T)] for b in range(B)], dtype=F)
N = MASK.sum(1)


def logprobs(x, ids=IDS):
    """(B, T): log p of each token by the logits one before it; 0 at the first."""
    lp = x.log_softmax(-1)[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
    return torch.cat([torch.zeros(B, 1, dtype=F), lp], 1)


def entropies(x):
    s = x.log_softmax(-1)[:, :-1]
    return torch.cat([torch.zeros(B, 1, dtype=F), -(s.exp() * s).sum(-1)], 1)


OLD = logprobs(logits(.1))
REF = logprobs(logits(.25))
softplus = torch.nn.functional.softplus
sigmoid = torch.sigmoid

goldens = {}


def case(name, f):
    """The loss, and the sum of |d loss / d logits|."""
    x = logits(0).requires_grad_(True)
    loss = f(x)
    loss.backward()
    goldens[name] = {"loss": loss.item(), "grad_l1": x.grad.abs().sum().item()}


# ---- pairs: rows 1 and 2 chosen, 3 and 4 rejected ----

def pairs(x):
    d = (logprobs(x) * MASK).sum(1) - (REF * MASK).sum(1)
    return d[:2], d[2:]


def dpo(f, per_token=False, reference=True):
    def loss(x):
        lp = (logprobs(x) * MASK).sum(1)
        D = lp - (REF * MASK).sum(1) if reference else lp
        if per_token:
            D = D / N
        return f(D[:2] - D[2:]).mean()
    return loss


def nll(x):
    return -(logprobs(x) * MASK)[:2].sum() / N[:2].sum()


b = .1
case("dpo.sigmoid", dpo(lambda d: softplus(-b * d)))
case("dpo.sigmoid beta 1", dpo(lambda d: softplus(-d)))
case("dpo.cdpo", dpo(lambda d: .9 * softplus(-b * d) + .1 * softplus(b * d)))
case("dpo.robust", dpo(lambda d: (.9 * softplus(-b * d) - .1 * softplus(b * d)) / .8))
case("dpo.hinge", dpo(lambda d: torch.relu(1 - b * d)))
case("dpo.ipo", dpo(lambda d: (d - 1 / (2 * b)) ** 2, per_token=True))
case("dpo.ipo_sequence", dpo(lambda d: (d - 1 / (2 * b)) ** 2))
case("dpo.length_normalized beta 2", dpo(lambda d: softplus(-2 * d), per_token=True))
case("dpo.length_normalized beta 5", dpo(lambda d: softplus(-5 * d), per_token=True))
case("dpo.reference_free", dpo(lambda d: softplus(-b * d), reference=False))
case("dpo.sft", lambda x: dpo(lambda d: softplus(-b * d))(x) + .5 * nll(x))
case("nll", nll)

# each prompt with the answer of the row before
NEIGHBOUR = torch.tensor([[tok((i - 1) % B, t) for t in range(T)] for i in range(B)])
NMASK = torch.stack([MASK[(i - 1) % B] for i in range(B)])
kl_policy = (logprobs(logits(0), NEIGHBOUR) * NMASK).sum(1)
kl_reference = (logprobs(logits(.25), NEIGHBOUR) * NMASK).sum(1)
z = max((kl_policy - kl_reference).mean().item(), 0)


def kto(z):
    def loss(x):
        c, r = pairs(x)
        return torch.cat([1 - sigmoid(b * (c - z)), 1 - sigmoid(b * (z - r))]).mean()
    return loss


case("kto", kto(z))
case("kto.kl 0", kto(0))
goldens["kto.kl"] = z
goldens["kto.kl_policy"], goldens["kto.kl_reference"] = kl_policy.tolist(), kl_reference.tolist()

with torch.no_grad():
    c, r = pairs(logits(0))
    lp = (logprobs(logits(0)) * MASK).sum(1)
    goldens["dpo.stats"] = {
        "rewards/chosen": (b * c).mean().item(), "rewards/rejected": (b * r).mean().item(),
        "rewards/accuracies": (c > r).double().mean().item(),
        "rewards/margins": (b * (c - r)).mean().item(),
        "logps/chosen": lp[:2].mean().item(), "logps/rejected": lp[2:].mean().item()}
    goldens["logps"], goldens["ref_logps"] = lp.tolist(), (REF * MASK).sum(1).tolist()

# ---- reward model: one pair, 1.2 and 0.3 ----

for name, margin, center in [("", 0, 0), (".margin", .5, 0), (".center", 0, .01)]:
    p = torch.tensor([1.2, .3], dtype=F, requires_grad=True)
    loss = softplus(-(p[0] - p[1] - margin)) + center * (p[0] + p[1]) ** 2
    loss.backward()
    goldens["reward" + name] = {"loss": loss.item(), "grad": p.grad.tolist()}

# ---- groups: four samples of one prompt ----

R = torch.tensor([1, 0, .5, .25], dtype=F)
A = (R - R.mean()) / (R.std() + 1e-4)
goldens["group.std"] = A.tolist()
goldens["group.std population"] = ((R - R.mean()) / (R.std(correction=0) + 1e-8)).tolist()
goldens["group.none"] = (R - R.mean()).tolist()
goldens["group.loo"] = [(R[i] - (R.sum() - R[i]) / 3).item() for i in range(B)]


def mean_token(x):
    return (x * MASK).sum() / MASK.sum()


def mean_sequence(x):
    return ((x * MASK).sum(1) / N).mean()


def constant(x):
    return (x * MASK).sum() / (B * 8)


def token_ratio(x):
    return (logprobs(x) - OLD).exp()


def sequence_ratio(x, mean=True):
    s = ((logprobs(x) - OLD) * MASK).sum(1)
    return (s / N if mean else s).exp()[:, None].expand(B, T)


def clipped(w, low=.2, high=.2, dual=None, a=A):
    a = a[:, None]
    each = torch.maximum(-w * a, -w.clamp(1 - low, 1 + high) * a)
    return torch.where(a < 0, torch.minimum(each, -dual * a), each) if dual else each


def k3(x):
    d = REF - logprobs(x)
    return d.exp() - d - 1


def k2(x):
    return (logprobs(x) - REF) ** 2 / 2


case("policy.ppo", lambda x: mean_token(clipped(token_ratio(x))))
case("policy.grpo", lambda x: mean_sequence(clipped(token_ratio(x)) + .04 * k3(x)))
case("policy.grpo without kl", lambda x: mean_sequence(clipped(token_ratio(x))))
case("policy.grpo k2", lambda x: mean_sequence(clipped(token_ratio(x)) + .04 * k2(x)))
case("policy.dr_grpo", lambda x: constant(clipped(token_ratio(x), a=R - R.mean())))
case("policy.dr_grpo by std", lambda x: constant(clipped(token_ratio(x))))
case("policy.dapo", lambda x: mean_token(clipped(token_ratio(x), high=.28)))
case("policy.dapo kl_ratio",
     lambda x: mean_token(clipped(token_ratio(x)) + .04 * k3(x) * token_ratio(x)))
case("policy.dapo dual 1.1", lambda x: mean_token(clipped(token_ratio(x), high=.28, dual=1.1)))
case("policy.gspo", lambda x: mean_sequence(clipped(sequence_ratio(x), 3e-4, 4e-4)))
case("policy.gspo .2", lambda x: mean_sequence(clipped(sequence_ratio(x))))
case("policy.gspo .2 .28", lambda x: mean_sequence(clipped(sequence_ratio(x), high=.28)))
case("policy.cispo",
     lambda x: mean_token(-token_ratio(x).detach().clamp(max=5) * A[:, None] * logprobs(x)))
LOO = torch.tensor(goldens["group.loo"], dtype=F)
case("policy.rloo", lambda x: mean_sequence(clipped(sequence_ratio(x, mean=False), a=LOO)))
case("policy.reinforce", lambda x: mean_token(-(R - R.mean())[:, None] * logprobs(x)))
case("policy.entropy", lambda x: mean_token(clipped(token_ratio(x)) - .01 * entropies(x)))
with torch.no_grad():
    goldens["entropy"] = mean_token(entropies(logits(0))).item()
    d = logprobs(logits(0)) - REF
    goldens["kl"] = {"k1": mean_token(d).item(), "k2": mean_token(k2(logits(0))).item(),
                     "k3": mean_token(k3(logits(0))).item()}

# ---- PPO's critic: answers begin at slot 0 ----

rewards = torch.zeros(B, 4, dtype=F)
values = torch.zeros(B, 4, dtype=F)
advantages = torch.zeros(B, 4, dtype=F)
slots = MASK[:, PROMPT:]
for i in range(B):
    n = int(N[i])
    for t in range(4):
        values[i, t] = .3 * math.sin(.9 * i + .5 * t + .2)
    for t in range(n):
        rewards[i, t] = -.05 * (OLD[i, PROMPT + t] - REF[i, PROMPT + t])
    rewards[i, n - 1] += R[i]
    a = 0
    for t in reversed(range(n)):
        after = values[i, t + 1] if t + 1 < n else 0
        a = rewards[i, t] + after - values[i, t] + .95 * a
        advantages[i, t] = a
returns = (advantages + values) * slots
kept = advantages[slots > 0]
goldens["gae"] = {"rewards": rewards.tolist(), "values": values.tolist(), "mask": slots.tolist(),
                  "advantages": advantages.tolist(), "returns": returns.tolist(),
                  "whitened": ((advantages - kept.mean()) / (kept.var() + 1e-8).sqrt()
                               * slots).tolist()}
new = (values + .3 * torch.cos(torch.arange(4, dtype=F))).requires_grad_(True)
near = values + (new - values).clamp(-.2, .2)
each = torch.maximum((new - returns) ** 2, (near - returns) ** 2)
loss = .5 * (each * slots).sum() / slots.sum()
loss.backward()
goldens["value"] = {"loss": loss.item(), "grad_l1": new.grad.abs().sum().item(),
                    "values": new.tolist(), "clipfrac": ((((near - returns) ** 2 >
                    (new - returns) ** 2) * slots).sum() / slots.sum()).item()}

# ---- distillation from the reference's logits, over completion tokens ----


def divergence(beta, temperature):
    def f(x):
        s = (x / temperature).log_softmax(-1)
        t = (logits(.25) / temperature).log_softmax(-1)
        kl = lambda p, q: (p.exp() * (p - q)).sum(-1)
        if beta in (0, 1):
            each = kl(t, s) if beta == 0 else kl(s, t)
        else:
            m = ((1 - beta) * s.exp() + beta * t.exp()).log()
            each = beta * kl(t, m) + (1 - beta) * kl(s, m)
        return (each[:, :-1] * MASK[:, 1:]).sum() / MASK.sum()
    return f


for beta in (0, .1, .5, 1):
    for temperature in (1, 2):
        case("distill %g T %d" % (beta, temperature), divergence(beta, temperature))

# name -> loss, and grad_l1 where it was measured
ANCHORS = {
    "dpo.sigmoid": (0.7005215719037174, 0.540203373087623),
    "dpo.sigmoid beta 1": (0.8526441375326019, 5.522493287863609),
    "dpo.cdpo": (0.6992445756101784,),
    "dpo.robust": (0.7021178172706413, 0.6747843025882013),
    "dpo.hinge": (1.012769962935391, 1.076647436004626),
    "dpo.ipo": (26.310699676159466, 34.31365522679899),
    "dpo.ipo_sequence": (27.068806335016625,),
    "dpo.length_normalized beta 2": (0.8814442899939849, 3.71360617886144),
    "dpo.length_normalized beta 5": (1.3778390579525865,),
    "nll": (1.7819916173443455, 1.616225398635548),
    "kto": (0.50159528527771, 0.13451894901178935),
    "kto.kl 0": (0.5015943865560324, 0.13448731307733078),
    "reward": (.3411538747320878,),
    "reward.margin": (.5130152523999526,),
    "reward.center": (.3636538747320878,),
    "policy.ppo": (-0.03254939263900471, 1.3188066692796703),
    "policy.grpo without kl": (0.022429055064789066, 1.2071553342313806),
    "policy.grpo": (0.024361228090720013, 1.211075914282693),
    "policy.dr_grpo by std": (-0.013223190759595662, 0.535765209394866),
    "policy.dapo": (-0.032990077254407384,),
    "policy.dapo kl_ratio": (-0.030698443605992935, 1.3248973829847657),
    "policy.gspo .2": (0.02166154366263824, 1.163853490723276),
    "policy.gspo .2 .28": (0.021291741880408874,),
    "policy.cispo": (0.08488989000035481, 1.3424757112489418),
    "value": (.15761960166599026,),
    "distill 0 T 1": (.02041810638545949,), "distill 0.1 T 1": (.0018358836419904124,),
    "distill 0.5 T 1": (.005099943531880633,), "distill 1 T 1": (.020581227052391404,),
    "distill 0 T 2": (.005914041469987049,), "distill 0.1 T 2": (.0005321270680469666,),
    "distill 0.5 T 2": (.0014778995412784008,), "distill 1 T 2": (.005922105048493357,),
}
for name, anchor in ANCHORS.items():
    got = (goldens[name]["loss"], goldens[name].get("grad_l1"))
    # verl puts an epsilon of its own into the mean over an answer
    tolerance = 1e-9 if name == "policy.gspo .2 .28" else 1e-12
    for have, want in zip(got, anchor):
        assert abs(have - want) <= tolerance * max(1, abs(want)), (name, have, want)
print(len(ANCHORS), "anchors compared")
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "goldens.json"), "w") as f:
    json.dump(goldens, f, indent=1)
    f.write("\n")
