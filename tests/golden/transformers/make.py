"""Golden numbers for tests/spec/nn/golden_spec.lua: small gpt2, llama and qwen3 models in float64
from Hugging Face transformers. Writes, per model, one safetensors file with the starting weights,
the batch, the loss, every gradient, per-token log-probabilities, and the weights after 10 AdamW
steps (torch.optim.AdamW, decay on >= 2-D only, clipping at 1).

    HF_HUB_OFFLINE=1 python make.py        # needs torch, transformers, safetensors
"""
import torch
from safetensors.torch import save_file
from transformers import (GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen3Config,
                          Qwen3ForCausalLM)
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm



def exact_norm(self, x):
    """RMSNorm without the module's detour through float32."""
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


LlamaRMSNorm.forward = Qwen3RMSNorm.forward = exact_norm

V, D, L, H, T, B = 29, 16, 2, 2, 10, 3


def models():
    yield "gpt2", GPT2LMHeadModel(GPT2Config(
        vocab_size=V, n_positions=16, n_embd=D, n_layer=L, n_head=H, resid_pdrop=0, embd_pdrop=0,
        attn_pdrop=0, attn_implementation="sdpa"))
    yield "llama", LlamaForCausalLM(LlamaConfig(
        vocab_size=V, hidden_size=D, intermediate_size=24, num_hidden_layers=L,
        num_attention_heads=H, num_key_value_heads=1, max_position_embeddings=16,
        rms_norm_eps=1e-5, tie_word_embeddings=False, attn_implementation="sdpa"))
    yield "qwen3", Qwen3ForCausalLM(Qwen3Config(
        vocab_size=V, hidden_size=D, intermediate_size=24, num_hidden_layers=L,
        num_attention_heads=H, num_key_value_heads=1, head_dim=16, max_position_embeddings=16,
        rms_norm_eps=1e-6, tie_word_embeddings=True, attn_implementation="sdpa"))


def parameters(model):
    """Names and tensors as files hold them; a tied head is not listed twice."""
    return {n: p for n, p in model.named_parameters()}


def loss_of(model, ids):
    logits = model(input_ids=ids).logits[:, :-1]
    logp = torch.log_softmax(logits, -1).gather(-1, ids[:, 1:, None])[..., 0]
    return -logp.mean(), logp


for name, model in models():
    torch.manual_seed(7)
    model = model.double().train()
    if hasattr(model.config, "rope_theta") or name != "gpt2":
        # transformers makes its RoPE frequencies in float32; the golden numbers want them exact
        inv = model.model.rotary_emb
        dim = inv.inv_freq.numel() * 2
        theta = 10000.0
        inv.inv_freq = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        inv.forward = (lambda self: lambda x, position_ids: (
            torch.cat([position_ids[..., None].double() * self.inv_freq] * 2, -1).cos(),
            torch.cat([position_ids[..., None].double() * self.inv_freq] * 2, -1).sin()))(inv)
    with torch.no_grad():
        for n, p in model.named_parameters():  # spread out, gains and biases off their defaults
            p.copy_(torch.randn_like(p) * 0.15 + (1.0 if p.ndim == 1 and "weight" in n else 0.0))
    ids = torch.randint(0, V, (B, T))
    out = {"ids": ids}
    for n, p in parameters(model).items():
        out["start." + n] = p.detach().clone()
    loss, logp = loss_of(model, ids)
    loss.backward()
    out["loss"], out["logprobs"] = loss.detach().reshape(1), logp.detach().clone()
    for n, p in parameters(model).items():
        out["grad." + n] = p.grad.clone()
    model.zero_grad()
    decay = [p for p in parameters(model).values() if p.ndim >= 2]
    rest = [p for p in parameters(model).values() if p.ndim < 2]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1},
                             {"params": rest, "weight_decay": 0.0}],
                            lr=1e-2, betas=(0.9, 0.99), eps=1e-8)
    losses, norms = [], []
    for _ in range(10):
        opt.zero_grad()
        loss, _ = loss_of(model, ids)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        opt.step()
        losses.append(loss.detach())
    out["losses"], out["norms"] = torch.stack(losses), torch.stack(norms).detach()
    for n, p in parameters(model).items():
        out["end." + n] = p.detach().clone()
    save_file({k: v.contiguous() for k, v in out.items()}, f"{name}.safetensors")
    print(name, float(out["loss"]), [round(float(x), 6) for x in losses[-2:]])
