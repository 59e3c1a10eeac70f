# status says what is done, and what a re-run would do and why; gc removes what no plan reaches.
mkdir src && cp "$FIXTURES/odd/links/real.png" src/a.png && cp "$FIXTURES/odd/links/real.png" src/b.png
facewash run --input src --work w --set ingest.shard_size=1 -q
table() { facewash status --work w "$@" | sed -E '/^(workspace|disk)/d; s# [0-9]+ kB# SIZE#; s# [0-9]+ B# SIZE#g; s#[0-9]+/s#RATE#; s# - # RATE #; s#  +# #g' | grep -E '^(dataset|stage|[a-z]+ [0-9]+/| |[0-9])'; }
table
echo "--- other settings"
table --set detect.size=800 --set embed.flip=yes
echo "--- new images"
cp src/a.png src/c.png
FACEWASH_KILL_AT=4 facewash run --input src --work w --set ingest.shard_size=1 -q
table
facewash status --work w --json | /usr/bin/python3 -c 'import json, sys
s = json.load(sys.stdin)
print(s["shards"], s["sets"], [(t["stage"], t["done"], t["total"], t["why"]) for t in s["stages"][:2]])'
echo "--- gc: not while results are missing"
facewash gc --work w; echo "-> $?"
facewash run --input src --work w -q --set embed.flip=yes
facewash run --input src --work w -q
echo "--- gc --dry-run"
facewash gc --work w --dry-run | grep -E 'embed/|align/|would free' | sed 's/(.*bytes)/(BYTES)/'
mkdir w/tmp/left-by-a-crash && echo x >w/tmp/left-by-a-crash/file
echo "--- gc"
facewash gc --work w | grep -E 'embed/|align/|tmp/|freed' | sed 's/(.*bytes)/(BYTES)/'
ls w/tmp
facewash gc --work w
echo "--- and all is still done"
facewash status --work w | grep -c nothing$
facewash status --work w --json | grep -c '"why": null'
