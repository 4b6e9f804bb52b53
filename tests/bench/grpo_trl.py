"""grpo_trl.py THREADS MODE VOCABULARY: the rival of grpo.lua, spoken to in the same way: TRL's GRPOTrainer with
transformers' generate, no reference model (beta 0, its default), one optimiser step a rollout, no
gradient checkpointing. MODE: f32 or bf16 (autocast, its default)."""
import os
import random
import resource
import sys
import tempfile
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
protocol = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # what the trainer prints is no part of it

import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402
from transformers import (LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast,  # noqa: E402
                          TrainerCallback)
from trl import GRPOConfig, GRPOTrainer  # noqa: E402

PROMPTS, SAMPLES, TOKENS, V = 8, 8, 64, int(sys.argv[3])
torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(1)
words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(V)}, unk_token="w0"))
words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", eos_token="w1")
config = LlamaConfig(num_hidden_layers=4, hidden_size=128, num_attention_heads=4, vocab_size=V,
                     intermediate_size=320, max_position_embeddings=128, tie_word_embeddings=True,
                     bos_token_id=None, eos_token_id=None, pad_token_id=0)
random.seed(1)
prompts = [" ".join(f"w{random.randrange(2, V)}" for _ in range(16)) for _ in range(8000)]


def reward(completion_ids, **_):
    return [sum(1 - i % 2 for i in ids) / len(ids) for ids in completion_ids]


class OnDemand(TrainerCallback):
    """A step for every line on stdin."""

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 0:
            print("ready", file=protocol)
        if not sys.stdin.readline():
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"rss {peak:.0f}", file=protocol)
            os._exit(0)
        self.start = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        print(f"{(time.perf_counter() - self.start) * 1e3:.3f}", file=protocol)


with tempfile.TemporaryDirectory() as scratch:
    GRPOTrainer(
        model=LlamaForCausalLM(config), processing_class=tokenizer, reward_funcs=reward,
        train_dataset=Dataset.from_dict({"prompt": prompts}), callbacks=[OnDemand()],
        args=GRPOConfig(
            output_dir=scratch, max_steps=900, per_device_train_batch_size=PROMPTS * SAMPLES,
            num_generations=SAMPLES, max_completion_length=TOKENS, temperature=1.0,
            generation_kwargs={"min_new_tokens": TOKENS}, learning_rate=1e-4,
            lr_scheduler_type="constant", optim="adamw_torch_fused", bf16=sys.argv[2] == "bf16",
            use_cpu=True, gradient_checkpointing=False, logging_steps=1000, save_strategy="no",
            report_to=[], disable_tqdm=True, max_grad_norm=1.0)).train()
