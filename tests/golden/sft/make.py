"""Golden numbers for tests/spec/data/sft_spec.lua: a small llama after 20 steps of TRL's SFTTrainer.
Writes data.json (the conversations in order, the ids and labels the trainer made of them, the loss
of every step) and weights.safetensors (start.* and end.*, float32).

    HF_HUB_OFFLINE=1 python make.py      # needs torch, transformers, trl, datasets, safetensors

What had to be set apart from TRL's own defaults, so that both do the same:
  assistant_only_loss=True             labels are the assistant's tokens, through {% generation %}
  train_sampling_strategy=sequential   rows in the order of the file, no shuffling
  lr_scheduler_type=constant           warm-up and weight decay are 0 already
  optim=adamw_torch                    one implementation on every machine; betas .9/.999, eps 1e-8
  bf16=False, use_cpu=True             float32 throughout
  gradient_checkpointing=False         no effect on the numbers; quicker
Left as they are: loss the mean over the learned tokens of the whole batch (2 rows x 2 micro-batches
here, so that a mean of means would show), gradient norm clipped at 1, packing off, no dropout.
"""
import json
import tempfile

import torch
from datasets import Dataset
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]

# one statement a line; trim_blocks and lstrip_blocks are on
TEMPLATE = """{% for m in messages %}
{{ '<|im_start|>' + m.role + '\\n' -}}
{% if m.role == 'assistant' %}
{% generation %}
{{ m.content or '' -}}
{% for c in m.tool_calls or [] %}
{{ '' if loop.first and not m.content else '\\n' -}}
{{ '<tool_call>\\n{"name": ' + c.function.name | tojson + ', "arguments": ' -}}
{{ c.function.arguments | tojson + '}\\n</tool_call>' -}}
{% endfor %}
{{ '<|im_end|>' -}}
{% endgeneration %}
{% else %}
{{ m.content + '<|im_end|>' -}}
{% endif %}
{{ '\\n' -}}
{% endfor %}"""


def byte_alphabet():
    """Bytes as the characters that byte-level tokenizers write them with."""
    shown = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    hidden = [b for b in range(256) if b not in shown]
    return {**{b: chr(b) for b in shown}, **{b: chr(256 + i) for i, b in enumerate(hidden)}}


def tokenizer():
    """A byte is its own id; the special tokens follow."""
    t = Tokenizer(models.BPE(vocab={c: b for b, c in byte_alphabet().items()}, merges=[]))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIAL])
    fast = PreTrainedTokenizerFast(tokenizer_object=t, eos_token="<|im_end|>",
                                   pad_token="<|endoftext|>", model_max_length=256)
    fast.chat_template = TEMPLATE
    assert fast.convert_tokens_to_ids(SPECIAL) == [256, 257, 258, 259, 260]
    return fast


def conversations(count):
    """Short ones and long ones, some with a system message, some with tools, some of two turns."""
    things = ["moon", "river", "old mill", "café", "star"]
    for i in range(count):
        m = [{"role": "system", "content": "Be brief."}] if i % 3 == 0 else []
        a, b, thing = 7 * i % 23, 5 * i % 19, things[i % 5]
        if i % 4 == 1:
            call = {"type": "function", "function": {"name": "calculator",
                                                     "arguments": {"expression": f"{a}+{b}"}}}
            m += [{"role": "user", "content": f"{a}+{b}?"},
                  {"role": "assistant", "content": "" if i % 8 == 1 else "Well,",
                   "tool_calls": [call]},
                  {"role": "tool", "content": str(a + b)},
                  {"role": "assistant", "content": f"It is {a + b}."}]
        else:
            m += [{"role": "user", "content": "Where is the " + thing + "?"},
                  {"role": "assistant", "content": f"The {thing} is\nover there" + "!" * (i % 7)}]
        if i % 5 == 2:
            m += [{"role": "user", "content": "Are you sure?"},
                  {"role": "assistant", "content": "Yes."}]
        yield m


def small_llama():
    torch.manual_seed(11)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=261, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        rms_norm_eps=1e-5, tie_word_embeddings=True, initializer_range=0.1,
        bos_token_id=None, eos_token_id=258, pad_token_id=256, attention_dropout=0.0))


def weights(model, prefix):
    return {prefix + n: p.detach().clone().contiguous() for n, p in model.named_parameters()}


torch.set_num_threads(1)
rows, model = list(conversations(80)), small_llama()
out = weights(model, "start.")
with tempfile.TemporaryDirectory() as scratch:
    trainer = SFTTrainer(
        model=model, processing_class=tokenizer(),
        train_dataset=Dataset.from_list([{"messages": m} for m in rows]),
        args=SFTConfig(
            output_dir=scratch, max_steps=20, per_device_train_batch_size=2,
            gradient_accumulation_steps=2, learning_rate=1e-3, lr_scheduler_type="constant",
            warmup_steps=0, weight_decay=0.0, adam_beta1=0.9, adam_beta2=0.999, adam_epsilon=1e-8,
            max_grad_norm=1.0, optim="adamw_torch", bf16=False, use_cpu=True, packing=False,
            max_length=256, assistant_only_loss=True, train_sampling_strategy="sequential",
            gradient_checkpointing=False, logging_steps=1, save_strategy="no", report_to=[],
            loss_type="nll", seed=1))
    made = [{"ids": r["input_ids"], "labels": r["labels"]} for r in trainer.train_dataset]
    trainer.train()
losses = [h["loss"] for h in trainer.state.log_history if "loss" in h]
norms = [h["grad_norm"] for h in trainer.state.log_history if "grad_norm" in h]
assert len(losses) == 20 and model.lm_head.weight is model.model.embed_tokens.weight
save_file({**out, **weights(model, "end.")}, "weights.safetensors")
for m in rows:  # calls as moonlit has them
    for message in m:
        if "tool_calls" in message:
            message["tool_calls"] = [c["function"] for c in message["tool_calls"]]
            message["content"] = message["content"] or None
with open("data.json", "w", encoding="utf-8") as f:
    # -100 as the trainer has it is 0 in a mask
    json.dump({"losses": losses, "norms": norms,
               "rows": [{"messages": m, "ids": t["ids"],
                         "mask": [int(x != -100) for x in t["labels"]]}
                        for m, t in zip(rows, made)]}, f, ensure_ascii=False,
              separators=(",", ":"))
print(losses[0], losses[-1], norms[0], norms[-1])
