# needs: photos
# Decisions files are taken in, decisions about pairs take effect, what changed is said, and later runs keep it.
mkdir set bench
cp -r "$FIXTURES"/faces/* set/
for person in set/*/; do [ "$(find "$person" -name '*.jpg' | wc -l)" -ge 2 ] && people+=("$(basename "$person")"); done
one=${people[0]} two=${people[1]}
first() { find "$1" -name '*.jpg' | sort | sed -n "${2:-1}p"; }
cp "$(first "set/$two")" "set/$one/copy.jpg"                     # a copy under another label
mkdir "bench/${two}_b"
cp "$(first "set/$two" 2)" "bench/${two}_b/"                     # a photo that is in a benchmark
run() { facewash run --quiet --input dir:set --benchmark b=dir:bench --work w --export e; echo "-> $?"; }
content() { /usr/bin/python3 -c 'import csv, sys
for row in csv.DictReader(open("e/ledger.csv", newline="")):
    if row["path"] == sys.argv[1]: print(row["content"])' "$1"; }
look() { /usr/bin/python3 -c 'import csv, sys
by = {row["path"]: row["by"] for row in csv.DictReader(open("e/ledger.csv", newline=""))}
for row in csv.DictReader(open("e/images.csv", newline="")):
    if row["path"] in sys.argv[1:]: print(row["path"], row["verdict"], row["new_label"] or "-", row["reasons"] or "-", by[row["path"]])' "$@"; }
say() { printf '{"format":"facewash-decision-1","id":"%s","when":"2026-01-31T12:00:00Z","who":"anna","queue":"q","item":"%s","answer":"y","claims":[%s]}\n' "$1" "$1" "$2"; }
run 2>/dev/null
copy=$one/copy.jpg orig=$(first "set/$two"); orig=${orig#set/}
shared=$(first "set/$two" 2); shared=${shared#set/}
mate=$(first "set/$one" 2); mate=${mate#set/}
look "$copy" "$orig" "$shared" "$mate"
echo "--- a file with one bad line, imported twice"
{
    say overlap "{\"faces\":[\"$(content "$shared")\",\"$(content "$shared")\"],\"same_person\":false}"
    say gone '{"images":["00000000000000000000000000000001","00000000000000000000000000000002"],"same_image":true}'
    echo '{"format":"facewash-decision-1","id":"x"}'
    say pair "{\"images\":[\"$(content "$orig")\",\"$(content "$mate")\"],\"same_image\":true}"
} >saved.jsonl
facewash apply --work w --decisions saved.jsonl --decisions saved.jsonl; echo "-> $?"
facewash export --quiet --work w --out e
look "$copy" "$orig" "$shared" "$mate"
echo "--- again: nothing to do; and a later run keeps them"
facewash apply --work w --quiet --decisions saved.jsonl 2>/dev/null; echo "-> $?"
run 2>/dev/null
look "$orig" "$shared" "$mate"
facewash status --work w | grep -A1 '^decisions'
/usr/bin/python3 -c 'import json; d = json.load(open("e/summary.json"))["decisions"]; print({k: sorted(v) if k == "shifts" else v for k, v in d.items()})'
wc -l <w/review/decisions
echo "--- an older answer to the same question does not win, a newer one does"
say pair '{"face":"00000000000000000000000000000001","use":false}' | sed 's/2026-01-31/2025-01-31/; s/"id":"pair"/"id":"old"/' >old.jsonl
say pair '' | sed 's/2026-01-31/2026-02-01/; s/"answer":"y"/"answer":"u"/; s/"id":"pair"/"id":"new"/' >new.jsonl
facewash apply --work w --quiet --decisions old.jsonl | head -2
facewash apply --work w --quiet --decisions new.jsonl; echo "-> $?"
echo "--- what cannot be done"
facewash apply --work w --decisions nowhere.jsonl; echo "-> $?"
facewash apply --work w --decisions set; echo "-> $?"
facewash apply --work w file; echo "-> $?"
facewash apply --decisions saved.jsonl; echo "-> $?"
