# needs: photos
# Who comes after a run means its results, without saying its settings again; --input begins anew.
printf '[detect]\nsize = 512\n' >c.ini
facewash run --input "dir:$FIXTURES/faces" --work w --config c.ini --set dedupe.remove=all --threads 2 -q
cat w/settings.json
facewash export --work w --out x; echo "-> $?"
facewash gc --work w --dry-run
facewash status --work w | grep -v ' nothing$'
mkdir other; facewash run --input dir:other --work w --set detect.size=800 -q 2>/dev/null; echo "-> $?"
facewash export --work w --out x -q; echo "a run that is refused changes nothing -> $?"
echo "--- on top of them, for this command"
facewash export --work w --out y --set detect.size=640; echo "-> $?"
echo "--- to go on without --input"
facewash run --work w 2>&1 | grep -A2 '^settings'
echo "--- anew"
facewash run --input "dir:$FIXTURES/faces" --work w -q
cat w/settings.json
echo '{' >w/settings.json
facewash status --work w; echo "-> $?"
echo "--- a word too many"
facewash run extra --work w; echo "-> $?"
facewash detect extra --work w; echo "-> $?"
facewash run --work w --set nothing.like.it=1; echo "-> $?"
