"""decode.py CONFIG THREADS MODE: the rival of decode.lua, spoken to in the same way: transformers'
LlamaForCausalLM.generate, greedy (its cheapest), with its cache. MODE: f32 or bf16 weights."""
import os
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

L, D, H, V = {"m": (6, 384, 6, 8192), "g": (12, 768, 12, 50304)}[sys.argv[1]]
torch.set_num_threads(int(sys.argv[2]))
torch.manual_seed(1)
config = LlamaConfig(num_hidden_layers=L, hidden_size=D, num_attention_heads=H, vocab_size=V,
                     intermediate_size=8 * D // 3 // 32 * 32, max_position_embeddings=512,
                     tie_word_embeddings=True, bos_token_id=None, eos_token_id=None,
                     pad_token_id=0)
model = LlamaForCausalLM(config).eval()
if sys.argv[3] == "bf16":
    model = model.to(torch.bfloat16)


@torch.inference_mode()
def run(batch, tokens):
    ids = torch.randint(0, V, (batch, 128))
    start = time.perf_counter()
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, use_cache=True,
                         min_new_tokens=tokens, max_new_tokens=tokens)
    spent = (time.perf_counter() - start) * 1e3
    assert out.shape == (batch, 128 + tokens)
    return spent


run(1, 2)
print("ready", flush=True)
for line in sys.stdin:
    print(f"{run(int(line), 1):.3f} {run(int(line), 257):.3f}", flush=True)
