#!/usr/bin/python3
"""Accuracy over all tracks: make a dataset with known truth, run facewash with its defaults, score the export, print one table.

  accuracy.py --bench DIR --lfw DIR --work DIR [--facewash BIN] [--seeds 11-15] [--tracks REGEX] [--keep]

DIR of --bench holds make_dataset.py and score.py. Every finished run is one line of WORK/results.jsonl; a second call goes on behind
them (other binary, other results: the binary's digest is part of the line). Datasets and workspaces are removed after scoring
unless --keep is given. A figure below its goal is marked with '!'; the exit status is 1 if a mean is below its goal.
"""
import argparse
import collections
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

# name: (make_dataset arguments, score.py's track, [(path in score.py's JSON, goal)])

def noise(goal, ap=.99):
    return [("f1", goal), ("ap", ap), ("relabel_correct", .99)]


TRACKS = {
    "noise-mixed-05": ("noise --rate .05 --kind mixed", "noise", noise(.975)),
    "noise-mixed-10": ("noise --rate .10 --kind mixed", "noise", noise(.985)),
    "noise-mixed-30": ("noise --rate .30 --kind mixed", "noise", noise(.996)),
    "noise-mixed-50": ("noise --rate .50 --kind mixed", "noise", noise(.993)),
    "noise-all-30": ("noise --rate .30 --kind mixed --all", "noise", noise(.935, .98)),
    "noise-flip-30": ("noise --rate .30 --kind flip", "noise", noise(.98)),
    "contam-05": ("noise --rate .05 --kind contam", "noise", [("f1", .985), ("ap", .99)]),
    "contam-20": ("noise --rate .20 --kind contam", "noise", [("f1", .985), ("ap", .99)]),
    "merge": ("merge", "merge", [("merge.f1", .98), ("split.f1", .98), ("purity", .998)]),
    "overlap": ("overlap", "overlap", [("identity.precision", .99), ("identity.recall", .995)]),
    "dups": ("dups", "dups", [("f1", .99)]),
    "plain": ("plain", "plain", [("pairwise.f1", .998), ("bcubed.f1", .991)]),
    "degraded-mixed-05": ("noise --rate .05 --kind mixed --degrade", "noise", noise(.94)),
    "degraded-mixed-30": ("noise --rate .30 --kind mixed --degrade", "noise", noise(.983)),
    "degraded-mixed-50": ("noise --rate .50 --kind mixed --degrade", "noise", noise(.985)),
    "degraded-contam-05": ("noise --rate .05 --kind contam --degrade", "noise", [("f1", .94), ("ap", .99)]),
    "degraded-contam-20": ("noise --rate .20 --kind contam --degrade", "noise", [("f1", .94), ("ap", .99)]),
    "degraded-overlap": ("overlap --degrade", "overlap", [("identity.precision", .985), ("identity.recall", .965)]),
    "degraded-plain": ("plain --degrade", "plain", [("pairwise.f1", None), ("bcubed.f1", None)]),
}


def seeds(text):
    out = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        out += range(int(first), int(last or first) + 1)
    return out


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()[:12]


