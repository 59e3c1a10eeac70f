# Too many bad images: everything is done, but the exit code is 3.
mkdir src && cp "$FIXTURES"/odd/links/real.png src && echo text >src/a.jpg && echo text >src/b.jpg && : >src/c.jpg
facewash run --input src --work w; echo "-> $?"
facewash run --input src --work w --max-bad 0.8 -q; echo "-> $?"
facewash run --input src --work w --set run.log_bad=1 --set detect.size=800; echo "-> $?"
