#!/usr/bin/env bash
# Which lines a corpus reaches: coverage.sh COUNTING FUZZ NAME...; programs in COUNTING (clang's source coverage), inputs in FUZZ.
set -euo pipefail
counting=$1 fuzz=$2
shift 2
declare -A file=(
    [rec]="lib/source_rec.c lib/recordio.c" [tar]="lib/source_archive.c lib/archive.c lib/sequence.c" [zip]="lib/source_archive.c lib/archive.c"
    [tsv]="lib/source_tsv.c lib/base64.c lib/sequence.c" [bin]="lib/source_bin.c" [npy]="lib/source_vectors.c" [feat]="lib/source_vectors.c"
    [list]="lib/source_list.c lib/source_many.c" [onnx]="lib/onnxfile.c lib/onnxgraph.c lib/protobuf.c"
    [image]="lib/image.c lib/jpeg.c lib/png.c lib/webp.c lib/bmp.c lib/exif.c" [decisions]="lib/decisions.c" [review]="lib/http.c stages/review.c"
)
for name; do
    raw=$counting/$name.profraw
    LLVM_PROFILE_FILE=$raw "$counting/fuzz_$name" -runs=0 "$fuzz/corpus/$name" "$fuzz/seeds/$name" 2>/dev/null
    llvm-profdata merge -o "$counting/$name.profdata" "$raw"
    for path in ${file[$name]}; do
        llvm-cov export -summary-only -instr-profile="$counting/$name.profdata" "$counting/fuzz_$name" "$path" 2>/dev/null |
            /usr/bin/python3 -c 'import json, sys
name, path = sys.argv[1:]
for f in json.load(sys.stdin)["data"][0]["files"]:
    if f["filename"].endswith(path):
        s = f["summary"]
        print("%-10s %-24s %5.1f %% of %d lines, %5.1f %% of %d branches" % (name, path, s["lines"]["percent"], s["lines"]["count"],
              s["branches"]["percent"], s["branches"]["count"]))' "$name" "$path"
    done
done
