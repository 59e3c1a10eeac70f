# needs: photos
# A run leaves nothing behind outside of its workspace: no cache, no device id of a library's telemetry.
mkdir home
HOME=$PWD/home XDG_CACHE_HOME='' facewash run --quiet --input "dir:$FIXTURES/bench" --work w; echo "-> $?"
find home | sort
