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
import os
import sys
import tempfile

import torch
from datasets import Dataset
from safetensors.torch import save_file
from transformers import LlamaForCausalLM
from trl import SFTConfig, SFTTrainer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from chatml import CONFIG, tokenizer, weights  # noqa: E402


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


torch.set_num_threads(1)
torch.manual_seed(11)
rows, model = list(conversations(80)), LlamaForCausalLM(CONFIG)
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
