# A damaged workspace: the message names the file and says what to do.
cp -r "$FIXTURES/odd/links" src
facewash run --input src --work w -q
try() { # FILE: cut it in half and look
    cp -r w x
    file=$(ls -d x/$1)
    truncate -s $(($(stat -c %s "$file") / 2)) "$file"
    rm -rf x/out/knn x/out/index
    facewash run --input src --work x -q 2>&1 | grep -v warning; echo "-> ${PIPESTATUS[0]}"
    rm -rf x
}
try WORKSPACE
try shards/000000/MANIFEST
try shards/000000/path
try shards/000000/hash
try "out/embed/*/embed.vec"
try "out/detect/*/detect.status"
rm -rf w/shards/000000
facewash status --work w; echo "-> $?"
rm w/WORKSPACE
facewash status --work w; echo "-> $?"
