#!/usr/bin/python3
"""make bench: speed as ratios to a peer, both measured in one run. Prints a table, writes JSON.

The two sides of a row take turns, --repeat times, so that what else the machine does hits both; a ratio is the median of the
rounds' ratios. With one thread CPU time is compared (waiting for a core does not count), with more wall time. Our side is the
program build/bench (bench.h), one process per number of threads; peers are steps of the same program, or OpenCV in here.
"""
import argparse
import json
import multiprocessing.pool
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time
import zipfile

import numpy as np

try:
    import cv2
except ImportError:
    cv2 = None


class Program:
    """build/bench with a fixed number of threads."""

    def __init__(self, path, threads, **arguments):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
        self.threads = threads
        self.process = subprocess.Popen([path] + [f"{k}={v}" for k, v in arguments.items()], env=env, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, step):
        self.process.stdin.write(step + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line.endswith("}\n"):
            sys.exit(f"bench: step '{step}' ended the program")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


# ---- the OpenCV loop: what a careful user would write, with the models as published (OpenCV runs our prepared ones slower) ----

ARCFACE = np.float32([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
LEVELS = ((32, (512, 256)), (16, (128, 64)), (8, (32, 16)))  # stride, sides of the anchors


class OpenCV:
    """Read, decode, detect, align, embed with cv2; one pair of networks per thread."""

    def __init__(self, models, threads):
        cv2.setNumThreads(1)  # threads share photos, which is faster than sharing one photo
        self.pool = multiprocessing.pool.ThreadPool(threads)
        names = [f"face_rpn_{kind}_stride{s}" for s, _ in LEVELS for kind in ("cls_prob_reshape", "bbox_pred", "landmark_pred")]
        self.detectors = [(cv2.dnn.readNetFromONNX(f"{models}/retinaface_mnet025.onnx"),
                           cv2.dnn.readNetFromONNX(f"{models}/mobilefacenet.onnx"), names) for _ in range(threads)]

    def embed(self, nets, path):
        detector, embedder, names = nets
        photo = cv2.imread(path)
        height, width = photo.shape[:2]
        scale = min(1, 640 / max(height, width))  # as facewash: the long side at most 640, padded to a multiple of 32
        small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else photo
        h, w = small.shape[:2]
        padded = cv2.copyMakeBorder(small, 0, -h % 32, 0, -w % 32, cv2.BORDER_CONSTANT)
        detector.setInput(cv2.dnn.blobFromImage(padded, swapRB=True))
        points = best_face(detector.forward(names))
        if points is None:
            crop = cv2.resize(photo, (112, 112))
        else:
            matrix, _ = cv2.estimateAffinePartial2D(points / scale, ARCFACE, method=cv2.LMEDS)
            crop = cv2.warpAffine(photo, matrix, (112, 112))
        embedder.setInput(cv2.dnn.blobFromImage(crop, 1 / 128, mean=(127.5, 127.5, 127.5)))
        vector = embedder.forward()[0]
        return vector / np.linalg.norm(vector)

    def run(self, work):
        """Photos are dealt to the threads; returns times like a step's."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.pool.map(work, range(len(self.detectors)), chunksize=1)
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    def loop(self, photos):
        n = len(self.detectors)
        return self.run(lambda t: [self.embed(self.detectors[t], p) for p in photos[t::n]])

    def decode(self, photos):
        n = len(self.detectors)
        return self.run(lambda t: [cv2.imread(p) for p in photos[t::n]])


def best_face(outputs):
    """Landmarks (5 x 2) of the best anchor from .5 on, or None."""
    best, points = 0.5, None
    for (stride, sides), score, _, marks in zip(LEVELS, outputs[0::3], outputs[1::3], outputs[2::3]):
        faces = score[0, 2:]
        at = int(faces.argmax())
        if faces.flat[at] < best:
            continue
        best = faces.flat[at]
        anchor, y, x = np.unravel_index(at, faces.shape)
        centre = 7.5 + stride * np.float32([x, y])
        points = centre + marks[0, 10 * anchor:10 * anchor + 10, y, x].reshape(5, 2) * sides[anchor]
    return points


# ---- rows of the table ---------------------------------------------------------------------------------------------------


def measure(ours, peer, repeat, threads):
    """Ratios of the rounds, and the last answers. A rate (peaks) is compared as a rate, else times are."""
    ratios = []
    for _ in range(repeat):
        a, b = ours(), peer()
        key = "rate" if "rate" in a else "cpu" if threads == 1 else "wall"
        ratios.append(a[key] / b[key] if key == "rate" else b[key] / a[key])
    return ratios, a, b


class Table:
    def __init__(self, repeat):
        self.repeat, self.rows = repeat, []

    def add(self, name, threads, ours, peer, goal=None, unit=None):
        """unit(answer) -> text: the absolute figure of one side."""
        if peer is None:
            row = {"row": name, "threads": threads, "missing": "python3-opencv is not installed"}
        else:
            ratios, a, b = measure(ours, peer, self.repeat, threads)
            row = {"row": name, "threads": threads, "ratio": statistics.median(ratios), "ratios": ratios, "goal": goal,
                   "ours": a, "peer": b, "figures": unit(a, b) if unit else ""}
        self.rows.append(row)
        print(self.text(row), flush=True)

    @staticmethod
    def text(row):
        if "missing" in row:
            return f"{row['row']:<62} {row['threads']}  {row['missing']}"
        goal = f"{row['goal']:>6}" if row["goal"] else "      "
        return f"{row['row']:<62} {row['threads']} {row['ratio']:>7.2f} {goal}  {row['figures']}"


def per_item(threads):
    key = "cpu" if threads == 1 else "wall"
    return lambda a, b: "%.2f / %.2f ms" % (1e3 * a[key] / a["items"], 1e3 * b[key] / a["items"])


def seconds(threads):
    key = "cpu" if threads == 1 else "wall"
    return lambda a, b: "%.2f / %.2f s" % (a[key], b[key])


def recalls(threads):
    return lambda a, b: seconds(threads)(a, b) + ", recall@10 %.4f / %.4f" % (a["true_recall10"], b["recall10"])


def rates(unit):
    return lambda a, b: "%.0f / %.0f %s" % (a["rate"], b["rate"], unit)


def faces(table, program, opencv, photos):
    t = program.threads
    program("own")  # opens and warms everything
    with_cosine = lambda a, b: per_item(t)(a, b) + ", cosine 1 - %.1e" % (1 - a["cosine"])
    table.add("read + decode a photo : cv2.imread", t, lambda: program("decode"), opencv and (lambda: opencv.decode(photos)),
              None, per_item(t))
    table.add("photo to embedding : OpenCV dnn loop", t, lambda: program("loop"), opencv and (lambda: opencv.loop(photos)), 3.5,
              per_item(t))
    table.add("embed a face : published graph, ONNX Runtime", t, lambda: program("own"), lambda: program("published"), 3,
              with_cosine)
    if "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text():
        table.add("photo to embedding, bf16 : OpenCV dnn loop", t, lambda: program("loop-bf16"),
                  opencv and (lambda: opencv.loop(photos)), 5.5, per_item(t))
        table.add("embed a face, bf16 : published graph, ONNX Runtime", t, lambda: program("bf16"), lambda: program("published"), 5,
                  with_cosine)


def knn(table, program, data, rows):
    t = program.threads
    size = f"{rows // 1000} k"
    table.add(f"k-NN exact, {size}, {data} : FAISS IndexFlatIP", t, lambda: program("exact"), lambda: program("flat"), 5,
              seconds(t))
    if t == 1:
        table.add(f"k-NN ivf, {size}, {data} : FAISS IVF", t, lambda: program("ivf"), lambda: program("faiss-ivf"), 8, recalls(t))


def peaks(table, program):
    t = program.threads
    if t == 1:
        table.add("join kernel : sgemm peak", t, lambda: program("join"), lambda: program("sgemm"), None, rates("GMAC/s"))
        name = program("join")["kernel"]
        if program("multiply")["rate"]:  # known for this CPU's kind
            table.add(f"join kernel : its instruction, {name}", t, lambda: program("join"), lambda: program("multiply"), None if "amx" in name else 0.8,
                      rates("GMAC/s"))
    table.add("read stored embeddings : reading memory", t, lambda: program("widen"), lambda: program("stream"), None, rates("GB/s"))


def scaling(table, one, two, step, name):
    key = "wall"

    def rate(program):
        return lambda: {"rate": 1 / program(step)[key]}
    table.add(f"{name}, 2 threads : 1 thread", 2, rate(two), rate(one), 1.85)


# ---- ingest: what it costs beyond reading the files once; the peer is `cat FILES > /dev/null` ------------------------------


def make_forms(facewash, lfw, build):
    """The same photos in every form, made once: {form: (source, shell words of its files)}."""
    home = build / "bench_ingest"
    if not (home / "made").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        subprocess.run([facewash, "ingest", "-q", "--input", f"dir:{lfw}", "--work", home / "work"], check=True)
        for form in ("rec", "tar", "tsv"):
            subprocess.run([facewash, "export", "-q", "--work", home / "work", "--out", home / form, "--format", form, "--all"], check=True)
        with zipfile.ZipFile(home / "set.zip", "w", zipfile.ZIP_DEFLATED) as z:
            for path in sorted(pathlib.Path(lfw).rglob("*.jpg")):
                z.write(path, path.relative_to(lfw))
        subprocess.run(f"cat {home}/tar/*.tar | gzip -1 >{home}/set.tar.gz", shell=True, check=True)
        (home / "made").touch()
    return {"dir": (f"dir:{lfw}", f"$(find '{lfw}' -type f)"), "rec": (f"rec:{home}/rec/train.rec", f"{home}/rec/train.rec"),
            "tar": (f"tar:{home}/tar/*.tar", f"{home}/tar/*.tar"), "tsv": (f"tsv:{home}/tsv/train.tsv", f"{home}/tsv/train.tsv"),
            "zip": (f"zip:{home}/set.zip", f"{home}/set.zip"), "tar.gz": (f"tar:{home}/set.tar.gz", f"{home}/set.tar.gz")}


def timed(command, cold, shell=False):
    if cold:  # nothing of the files is in memory
        os.sync()
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    before, wall = os.times(), time.perf_counter()
    subprocess.run(command, shell=shell, check=True)
    after = os.times()
    return {"wall": time.perf_counter() - wall,
            "cpu": after.children_user + after.children_system - before.children_user - before.children_system}


def ingest(table, args, build):
    forms = make_forms(args.facewash, args.lfw, build)
    work = build / "bench_ingest_work"

    def ours(source, threads, cold):
        shutil.rmtree(work, ignore_errors=True)
        return timed([args.facewash, "ingest", "-q", "--input", source, "--work", work, "--threads", str(threads)], cold)
    for cold in (False, True) if args.cold else (False,):
        threads = 2 if cold else 1  # cold: waiting for the disk is what counts, so wall time
        for form, (source, files) in forms.items():
            table.add(f"ingest {form}{', cold' if cold else ''} : cat", threads, lambda: ours(source, threads, cold),
                      lambda: timed(f"echo {files} | xargs cat >/dev/null", cold, shell=True), None, seconds(threads))


# ---- set-up --------------------------------------------------------------------------------------------------------------


def find_photos(args):
    folder = pathlib.Path(args.lfw) if args.lfw else pathlib.Path(args.cache, "demo-photos")
    found = sorted(str(p) for p in folder.rglob("*.jpg"))
    step = max(1, len(found) // args.photos)
    return found[::step][:args.photos]


def write_like(args, photos, build):
    """The file of fp16 rows whose covariance the synthetic rows get, and its name."""
    path = build / "bench_like.bin"
    if args.like:
        np.load(args.like).astype(np.float16).tofile(path)
        return path, "covariance of " + pathlib.Path(args.like).name
    program = Program(args.program, 2, embeddings=path, **faces_arguments(args, build))
    program("embeddings")
    program.close()
    return path, f"covariance of {len(photos)} faces"


def faces_arguments(args, build):
    return {"photos": build / "bench_photos.txt", "models": args.cache + "/models", "published": args.cache + "/models-source",
            "conf": "configs/models"}


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--cache", required=True, help="where setup.sh keeps models and photos")
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--lfw", default="", help="folder of photos; default: the demo's")
    parser.add_argument("--like", default="", help=".npy of embeddings; default: those of the photos")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--facewash", default="", help="the program, for ingest")
    parser.add_argument("--cold", action="store_true", help="ingest with cold caches too: empties the machine's (root)")
    parser.add_argument("--only", default="faces,peaks,knn,scaling,ingest")
    parser.add_argument("--json", required=True)
    args = parser.parse_args()
    build, only = pathlib.Path(args.json).parent, args.only.split(",")
    photos = find_photos(args)
    (build / "bench_photos.txt").write_text("".join(p + "\n" for p in photos))
    like, like_name = write_like(args, photos, build) if "knn" in only else (None, None)
    machine = f"{cpu_name()}, {os.cpu_count()} cores"
    print(f"{machine}; {len(photos)} photos; load {os.getloadavg()[0]:.1f}; times: ours / peer's\n"
          f"{'ours : peer':<62} T   ratio   goal")
    table, programs = Table(args.repeat), {}
    for threads in (1, 2):
        program = programs[threads] = Program(args.program, threads, **faces_arguments(args, build))
        opencv = OpenCV(args.cache + "/models-source", threads) if cv2 and "faces" in only else None
        if "faces" in only:
            faces(table, program, opencv, photos)
        if "peaks" in only:
            peaks(table, program)
        for data, file in (("isotropic", "-"), (like_name, like)) if "knn" in only else ():
            other = Program(args.program, threads, rows=args.rows, like=file)
            knn(table, other, data, args.rows)
            other.close()
    if "scaling" in only:
        scaling(table, programs[1], programs[2], "loop", "photo to embedding")
        pair = [Program(args.program, t, rows=args.rows) for t in (1, 2)]
        scaling(table, *pair, "exact", "k-NN exact, isotropic")
    if "ingest" in only and args.facewash and args.lfw:
        ingest(table, args, build)
    pathlib.Path(args.json).write_text(json.dumps({"machine": machine, "photos": len(photos), "rows": args.rows,
                                                   "table": table.rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
