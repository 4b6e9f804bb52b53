"""decoding.py RIVAL_PYTHON [THREADS [CONFIG...]]: text of decode.lua beside decode.py's, in turns on
the same cores: prompts of 128 ids, 256 new ones, 1, 8 and 32 at once; ours in f32 and this
machine's bf16, transformers' generate in f32 and bf16. Prints tokens a second of the new ones alone
and the prompts' ms, the best of some turns; our ratio to the best of generate; and the share of a
roofline: what a step reads (weights, head, keys and values at their mean length) at the rate that
stream.c reads as much memory with, or its FLOPs at BENCH_PEAK GFLOP/s a core (f32's FMA peak),
whichever is slower. Without transformers, our half alone."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = {"m": (6, 384, 8192), "g": (12, 768, 50304)}
BATCHES = (1, 8, 32)
PROMPT, NEW = 128, 256
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SIZES = {"f32": 4, "bf16": 2}


class Side:
    """One process that makes a batch whenever it is told how large."""

    def __init__(self, label, command):
        env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        self.label, self.prefill, self.rate = label, {}, {}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=env, bufsize=1)
        self.alive = self.process.stdout.readline().strip() == "ready"

    def turn(self, batch):
        try:
            self.process.stdin.write(f"{batch}\n")
            prompts, whole = map(float, self.process.stdout.readline().split())
        except (BrokenPipeError, ValueError):
            self.alive = False
            return
        rate = batch * NEW / (whole - prompts) * 1e3
        self.prefill[batch] = min(prompts, self.prefill.get(batch, prompts))
        self.rate[batch] = max(rate, self.rate.get(batch, 0))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def matmul_params(name):
    layers, d, vocab = SHAPES[name]
    return vocab * d + layers * (4 * d * d + 3 * d * (8 * d // 3 // 32 * 32))


def roofline(stream, name, threads, size, batch, peak):
    """tokens a second"""
    layers, d, _ = SHAPES[name]
    keys = 2 * layers * d * (PROMPT + NEW / 2) * batch * size
    read = matmul_params(name) * size + keys
    rate = float(subprocess.check_output([stream, threads, str(int(read) >> 20)]))
    memory = read / rate / 1e9
    flops = 2 * matmul_params(name) * batch / (peak * 1e9 * int(threads))
    return batch / (max(memory, flops) if size == 4 else memory), rate


def report(name, threads, sides, stream, peak):
    ours = [s for s in sides if s.label.startswith("moonlit") and s.rate]
    rivals = [s for s in sides if not s.label.startswith("moonlit") and s.rate]
    print(f"{name}, {threads} threads: new tokens a second (ms of the prompts)")
    for s in sides:
        cells = (f"{s.rate[b]:10.0f} ({s.prefill[b]:7.1f})" for b in BATCHES if b in s.rate)
        print(f"  {s.label:20s}" + "".join(cells))
    for s in ours:
        for b in (b for b in BATCHES if b in s.rate):
            size = SIZES[s.label.split()[1]]
            bound, rate = roofline(stream, name, threads, size, b, peak)
            line = f"  {s.label}, {b:2d}: {100 * s.rate[b] / bound:3.0f} % of {bound:.0f} " \
                   f"({rate:.1f} GB/s)"
            if rivals:
                line += f"; {s.rate[b] / max(r.rate[b] for r in rivals):.2f} x generate, prompts " \
                        f"{min(r.prefill[b] for r in rivals) / s.prefill[b]:.2f} x"
            print(line, flush=True)


def main():
    python = sys.argv[1] if len(sys.argv) > 1 and os.path.exists(sys.argv[1]) else None
    threads = sys.argv[2] if len(sys.argv) > 2 else "2"
    with tempfile.TemporaryDirectory() as folder:
        stream = os.path.join(folder, "stream")
        subprocess.check_call(["cc", "-O3", "-march=native", os.path.join(HERE, "stream.c"), "-o",
                               stream, "-pthread"])
        for name in sys.argv[3:] or list(SHAPES):
            sides = [Side(f"moonlit {t}", ["lua5.4", os.path.join(HERE, "decode.lua"), name,
                                           threads, t]) for t in ("f32", "bf16")]
            if python:
                sides += [Side(f"generate {t}", [python, os.path.join(HERE, "decode.py"), name,
                                                 threads, t]) for t in ("f32", "bf16")]
            for batch in BATCHES:
                for _ in range(ROUNDS):
                    for side in sides:
                        if side.alive:
                            side.turn(batch)
            for side in sides:
                side.close()
            report(name, threads, sides, stream, float(os.environ.get("BENCH_PEAK", "216")))


main()
