# needs: photos
# eval verification on the fixtures' people: two folds of three genuine and three impostor pairs each.
facewash run --input "$FIXTURES/faces" --work w -q
cat >pairs.txt <<'PAIRS'
2	3
John_Salley	1	5
John_Savage	1	3
John_Simm	1	2
John_Salley	1	John_Savage	3
John_Savage	4	John_Simm	3
John_Simm	5	John_Shimkus	6
John_Salley	2	6
John_Savage	4	5
John_Shimkus	1	3
John_Salley	3	John_Shimkus	3
John_Savage	5	John_Schneider	3
John_Simm	6	John_Schneider	6
PAIRS
facewash eval verification --work w --pairs pairs.txt | grep -vE '^threshold'
facewash eval verification --work w --pairs pairs.txt --json | /usr/bin/python3 -c 'import json, sys
r = json.load(sys.stdin)
print(sorted(r), r["pairs"], r["accuracy"], -1 < r["threshold"] < 1)'
sed 's/^John_Simm\t1\t2/John_Simm\t1\t99/' pairs.txt >lost.txt
facewash eval verification --work w --pairs lost.txt | grep -E '^(missing|accuracy)'
echo 'what is this' >>pairs.txt
facewash eval verification --work w --pairs pairs.txt; echo "-> $?"
facewash eval verification --work w --pairs nowhere; echo "-> $?"
printf '1\t1\nJohn_Simm\t1\t2\nJohn_Simm\t1\tJohn_Savage\t3\n' >one.txt
facewash eval verification --work w --pairs one.txt; echo "-> $?"
