#!/usr/bin/env python3
"""Seeds for fuzz_source: seeds.py DIR. Small files of tests/make_sources.py with the format's number in front."""
import glob, os, subprocess, sys, tempfile

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1]
os.makedirs(out, exist_ok=True)
kinds = {"rec": (("rec", 0), ("rec", 1)), "badrec": (("rec", 0), ("rec", 1)), "tar": (("tar", 2),), "badtar": (("tar", 2),), "zip": (("zip", 3),),
         "tsv": (("tsv", 4), ("tsv", 5)), "bin": (("bin", 6),), "npy": (("npy", 7), ("bin", 8))}
for maker, formats in kinds.items():
    with tempfile.TemporaryDirectory() as d:
        subprocess.run([sys.executable, f"{here}/../make_sources.py", maker, d], check=True)
        for ext, number in formats:
            for path in glob.glob(f"{d}/*.{ext}*"):
                side = b""
                for beside in (path[:-3] + "idx", f"{d}/f.meta" if number == 8 else f"{d}/labels.txt"):
                    if number in (0, 7, 8) and os.path.exists(beside):
                        side = open(beside, "rb").read()
                        break
                if os.path.getsize(path) + len(side) < 8000:
                    data = open(path, "rb").read() + side
                    with open(f"{out}/{maker}-{number}-{os.path.basename(path)}", "wb") as f:
                        f.write(bytes([number, len(side) & 255, len(side) >> 8]) + data)
