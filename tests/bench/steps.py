"""steps.py RIVAL_PYTHON [THREADS [CONFIG...]]: training steps of train.lua beside train.py's, in
turns on the same cores: ours in f32 and bf16, PyTorch as shipped and with every flag we know.
Prints minimum and median ms, the share of the FMA peak in 6N + attention FLOPs, and peak RSS;
then our ratio to PyTorch as shipped and to the best of all. Without PyTorch, our half alone."""
import glob
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = {"s": (4, 128, 4096, 16, 256), "m": (6, 384, 8192, 8, 256),
          "g": (12, 768, 50304, 4, 64), "gl": (12, 768, 50304, 2, 512)}
SECONDS = {"s": 3, "m": 6, "g": 8, "gl": 16}  # of steps for each side, at least


def flops(name):
    layers, d, vocab, rows, length = SHAPES[name]
    hidden = 8 * d // 3 // 32 * 32
    matmul = vocab * d + layers * (4 * d * d + 3 * d * hidden)
    return 6 * matmul * rows * length + 6 * layers * d * length * rows * length


class Side:
    """One process that does a step whenever it is told to."""

    def __init__(self, label, command, extra=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        env.update(extra or {})
        self.label, self.times, self.rss = label, [], 0
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=env, bufsize=1)
        self.alive = self.process.stdout.readline().strip() == "ready"

    def step(self):
        try:
            self.process.stdin.write("\n")
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.alive = False
            return
        self.times.append(float(line))

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        for line in self.process.stdout:
            if line.startswith("rss"):
                self.rss = int(line.split()[1])
        self.process.wait()


def rivals(python, config, threads, dtype):
    command = [python, os.path.join(HERE, "train.py"), config, threads]
    tcmalloc = sorted(glob.glob("/usr/lib/*/libtcmalloc_minimal.so.4"))
    yield Side(f"torch {dtype}", command + [dtype])
    if tcmalloc:
        preload = {"LD_PRELOAD": tcmalloc[0]}
        yield Side(f"torch {dtype} tcmalloc", command + [dtype], preload)
        yield Side(f"torch {dtype} tcmalloc compile", command + [dtype + "-compile"], preload)


def measure(config, threads, python, dtype):
    """The sides of one dtype: those of both would not fit into memory at once."""
    command = ["lua5.4", os.path.join(HERE, "train.lua"), config, threads, dtype]
    sides = [Side(f"moonlit {dtype}", command)]
    if python:
        sides += rivals(python, config, threads, dtype)
    for side in sides:  # the first steps warm caches up and compile
        for _ in range(2):
            if side.alive:
                side.step()
        side.first, side.times = side.times[:1], []
    spent = 0
    while spent < SECONDS[config] * 1000 * len(sides):
        for side in sides:
            if side.alive:
                side.step()
        done = [s.times[-1] for s in sides if s.times]
        if not done:
            break
        spent += sum(done)
    for side in sides:
        side.close()
    return [s for s in sides if s.times]


def report(config, threads, sides, peak):
    for s in sides:
        share = flops(config) / min(s.times) / 1e6 / (peak * int(threads))
        print(f"  {s.label:28s} {min(s.times):9.1f} ({statistics.median(s.times):8.1f}) "
              f"{s.first[0]:8.1f} {100 * share:6.1f} % {s.rss:6d}")
    us, them = min(sides[0].times), [min(s.times) for s in sides[1:]]
    if them:
        print(f"  {them[0] / us:.2f} x as shipped, {min(them) / us:.2f} x the best", flush=True)


def main():
    python = sys.argv[1] if len(sys.argv) > 1 and os.path.exists(sys.argv[1]) else None
    threads = sys.argv[2] if len(sys.argv) > 2 else "2"
    peak = float(os.environ.get("BENCH_PEAK", "216"))
    for config in sys.argv[3:] or list(SHAPES):
        print(f"{config}, {threads} threads: ms minimum (median), first step, share of the f32 FMA "
              "peak, MiB")
        for dtype in os.environ.get("BENCH_DTYPES", "f32 bf16").split():
            report(config, threads, measure(config, threads, python, dtype), peak)


if __name__ == "__main__":
    main()
