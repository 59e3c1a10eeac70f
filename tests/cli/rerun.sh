# Running again does what is missing and nothing else: nothing, the stages behind a changed setting, a changed dataset.
cp -r "$FIXTURES/odd/links" src
go() { facewash run --input dir:src --work w "$@" 2>&1 | grep -E '^(ingest|extract)' ; }
results() { (cd w/out && ls -d */* | sed 's#-.*##' | sort | uniq -c | grep -vE ' (audit|dedupe|overlap|cluster|decide)/' ) ; }

echo "first"; go
echo "again"; go
results
echo "another setting of embed"; go --set embed.flip=yes
results
echo "and back"; go
results
echo "a new file"; cp src/real.png src/zoo.png; go
results
echo "touched, the same bytes"; touch -d 2001-01-01 src/real.png; go
echo "a file less"; rm src/zoo.png; go
echo "another source"; mkdir other; cp src/real.png other; facewash run --input dir:other --work w; echo "-> $?"
echo "it has moved"; facewash run --input dir:other --work w --set ingest.moved=yes 2>&1 | grep ^ingest
