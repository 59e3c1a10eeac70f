# dir:, list:, and guessed; labels from folders, from the list, or none.
cp -rL "$FIXTURES/odd/links" src 2>/dev/null
rm -rf src/folder src/loop src/absolute.png src/outside.png
mkdir -p src/a/b && cp src/real.png src/a/b/x.PNG && cp src/real.png src/top.png && echo text >src/a/readme.md
labels() {
    facewash status --work "$1" --json | /usr/bin/python3 -c 'import json,sys
s = json.load(sys.stdin)["sets"][0]
print(s["images"], "images of", s["identities"], "identities from", s["source"])'
}
facewash run --input dir:src --work w1 -q && labels w1
facewash run --input src --work w2 -q && labels w2
facewash run --input src --work w3 --set ingest.label=none -q && labels w3
printf 'a/b/x.PNG\tAnna B\ntop.png\tAnna B\r\nmissing.png\tC\n\nreal.png\n' >src/train.lst
facewash run --input list:src/train.lst --work w4 && labels w4
facewash run --input src/train.lst --work w5 -q; labels w5
printf '\tlabel\n' >src/bad.lst
facewash run --input src/bad.lst --work w6; echo "-> $?"
