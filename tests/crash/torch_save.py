# python tests/crash/torch_save.py [KILLS]
#
# The random kills of tests/crash/run.lua, done to the loop that people write by hand: torch.save of
# model, optimiser and step, torch.load to go on, a line appended to a log each step. Each case is
# one run, killed (kill -9) at a random moment and started again until it ends. Development only.
import hashlib, json, os, random, shutil, signal, sys, tempfile, time

import torch

STEPS, EVERY, DIM = 60, 3, 512


def train(place):
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(DIM, DIM), torch.nn.ReLU(), torch.nn.Dropout(0.1),
                                torch.nn.Linear(DIM, DIM))
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
    start, path = 0, place + "/ckpt.pt"
    if os.path.exists(path):
        state = torch.load(path)
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        start = state["step"]
    log = open(place + "/metrics.jsonl", "a")
    for step in range(start + 1, STEPS + 1):
        x = torch.randn(16, DIM)
        loss = (model(x) - x).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        log.write(json.dumps({"step": step, "loss": loss.item()}) + "\n")
        log.flush()
        if step % EVERY == 0:
            torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "step": step}, path)
    weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    open(place + "/hash", "w").write(hashlib.sha256(weights).hexdigest())


# a run in a child process; its exit status, negative: the signal that ended it
def run(place, seconds=None):
    started, child = time.time(), os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            train(place)
            code = 0
        except BaseException:
            pass
        os._exit(code)
    while seconds is not None and time.time() - started < seconds:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
        time.sleep(0.0005)
    if seconds is not None:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), time.time() - started


def read(path):
    return open(path).read() if os.path.exists(path) else None


kills = int(sys.argv[1]) if len(sys.argv) > 1 else 40
base = tempfile.mkdtemp(dir="/dev/shm")
os.mkdir(base + "/whole")
code, whole = run(base + "/whole")
assert code == 0
want, want_log = read(base + "/whole/hash"), read(base + "/whole/metrics.jsonl")
random.seed(1)
killed = unreadable = other = doubled = fine = 0
while killed < kills:
    place = base + "/case"
    os.mkdir(place)
    code, _ = run(place, random.random() * whole)
    if code == -signal.SIGKILL and read(place + "/metrics.jsonl"):
        killed += 1
        code, _ = run(place)
        steps = [json.loads(l)["step"] for l in (read(place + "/metrics.jsonl") or "").splitlines()
                 if l.endswith("}")]
        if code != 0:
            unreadable += 1
        elif read(place + "/hash") != want:
            other += 1
        elif read(place + "/metrics.jsonl") == want_log:
            fine += 1
        doubled += len(steps) != len(set(steps))
    shutil.rmtree(place)
shutil.rmtree(base)
print(f"{killed} kills of a torch.save loop: {unreadable} left a checkpoint that cannot be read, "
      f"{other} ended with other weights, {doubled} with lines twice in the log; {fine} unharmed")
