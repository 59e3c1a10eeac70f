# needs: photos
# The review server: the report and the log to whoever has the address, nothing to anyone else, and what is posted counts.
facewash run --quiet --input "dir:$FIXTURES/faces" --work w 2>/dev/null; echo "-> $?"
facewash review --work w 0 >address 2>/dev/null &
server=$!
for _ in $(seq 100); do [ -s address ] && break; sleep 0.1; done
/usr/bin/python3 - "$(cat address)" <<'PY'
import json, sys, urllib.error, urllib.request
base = sys.argv[1]
def ask(url, data=None, **headers):
    request = urllib.request.Request(url, data=data, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as r:
            return r.status, r.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()
root = base[: base.index("/", 8)]
print("report", ask(base)[0], b"<html" in ask(base)[1])
print("no token", ask(root + "/")[0], "wrong token", ask(root + "/" + "0" * 32 + "/")[0])
for path in ("../WORKSPACE", "%2e%2e/WORKSPACE", "data/../../WORKSPACE", "/etc/passwd", "nothing.js"):
    print(path, ask(base + path)[0])
print("another host", ask(base, Host="example.org")[0])
line = {"format": "facewash-decision-1", "id": "t1", "when": "2026-01-31T12:00:00Z", "who": "anna", "queue": "mislabeled",
        "item": "i1", "answer": "y", "claims": [{"face": "0" * 31 + "1", "use": False}]}
good = (json.dumps(line) + "\n").encode()
jsonl = "application/jsonl"
print("post", ask(base + "decisions", good, Content_Type=jsonl)[0])
print("as a form", ask(base + "decisions", good, Content_Type="text/plain")[0])
print("from another site", ask(base + "decisions", good, Content_Type=jsonl, Origin="http://example.org")[0])
print("damaged", ask(base + "decisions", b'{"format":', Content_Type=jsonl)[0])
try:
    print("9 MB", ask(base + "decisions", b"x" * 9000000, Content_Type=jsonl)[0])
except (OSError, urllib.error.URLError):
    print("9 MB", 413)  # the server may close the door while the client still talks
print("log", ask(base + "decisions")[1].count(b"\n"), "line")
PY
kill -INT $server; wait $server; echo "-> $?"
wc -l <w/review/decisions
facewash run --input "dir:$FIXTURES/faces" --work w 2>&1 | grep '^decide:.*decisions'
