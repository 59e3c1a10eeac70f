# needs: photos
# enrol and identify: dlib's Johns, three photos each enrolled, the others as probes; and a workspace as gallery.
f=$FIXTURES/faces
for p in Salley Savage Shimkus Simm; do
    for i in 1 2 3; do printf '%s\t%s\n' "$f/John_$p/John_${p}_000$i.jpg" "John_$p"; done
done >four.txt
{ cat four.txt; for i in 1 2 3; do printf '%s\t%s\n' "$f/John_Schneider/John_Schneider_000$i.jpg" John_Schneider; done; } >five.txt
rank1='import csv, os, sys
rows = [r for r in csv.DictReader(sys.stdin) if r["rank"] in ("1", "")]
used = [r for r in rows if r["rank"]]
# the fixtures plant a copy of another person and a photo without a folder
fair = [r for r in used if r["probe"] not in ("John_Savage/copy.jpg", "unlabelled.bmp")]
known = [r for r in fair if r["probe"].split("/")[0] in sys.argv[1:]]
print(len(rows), "photos,", len(used), "with a face;", sum(r["label"] == r["probe"].split("/")[0] for r in known), "of", len(known),
      "known first,", sum(r["decision"] == "match" for r in known), "matched;",
      sum(r["decision"] == "match" for r in fair if r not in known), "of", len(fair) - len(known), "strangers matched")
for r in rows:
    if not r["rank"]: print(" ", r["probe"], r["status"], r["why"])'
facewash enrol list:five.txt --gallery g
facewash identify "dir:$f" --gallery g --top 2 -q | tee all.csv | /usr/bin/python3 -c "$rank1" John_Salley John_Savage John_Schneider John_Shimkus John_Simm
head -n 1 all.csv; grep -c . all.csv
echo "--- a stranger is rejected, and known once enrolled, without a rebuild"
facewash enrol list:four.txt --gallery h
facewash identify "dir:$f" --gallery h --top 1 -q | /usr/bin/python3 -c "$rank1" John_Salley John_Savage John_Shimkus John_Simm | sed -n 1p
cp h/segments/000001/gallery.vec before
facewash enrol list:five.txt --gallery h
cmp before h/segments/000001/gallery.vec && ls h/segments
facewash identify "dir:$f" --gallery h --top 1 -q | /usr/bin/python3 -c "$rank1" John_Salley John_Savage John_Schneider John_Shimkus John_Simm | sed -n 1p
echo "--- killed while enrolling: what is sealed is there, and the same command goes on"
cp -r h k; mkdir -p k/tmp/segment.1; echo torn >k/tmp/segment.1/gallery.vec; rm -r k/segments/000002
facewash enrol list:five.txt --gallery k
facewash identify "$f/John_Schneider/John_Schneider_0005.jpg" --gallery k --top 1 -q | tail -n +2 | cut -d, -f2,9,12
echo "--- a workspace: its cleaned people; its own photos have the same embeddings here"
facewash run --input "$f" --work w -q 2>/dev/null
facewash identify "$f/John_Simm/John_Simm_0004.jpg" "$f/John_Salley/John_Salley_0007.jpg" --gallery w --top 1 -q | tail -n +2 | cut -d, -f2,9,10,12-
facewash identify "$f/John_Savage/copy.jpg" --gallery w --top 1 -q | tail -n +2 | cut -d, -f2,9,12
facewash identify "$f/John_Savage/copy.jpg" --gallery w --raw --top 2 -q | tail -n +2 | cut -d, -f2,9,12 | sort
facewash enrol "$FIXTURES/bench" --gallery w; ls w/gallery/segments
facewash identify "$f/John_Simm/John_Simm_0004.jpg" nowhere.jpg --gallery w --top 1 --json 2>/dev/null | /usr/bin/python3 -c 'import json, sys
for line in sys.stdin:
    j = json.loads(line)
    print(sorted(j), j["status"], [[(c["label"], c["decision"]) for c in x["candidates"]] for x in j["faces"]])'
echo "--- the gallery brings its settings, and refuses others"
facewash enrol list:five.txt --gallery flipped --set embed.flip=yes
facewash identify "$f/John_Simm/John_Simm_0001.jpg" --gallery flipped --top 1 -q | tail -n +2 | awk -F, '{ print $9, ($10 > .999 ? "the photo itself" : $10) }'
facewash identify "$f/John_Simm/John_Simm_0001.jpg" --gallery flipped --set embed.flip=no; echo "-> $?"
facewash identify "$f/John_Simm/John_Simm_0001.jpg" --gallery w --set embed.flip=yes; echo "-> $?"
facewash enrol list:five.txt --gallery g --set embed.flip=yes; echo "-> $?"
cp -r g old; sed -i 's/^stage embed .*/stage embed 0/' old/GALLERY
facewash identify "$f/John_Simm/John_Simm_0001.jpg" --gallery old; echo "-> $?"
facewash identify "$f/John_Simm/John_Simm_0001.jpg" --gallery nowhere; echo "-> $?"
facewash identify "$f/John_Simm/John_Simm_0001.jpg"; echo "-> $?"
facewash identify "$f/John_Simm/John_Simm_0001.jpg" --gallery g --fpir 2; echo "-> $?"
facewash identify "$f/John_Simm/John_Simm_0001.jpg" --gallery g --top 0; echo "-> $?"
