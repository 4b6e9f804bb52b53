"""Golden numbers for tests/spec/rl/trl_spec.lua: a small llama after 20 steps of TRL's RewardTrainer,
and the same after 20 steps of its DPOTrainer. Both begin where tests/golden/sft ends. Writes
data.json (the pairs in order, the ids the trainers made of them, what every step logged) and
weights.safetensors (reward.start.score.weight, reward.end.*, dpo.end.*, float32).

    HF_HUB_OFFLINE=1 python make.py      # needs torch, transformers, trl, datasets, safetensors

Made with trl 1.16.0, transformers 5.23.0, torch 2.15.0.

What had to be set apart from TRL's own defaults, so that both do the same:
  learning_rate=1e-3                   theirs: 1e-4 (reward), 1e-6 (DPO)
  lr_scheduler_type=constant           theirs falls to 0; warm-up and weight decay are 0 already
  train_sampling_strategy=sequential   pairs in the order of the file, no shuffling
  optim=adamw_torch                    one implementation on every machine; betas .9/.999, eps 1e-8
  bf16=False, use_cpu=True             float32 throughout
  gradient_checkpointing=False         no effect on the numbers; quicker
  ref_model=a copy                     theirs would be loaded from the name in the model's config;
                                       it stays in memory here (precompute_ref_log_probs=False),
                                       where moonlit reads it from its cache
  chat template                        ends with <|im_end|>, without the line break after it: TRL
                                       learns and scores all of a reply, moonlit up to the end of
                                       the turn. In moonlit's rows the line break follows, unlearned.
  pad <|endoftext|>, eos <|im_end|>    the score is read at the last id that is not padding; were
                                       they one, it would be an id too early
  score.weight                         drawn here from N(0, 0.02), which is moonlit's start;
                                       transformers would take its initializer_range. No bias.
Left as they are: padding at the right; no dropout (disable_dropout); pairs of a step averaged, 2 of
them in each of 2 micro-batches, which are averaged too; gradient norm clipped at 1; reward: no
margin, no centring (center_rewards_coefficient=None); DPO: loss sigmoid, beta 0.1, sums of
log-probabilities and not means, no label smoothing, reverse KL, max_length longer than any row.
"""
import copy
import json
import os
import sys
import tempfile

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM, LlamaForSequenceClassification
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from chatml import CONFIG, tokenizer, weights  # noqa: E402


def pairs(count):
    """Replies of one character and of sixty; the better one now shorter, now longer; some prompts
    with a system message, some of two turns."""
    things = ["moon", "river", "old mill", "café", "star", "owl's nest"]
    for i in range(count):
        thing, far = things[i % 6], 3 * i % 11 + 1
        prompt = [{"role": "system", "content": "Be brief."}] if i % 3 == 0 else []
        prompt += [{"role": "user", "content": f"How far is the {thing}?"}]
        good, bad = f"{far} miles.", f"Well, the {thing} is far" + " away" * (i % 8)
        if i % 4 == 1:
            prompt += [{"role": "assistant", "content": f"{far} miles."},
                       {"role": "user", "content": "Is that so?"}]
            good, bad = f"Yes, it is.\nThe {thing} is {far} miles from here.", "?"
        yield {"prompt": prompt, "chosen": [{"role": "assistant", "content": good}],
               "rejected": [{"role": "assistant", "content": bad}]}


def settings(folder):
    return {"output_dir": folder, "max_steps": 20, "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2, "learning_rate": 1e-3,
            "lr_scheduler_type": "constant", "warmup_steps": 0, "weight_decay": 0.0,
            "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8, "max_grad_norm": 1.0,
            "optim": "adamw_torch", "bf16": False, "use_cpu": True, "max_length": 256,
            "train_sampling_strategy": "sequential", "gradient_checkpointing": False,
            "logging_steps": 1, "save_strategy": "no", "report_to": [], "seed": 1}


def history(trainer, *names):
    """What each of the 20 steps logged, by name."""
    lines = [h for h in trainer.state.log_history if "loss" in h]
    assert len(lines) == 20
    return {n: [h[n] for h in lines] for n in ("loss", "grad_norm") + names}


def backbone(model):
    """The weights that SFT ended with."""
    held = load_file(os.path.join(HERE, "..", "sft", "weights.safetensors"))
    left = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in held.items():
            if name.startswith("end."):
                left.pop(name[len("end."):]).copy_(value)
    assert set(left) <= {"score.weight"}
    return model


torch.set_num_threads(1)
torch.manual_seed(12)
rows, out, data = list(pairs(80)), {}, {}
with tempfile.TemporaryDirectory() as scratch:
    config = copy.deepcopy(CONFIG)
    config.num_labels = 1
    judge = backbone(LlamaForSequenceClassification(config))
    torch.nn.init.normal_(judge.score.weight, std=0.02)
    out["reward.start.score.weight"] = judge.score.weight.detach().clone()
    trainer = RewardTrainer(
        model=judge, processing_class=tokenizer(last=False),
        train_dataset=Dataset.from_list(rows),
        args=RewardConfig(**settings(scratch), disable_dropout=True,
                          center_rewards_coefficient=None))
    data["rows"] = [{**row, "chosen_ids": made["chosen_ids"], "rejected_ids": made["rejected_ids"]}
                    for row, made in zip(rows, trainer.train_dataset)]
    trainer.train()
    data["reward"] = history(trainer, "margin", "accuracy", "mean_reward", "min_reward",
                             "max_reward")
    out.update(weights(judge, "reward.end."))

    policy = backbone(LlamaForCausalLM(CONFIG))
    trainer = DPOTrainer(
        model=policy, ref_model=copy.deepcopy(policy), processing_class=tokenizer(last=False),
        train_dataset=Dataset.from_list(rows),
        args=DPOConfig(**settings(scratch), disable_dropout=True, loss_type=["sigmoid"], beta=0.1,
                       label_smoothing=0.0, precompute_ref_log_probs=False))
    for row, made in zip(data["rows"], trainer.train_dataset):
        row["prompt_length"] = len(made["prompt_ids"])
        for side in ("chosen", "rejected"):
            assert made["prompt_ids"] + made[side + "_ids"] == row[side + "_ids"]
    trainer.train()
    data["dpo"] = history(trainer, "rewards/margins", "rewards/chosen", "rewards/rejected",
                          "rewards/accuracies", "logps/chosen", "logps/rejected")
    out.update(weights(policy, "dpo.end."))
save_file(out, "weights.safetensors")
with open("data.json", "w", encoding="utf-8") as f:
    json.dump(data, f, ensure_ascii=False, separators=(",", ":"))
for name in ("reward", "dpo"):
    print(name, data[name]["loss"][0], data[name]["loss"][-1], data[name]["grad_norm"][0])
