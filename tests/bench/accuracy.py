#!/usr/bin/env python3
"""Accuracy of the default settings on datasets with planted truth: one table over all tracks and seeds.

  accuracy.py --lfw LFW [--bench DIR] [--facewash BIN] [--scratch DIR] [--seeds 11-15] [--tracks noise,merge,...] [--keep DIR]

LFW: identity folders. DIR holds make_dataset.py and score.py. Every dataset is made, run through `facewash run` with
default settings, exported, scored and removed. LFW itself is embedded once: a dataset of its photos begins with a copy of that
workspace, where they are known by their content; degraded photos are embedded anew. With --keep, datasets, workspaces and exports stay in DIR, to look at failures, and a second
run there recomputes only what a changed program computes in another way: a minute instead of an hour.
One line per track: the mean over seeds of every figure, its worst seed, the goal, pass or not.
"""
import argparse, csv, json, os, shutil, subprocess, sys, tempfile

# track: (make_dataset arguments, {figure: goal for clean photos}, {figure: goal for degraded ones or None: not run})
F1 = "f1"
TRACKS = {
    "mixed 5%": ("noise --rate .05", {F1: .975, "ap": .99}, {F1: .94, "ap": .99}),
    "mixed 10%": ("noise --rate .1", {F1: .985, "ap": .99}, None),
    "mixed 30%": ("noise --rate .3", {F1: .996, "ap": .99}, {F1: .983, "ap": .99}),
    "mixed 50%": ("noise --rate .5", {F1: .993, "ap": .99}, {F1: .985, "ap": .99}),
    "all, mixed 30%": ("noise --rate .3 --all", {F1: .935, "ap": .98}, None),
    "flips 30%": ("noise --rate .3 --kind flip", {F1: .98, "ap": .99, "relabel_correct": .99}, None),
    "contam 5%": ("noise --rate .05 --kind contam", {F1: .985, "ap": .99}, {F1: .94, "ap": .99}),
    "contam 20%": ("noise --rate .2 --kind contam", {F1: .985, "ap": .99}, {F1: .94, "ap": .99}),
    "merge": ("merge", {"merge.f1": .98, "split.f1": .98, "purity": .998, "kept_right": .98}, None),
    "overlap": ("overlap", {"identity.precision": .99, "identity.recall": .995},
                {"identity.precision": .985, "identity.recall": .965}),
    "dups": ("dups", {F1: .99}, None),
    "plain": ("plain", {"pairwise.f1": .998, "bcubed.f1": .991}, None),
}


def seeds_of(text):
    out = []
    for part in text.split(","):
        a, _, b = part.partition("-")
        out += range(int(a), int(b or a) + 1)
    return out