def run_one(a, track, seed):
    make, kind, _ = TRACKS[track]
    data = os.path.join(a.work, f"{track}-{seed}")
    for stale in (data, data + ".work", data + ".export"):
        shutil.rmtree(stale, ignore_errors=True)
    py = "/usr/bin/python3"
    subprocess.run([py, os.path.join(a.bench, "make_dataset.py"), *make.split(), "--src", a.lfw, "--out", data, "--seed", str(seed)],
                   check=True, stdout=subprocess.DEVNULL)
    source = ["--input", "dir:" + data]
    if kind == "overlap":
        source = ["--input", f"dir:{data}/train", "--benchmark", f"bench=dir:{data}/bench"]
    start = time.monotonic()
    subprocess.run([a.facewash, "run", "--quiet", *source, "--work", data + ".work", "--export", data + ".export"], check=True)
    spent = time.monotonic() - start
    truth = os.path.join(data, "truth.csv")
    line = subprocess.run([py, os.path.join(a.bench, "score.py"), kind, "--truth", truth, "--export", data + ".export"],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    score = json.loads(line)
    with open(os.path.join(data + ".export", "summary.json")) as f:
        score["noise_rate"] = json.load(f).get("audit", {}).get("noise_rate")
    score["reliability"] = reliability(truth, data + ".export") if kind == "noise" else None
    if not a.keep:
        for path in (data, data + ".work", data + ".export"):
            shutil.rmtree(path, ignore_errors=True)
    return {"track": track, "seed": seed, "seconds": round(spent, 1), "score": score}


def reliability(truth, export):
    """Of the images with a score in each tenth: how many, and the share whose label is wrong."""
    import csv
    with open(truth, newline="") as f:
        wrong = {r["path"]: r["kind"] != "clean" for r in csv.DictReader(f)}
    bins = [[0, 0] for _ in range(10)]
    middle = [0, 0]
    with open(os.path.join(export, "images.csv"), newline="") as f:
        for r in csv.DictReader(f):
            s, w = float(r["score"]), wrong.get(r["path"], False)
            b = bins[min(9, int(s * 10))]
            b[0] += 1
            b[1] += w
            if .4 <= s <= .6:
                middle[0] += 1
                middle[1] += w
    return {"bins": [[n, round(w / n, 3) if n else None] for n, w in bins], "middle": middle}


def value(score, path):
    for key in path.split("."):
        score = score.get(key) if isinstance(score, dict) else None
    return score


def table(results):
    by = collections.defaultdict(list)
    for r in results:
        by[r["track"]].append(r)
    ok = True
    print(f"{'track':20} {'seeds':5} {'measure':20} {'mean':>7} {'min':>7} {'goal':>6}   seconds")
    for track, (_, _, goals) in TRACKS.items():
        rows = by.get(track)
        if not rows:
            continue
        for name, goal in goals:
            values = [v for v in (value(r["score"], name) for r in rows) if v is not None]
            if not values:
                continue
            mean = sum(values) / len(values)
            low = goal is not None and mean < goal
            ok &= not low
            print(f"{track:20} {len(rows):5} {name:20} {mean:7.4f} {min(values):7.4f} {goal or '':>6}{' !' if low else '  '}"
                  f"{sum(r['seconds'] for r in rows) / len(rows):8.1f}")
        middles = [r["score"]["reliability"]["middle"] for r in rows if r["score"].get("reliability")]
        if middles:
            n, w = sum(m[0] for m in middles), sum(m[1] for m in middles)
            print(f"{track:20} {len(rows):5} {'wrong at .4-.6':20} {w / n if n else 0:7.4f} {'of ' + str(n):>7} {'.4-.6':>6}")
    return ok


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--bench", required=True)
    ap.add_argument("--lfw", required=True)
    ap.add_argument("--work", required=True)
    ap.add_argument("--facewash", default="build/facewash")
    ap.add_argument("--seeds", type=seeds, default=seeds("11-15"))
    ap.add_argument("--tracks", default=".")
    ap.add_argument("--keep", action="store_true")
    a = ap.parse_args()
    os.makedirs(a.work, exist_ok=True)
    log, binary, results = os.path.join(a.work, "results.jsonl"), digest(a.facewash), []
    if os.path.exists(log):
        with open(log) as f:
            results = [r for r in map(json.loads, f) if r["binary"] == binary]
    done = {(r["track"], r["seed"]) for r in results}
    for seed in a.seeds:
        for track in TRACKS:
            if not re.search(a.tracks, track) or (track, seed) in done:
                continue
            r = dict(run_one(a, track, seed), binary=binary)
            results.append(r)
            with open(log, "a") as f:
                f.write(json.dumps(r) + "\n")
            print(f"{track} seed {seed}: {json.dumps(r['score'])}", file=sys.stderr)
    sys.exit(0 if table(results) else 1)


if __name__ == "__main__":
    main()
