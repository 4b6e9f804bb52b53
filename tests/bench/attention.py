"""attention.py PROGRAM [threads]: our causal attention (tests/bench/attention.c, compiled) beside
PyTorch's scaled_dot_product_attention, f32, forward and backward. They take turns on the same
cores within the same seconds; minimum and median over all turns are printed, and theirs / ours
of the minimum for forward + backward. Without PyTorch ours alone is printed."""
import os
import statistics
import subprocess
import sys
import time

try:
    import torch
except ImportError:
    torch = None

SHAPES = [  # batch, heads, length, dim, ratio to reach
    (16, 4, 256, 32, 2.0),
    (8, 6, 1024, 64, 1.5),
    (8, 6, 256, 64, None),
    (2, 12, 1024, 64, None),
    (12, 4, 64, 32, None),
]
ROUNDS, TURN = 6, 250  # turns each, milliseconds a turn


def ours_turn(program, shape):
    batch, heads, length, dim = shape
    program.stdin.write(f"{batch} {heads} {heads} {length} {dim} {TURN}\n")
    program.stdin.flush()
    return [float(x) for x in program.stdout.readline().split()]


def theirs_turn(shape):
    attend = torch.nn.functional.scaled_dot_product_attention
    q, k, v = (torch.randn(*shape, requires_grad=True) for _ in range(3))
    g = torch.randn(*shape)
    seconds = [[], [], []]
    end = time.perf_counter() + TURN * 1e-3
    while not seconds[0] or time.perf_counter() < end:
        t0 = time.perf_counter()
        o = attend(q, k, v, is_causal=True)
        t1 = time.perf_counter()
        torch.autograd.grad(o, (q, k, v), g)
        t2 = time.perf_counter()
        for list_, value in zip(seconds, (t1 - t0, t2 - t1, t2 - t0)):
            list_.append(value * 1e3)
    return [f(x) for x in seconds for f in (min, statistics.median)]


def summary(turns):
    """least minimum and middle median of forward, backward, both"""
    columns = list(zip(*turns))
    return [f(c) for c, f in zip(columns, (min, statistics.median) * 3)]


def line(name, s):
    print(f"  {name:8} forward {s[0]:8.3f} ({s[1]:8.3f})  backward {s[2]:8.3f} ({s[3]:8.3f})"
          f"  both {s[4]:8.3f} ({s[5]:8.3f}) ms")


def measure(program, shape, goal):
    mine, theirs = [], []
    for _ in range(ROUNDS):
        mine.append(ours_turn(program, shape))
        if torch:
            theirs.append(theirs_turn(shape))
            time.sleep(0.25)  # its threads spin on for a while
    print("B%d H%d T%d d%d" % shape)
    ours = summary(mine)
    line("moonlit", ours)
    if torch:
        rival = summary(theirs)
        line("pytorch", rival)
        wanted = f", wanted {goal}" if goal else ""
        print(f"  ratio {rival[4] / ours[4]:.2f} (medians {rival[5] / ours[5]:.2f}){wanted}")


def main():
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else len(os.sched_getaffinity(0))
    if torch:
        torch.set_num_threads(threads)
        blas = "MKL" if torch.backends.mkl.is_available() else "no MKL"
        malloc = os.environ.get("LD_PRELOAD") or "the system's malloc"
        print(f"attention, {threads} threads, PyTorch {torch.__version__}, {blas}, {malloc}")
    else:
        print(f"attention, {threads} threads; PyTorch is not installed (make bench-deps): ours alone")
    program = subprocess.Popen([sys.argv[1], str(threads)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True,
                               env={k: x for k, x in os.environ.items() if k != "LD_PRELOAD"})
    for *shape, goal in SHAPES:
        measure(program, tuple(shape), goal)
    program.stdin.close()
    program.wait()


main()