def rows(path):
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def say(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"accuracy: {' '.join(command)} failed ({done.returncode}):\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done.stdout


def extra(kind, truth, export):
    """What score.py does not say: calibration, the noise rate's interval, how many right images are kept."""
    img = {r["path"]: r for r in rows(os.path.join(export, "images.csv"))}
    out = {}
    if kind == "noise":
        used = [(float(img[t["path"]]["score"] or 0), t["kind"] != "clean") for t in truth
                if t["path"] in img and img[t["path"]]["status"] == "ok"]
        out["bins"] = [[sum(lo <= s < lo + .1 or (lo > .85 and s == 1) for s, _ in used),
                        sum(w for s, w in used if lo <= s < lo + .1 or (lo > .85 and s == 1))]
                       for lo in (k / 10 for k in range(10))]
        with open(os.path.join(export, "summary.json"), encoding="utf-8") as f:
            noise = json.load(f).get("audit", {}).get("noise_rate", {})
        low, high = noise.get("interval95", (0, 1))
        rate = sum(w for _, w in used) / max(1, len(used))
        out["interval_hit"] = float(low <= rate <= high)
    if kind == "merge":
        out["kept_right"] = sum(img[t["path"]]["verdict"] in ("keep", "relabel") for t in truth if t["path"] in img) / len(truth)
    return out


def dataset_folder(a, name, degraded, seed):
    if not a.keep:
        return tempfile.mkdtemp(prefix="accuracy-", dir=a.scratch)
    words = "".join(c if c.isalnum() else "-" for c in name)
    path = os.path.join(a.keep, f"{words}-{'degraded' if degraded else 'clean'}-{seed}")
    os.makedirs(path, exist_ok=True)
    return path


def seeded_workspace(a, work):
    """The workspace of LFW itself, made at the first call, copied (hard links: no file of a workspace is ever changed)."""
    base = os.path.join(a.keep or a.scratch, "lfw-work")
    if not a.based:
        say(a.facewash, "run", "--input", a.lfw, "--work", base)
        a.based = True
    if not os.path.exists(work):
        subprocess.run(["cp", "-al", base, work], check=True)


def one(a, name, arguments, degraded, seed):
    scratch = dataset_folder(a, name, degraded, seed)
    try:
        data, work, export = (os.path.join(scratch, x) for x in ("data", "work", "export"))
        kind = arguments.split()[0]
        make = [sys.executable, os.path.join(a.bench, "make_dataset.py"), *arguments.split(), "--src", a.lfw, "--out", data,
                "--seed", str(seed)]
        truth = os.path.join(data, "truth.csv")
        if not os.path.exists(os.path.join(scratch, "made")):
            shutil.rmtree(data, ignore_errors=True)
            say(*make, *(["--degrade"] if degraded else []))
            open(os.path.join(scratch, "made"), "w").close()
        where = os.path.join(data, "train") if kind == "overlap" else data
        shutil.rmtree(export, ignore_errors=True)
        if not degraded:
            seeded_workspace(a, work)
        run = [a.facewash, "run", "--input", where, "--work", work, "--export", export, "--set", "ingest.moved=yes"]
        if kind == "overlap":
            run += ["--benchmark", "bench=" + os.path.join(data, "bench")]
        say(*run)
        res = json.loads(say(sys.executable, os.path.join(a.bench, "score.py"), kind, "--truth", truth, "--export", export))
        res.update(extra(kind, rows(truth), export))
        return res
    finally:
        if not a.keep:
            shutil.rmtree(scratch, ignore_errors=True)


def figure(res, name):
    for part in name.split("."):
        res = (res or {}).get(part)
    return res


def reliability(results):
    bins = [[0, 0] for _ in range(10)]
    for r in results:
        for k, (n, wrong) in enumerate(r.get("bins", [])):
            bins[k][0] += n
            bins[k][1] += wrong
    return bins


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    ap.add_argument("--lfw", default=os.environ.get("FACEWASH_LFW"), required=not os.environ.get("FACEWASH_LFW"))
    ap.add_argument("--bench", default=os.path.join(root, "..", "shared", "bench"))
    ap.add_argument("--facewash", default=os.path.join(root, "build", "facewash"))
    ap.add_argument("--scratch", default=tempfile.gettempdir())
    ap.add_argument("--seeds", default="11-15")
    ap.add_argument("--tracks", default="", help="comma-separated words; a track runs when its name holds one of them")
    ap.add_argument("--photos", choices=["clean", "degraded", "both"], default="both")
    ap.add_argument("--keep", metavar="DIR", help="keep the datasets, workspaces and exports there, and use those that are")
    a = ap.parse_args()
    a.based = False
    a.scratch = tempfile.mkdtemp(prefix="accuracy-", dir=a.scratch)
    try:
        sys.exit(table(a))
    finally:
        shutil.rmtree(a.scratch, ignore_errors=True)


def table(a):
    words = [w for w in a.tracks.split(",") if w]
    noise, failed = [], 0
    print(f"{'track':<16} {'photos':<9} {'figure':<19} {'mean':>7} {'worst':>7} {'goal':>6}")
    for name, (arguments, clean, degraded) in TRACKS.items():
        if words and not any(w in name for w in words):
            continue
        for photos, goals in (("clean", clean), ("degraded", degraded)):
            if not goals or a.photos not in (photos, "both"):
                continue
            results = [one(a, name, arguments, photos == "degraded", s) for s in seeds_of(a.seeds)]
            noise += [r for r in results if "bins" in r]
            for key, goal in goals.items():
                values = [v for v in (figure(r, key) for r in results) if v is not None]
                mean = sum(values) / len(values) if values else 0.0
                failed += mean < goal
                print(f"{name:<16} {photos:<9} {key:<19} {mean:7.4f} {min(values, default=0):7.4f} {goal:6.3f}"
                      f" {'pass' if mean >= goal else 'FAIL'}", flush=True)
    if noise:
        print("\nreliability: of images with a score in the bin, the share that is wrong")
        for k, (n, wrong) in enumerate(reliability(noise)):
            print(f"  {k / 10:.1f}-{(k + 1) / 10:.1f} {n:8d} images  {wrong / max(1, n):.3f}")
        print(f"noise rate inside its 95 % interval: {sum(r['interval_hit'] for r in noise):.0f} of {len(noise)} runs")
    return 1 if failed else 0


if __name__ == "__main__":
    main()
