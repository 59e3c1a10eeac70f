# needs: photos
# What curators decided wins over the machine, in every later run, and is taken back with its line.
run() { facewash run --quiet --input "dir:$FIXTURES/faces" --work w --export e; echo "-> $?"; }
say() { # say N HASH CLAIM: one decision in the workspace's log
    printf '{"format":"facewash-decision-1","id":"d%s","when":"2026-01-31T12:00:00Z","who":"anna","queue":"mislabeled","item":"i%s","answer":"y","claims":[{"face":"%s",%s}]}\n' "$1" "$1" "$2" "$3" >>w/review/decisions
}
verdict() { /usr/bin/python3 -c 'import csv, sys
for row in csv.DictReader(open("e/images.csv", newline="")):
    if row["path"] in sys.argv[1:]: print(row["path"], row["verdict"], row["new_label"], row["score"][:4])' "$@"; }
run
mapfile -t kept < <(/usr/bin/python3 -c 'import csv
seen = set()
for row in csv.DictReader(open("e/ledger.csv", newline="")):
    if row["action"] == "kept" and row["label"].startswith("John_S") and row["label"] not in seen:
        seen.add(row["label"]); print(row["path"], row["content"], sep="\t")')
path() { cut -f1 <<<"${kept[$1]}"; }
hash() { cut -f2 <<<"${kept[$1]}"; }
cp e/images.csv before.csv
verdict "$(path 0)" "$(path 1)" "$(path 2)"
echo "--- three decisions, and one about a photo that is not there"
say 1 "$(hash 0)" "\"label\":\"$(dirname "$(path 0)")\",\"is\":false"
say 2 "$(hash 1)" '"use":false'
say 3 "$(hash 2)" "\"label\":\"$(dirname "$(path 0)")\",\"is\":true"
say 4 00000000000000000000000000000001 '"use":false'
facewash run --input "dir:$FIXTURES/faces" --work w --export e 2>&1 | grep '^decide:.*decisions'
verdict "$(path 0)" "$(path 1)" "$(path 2)"
echo "--- without them"
rm w/review/decisions
run
cmp before.csv e/images.csv && echo "as before"
