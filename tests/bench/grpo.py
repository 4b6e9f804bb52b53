"""grpo.py RIVAL_PYTHON [THREADS [VOCABULARY]]: GRPO steps of grpo.lua beside TRL's (grpo_trl.py), in
turns on the same cores: a Llama of 4 layers and dim 128, a vocabulary of 768 (quickstart's) unless
told, 64 samples of 64 tokens, generated, rewarded, learned from once. Prints minimum and median ms
and peak RSS of each, our ratio to the best of TRL's, and where our time goes. Without trl, our half
alone."""
import os
import statistics
import sys

from steps import Side

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
PARTS = ("rollout", "reward", "batch", "forward", "backward", "optimiser")


class Profiled(Side):
    """Our side: a line is the whole and its parts."""

    def step(self):
        self.process.stdin.write("\n")
        whole, *parts = map(float, self.process.stdout.readline().split())
        self.times.append(whole)
        if whole == min(self.times):
            self.parts = parts


def main():
    python = sys.argv[1] if len(sys.argv) > 1 and os.path.exists(sys.argv[1]) else None
    threads = sys.argv[2] if len(sys.argv) > 2 else "2"
    vocab = sys.argv[3] if len(sys.argv) > 3 else "768"
    dtypes = os.environ.get("BENCH_DTYPES", "f32 bf16").split()
    ours = [Profiled(f"moonlit {t}", ["lua5.4", os.path.join(HERE, "grpo.lua"), threads, t, vocab,
                                      "profile"]) for t in dtypes]
    rivals = [Side(f"trl {t}", [python, os.path.join(HERE, "grpo_trl.py"), threads, t, vocab])
              for t in dtypes] if python else []
    sides = ours + rivals
    for turn in range(2 + ROUNDS):  # the first two warm caches up
        for side in sides:
            if turn == 2:
                side.times = []
            if side.alive:
                side.step()
    for side in sides:
        side.close()
    print(f"GRPO step, 4 layers, d 128, vocabulary {vocab}, 64 samples x 64 tokens, {threads} "
          "threads: ms minimum (median), MiB")
    for s in (s for s in sides if s.times):
        print(f"  {s.label:14s} {min(s.times):8.1f} ({statistics.median(s.times):8.1f}) {s.rss:6d}")
    best = [min(r.times) for r in rivals if r.times]
    for s in ours:
        ratio = f"{min(best) / min(s.times):.2f} x the best of TRL; " if best else ""
        parts = ", ".join(f"{name} {ms:.1f}" for name, ms in zip(PARTS, s.parts))
        print(f"  {s.label}: {ratio}{parts}", flush=True)


main()
