# Wrong command lines: exit code 2, and a message that says what to do.
try() {
    echo "\$ facewash $*"
    facewash "$@"
    echo "-> $?"
}

facewash 2>&1 | head -n 3
try 2>&1 | tail -n 2
try nonsense
try --nonsense 2>&1 | sed 's/^.*: unrecognized/unrecognized/; s/^.*: unknown option/unknown option/'
try run
try run --work w
try run --work w --input dir:nowhere/folder
try run --work w --input list:nowhere/file
try run --work w --input nowhere
try status
try status --work nowhere
try detect --work nowhere
try export --work nowhere --out o
try run --set detect.sise=800 --work w
try run --set detect.size=huge --work w
try run --set detect.size=10 --work w
try run --set detect.size --work w
try run --threads many --work w
try run --memory 1 --work w
try run --config nowhere.ini --work w
printf '[detect]\nsize = 800\nsise = 3\n' >c.ini
try run --config c.ini --work w
printf '[detect]\nsize = 800\n\nno equals sign\n' >d.ini
try run --config d.ini --work w
try detect --work w --shard x
try eval
try eval verification --work w
try models what
try help nothing
mkdir empty
try run --work w --input empty
try run --work v --input "$FIXTURES/odd" --benchmark "a b=dir:x"
try run --work v --input "$FIXTURES/odd" --benchmark lfw
try run --work v --input "$FIXTURES/odd" --set detect.model=nothing
