#!/usr/bin/env python3
"""Seeds for fuzz_decisions and fuzz_review: seeds_review.py DIR writes DIR/decisions/* and DIR/review/*."""
import json, os, sys

out = sys.argv[1]
for name in ("decisions", "review"):
    os.makedirs(f"{out}/{name}", exist_ok=True)
A, B = "0123456789abcdef" * 2, "f" * 31 + "1"
claims = [[], [{"face": A, "label": "Ann", "is": False}], [{"face": A, "use": True}], [{"faces": [A, B], "same_person": False}],
          [{"images": [A, B], "same_image": True}], [{"labels": [{"hex": "636166e9"}, "Bob"], "same_person": True}],
          [{"face": A, "label": {"hex": "ff"}, "is": True}, {"face": B, "use": False}]]
lines = [json.dumps({"format": "facewash-decision-1", "id": f"i{k}", "when": f"2026-01-{k + 1:02}T00:00:00Z", "who": "anna", "queue": "q",
                     "item": f"i{k % 3}", "answer": "ynru"[k % 4], "claims": c}) for k, c in enumerate(claims)]
files = [line + "\n" for line in lines] + ["\n".join(lines), "\r\n".join(lines), lines[0] + "\n{\n" + lines[1] + "\n\n", lines[2] * 2, "null\n[]\n1"]
for k, text in enumerate(files):
    with open(f"{out}/decisions/{k}", "w") as f:
        f.write(text)
paths = ["/@/", "/@/index.html", "/@/data/overview.js", "/@/data/link.js", "/@/../secret.js", "/@/data/../../secret.js", "/@/%2e%2e/secret.js", "/@/decisions",
         "/@/photo/0/0/" + A, "/@/photo/1/99999999999999999999/" + A, "/x/", "/@", "/@/data%00/overview.js", "/@/decisions?after=18446744073709551616"]
requests = [b"\0" + p.encode() for p in paths] + [b"\2/@/decisions\n" + f.encode() for f in files]
for p in paths:
    requests.append(b"\1GET " + p.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1:~\r\n\r\n")
for f in files[:4]:
    body = f.encode()
    requests.append(b"\1POST /@/decisions HTTP/1.1\r\nHost: localhost:~\r\nContent-Type: application/jsonl\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    requests.append(b"\1POST /@/decisions HTTP/1.1\r\nHost: localhost:~\r\nContent-Type: application/jsonl\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
requests.append(b"\1HEAD /@/ HTTP/1.0\r\nHost: 127.0.0.1:~\r\nOrigin: http://evil\r\n\r\n")
for k, data in enumerate(requests):
    with open(f"{out}/review/{k}", "wb") as f:
        f.write(data)
