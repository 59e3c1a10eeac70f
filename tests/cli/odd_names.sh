# Names that break careless programs, links that leave the folder, an empty file: all are handled, nothing is run or followed.
facewash run --input "dir:$FIXTURES/odd" --work w --export e | cat -v
echo "-> ${PIPESTATUS[0]}"
ls e
/usr/bin/python3 - <<'PY'
import csv
rows = list(csv.DictReader(open("e/images.csv", newline="", encoding="utf-8", errors="surrogateescape")))
for row in rows:
    print(ascii(row["path"]), ascii(row["label"]), row["status"], row["verdict"], row["reasons"])
PY
ls
