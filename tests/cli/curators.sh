# needs: photos
# What curators see and say of copies and overlap: one photo under two names, who decided, findings that were dismissed, another
# copy to keep, and thresholds that move with answers.
mkdir set bench
cp -r "$FIXTURES"/faces/* set/
for person in set/*/; do [ "$(find "$person" -name '*.jpg' | wc -l)" -ge 4 ] && people+=("$(basename "$person")"); done
one=${people[0]} two=${people[1]}
nth() { find "set/$1" -name '*.jpg' | sort | sed -n "$2p"; }
last=${people[-1]} && mkdir set/solo_a set/solo_b                # somebody else, with one photo, under two names
cp "$(nth "$last" 1)" set/solo_a/zz_a.jpg && rm -r "set/$last"
cp "$(nth "$two" 1)" "set/$one/zz_exact.jpg"                     # the same bytes under another name
/usr/bin/python3 -c 'import sys
from PIL import Image
for a, b in zip(sys.argv[1::2], sys.argv[2::2]):
    photo = Image.open(a); w, h = photo.size; photo.crop((3, 3, w - 3, h - 3)).save(b, quality=60)' \
    "$(nth "$two" 2)" "set/$one/zz_near.jpg" "$(nth "$two" 3)" "set/$two/zz_again.jpg" set/solo_a/zz_a.jpg set/solo_b/zz_b.jpg
mkdir "bench/${two}_b"
cp "$(nth "$two" 4)" "bench/${two}_b/"
run() { facewash run --quiet --input dir:set --benchmark b=dir:bench --work w --export e 2>/dev/null; echo "-> $?"; }
cat >look.py <<'PY'
import csv, sys
rows = {name: list(csv.DictReader(open(f"e/{name}.csv", newline=""))) for name in ("duplicates", "overlap", "ledger")}
for r in rows["duplicates"]:
    if "zz_" in r["path"] or any("zz_" in x["path"] for x in rows["duplicates"] if x["group"] == r["group"]):
        print("copy   ", r["path"], r["kind"], "kept" if r["kept"] == "yes" else "-", r["labels"], r["why"] or "-", "1" if r["similarity"] == "1.0000" else "under 1")
for r in rows["overlap"]:
    print("overlap", r["label"], r["benchmark_label"], r["rule"])
for r in rows["ledger"]:
    if "zz_" in r["path"] or r["by"] == "curator":
        print("ledger ", r["path"], r["action"], r["final_label"] or "-", r["rule"] or "-", r["by"], r["who"] or "-")
PY
look() { /usr/bin/python3 look.py; }
content() { /usr/bin/python3 -c 'import csv, sys
for row in csv.DictReader(open("e/ledger.csv", newline="")):
    if row["path"] == sys.argv[1]: print(row["content"])' "${1#set/}"; }
say() { printf '{"format":"facewash-decision-1","id":"%s","when":"2026-01-31T12:00:00Z","who":"%s","queue":"q","item":"%s","answer":"y","claims":[%s]}\n' "$1" "$2" "$1" "$3" >>w/review/decisions; }
run
look
echo "--- bob keeps the other copy; anna says that nobody is in the benchmark"
exact=$(content "set/$one/zz_exact.jpg") again=$(content "set/$two/zz_again.jpg") first=$(content "$(nth "$two" 3)") shared=$(content "$(nth "$two" 4)")
kept=$first; grep -q 'zz_again.jpg.*,yes,' e/duplicates.csv || kept=$again
[ "$kept" = "$first" ] && other=$again || other=$first
mkdir -p w/review
say keep bob "{\"images\":[\"$kept\",\"$other\"],\"same_image\":true}"
say no anna "{\"faces\":[\"$shared\",\"$shared\"],\"same_person\":false}"
run
look
echo "--- zoe: the photo under two names is the other one"
say name zoe "{\"face\":\"$exact\",\"label\":\"$one\",\"is\":true},{\"face\":\"$exact\",\"label\":\"$two\",\"is\":false}"
run
look | grep -v '^overlap'
/usr/bin/python3 -c 'import json; d = json.load(open("e/summary.json"))["decisions"]; print(d["curators"], sorted(d["shifts"]))'
