#!/usr/bin/env bash
# Kill tests: whatever happens to a run, running it again gives the bytes of an undisturbed run.
#
#   tests/kill/run.sh [CHECK...]      all checks, or those named (functions check_NAME below)
#
#   FACEWASH   the program (build/facewash)      FIXTURES   made by tests/fixtures.py (build/tests/fixtures)
#   ALL=1      damages every file in every way (minutes)
#   KEEP=1     leaves the scratch folder and prints where it is
#
# What is compared: every file of every result under out/, and every exported file; summary.json without its timings.
set -uo pipefail
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
facewash=${FACEWASH:-$root/build/facewash}
fixtures=${FIXTURES:-$root/build/tests/fixtures}
tally_name="kill"
. "$root/tests/tally.sh"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/facewash-kill-XXXXXX")
tmpfs=
cleanup() {
    jobs -p | xargs -r kill -9 2>/dev/null
    if [ -n "$tmpfs" ]; then umount "$tmpfs"; fi
    if [ -n "${KEEP:-}" ]; then echo "scratch: $scratch"; else rm -rf "$scratch"; fi
}
trap cleanup EXIT
cd "$scratch" || exit 1

# A dataset of our own, so that growth can change it. Hard work for recovery: many shards, hence many commits.
cp -a "$fixtures/faces" faces
cp -a "$fixtures/bench" bench
options=(--set ingest.shard_size=16 --threads 2)

run() { # WORK [OPTION...]: the main job
    (become "$@")
}

become() { # the same, in the place of this shell: `become W &` makes $! the program itself
    local work=$1
    shift
    trap - INT
    exec "$facewash" run --input dir:faces --work "$work" --benchmark bench=dir:bench --export "$work.export" "${options[@]}" "$@"
}

digest() { # WORK: one line per result file and exported file
    (cd "$1" && find out -type f -print0 | sort -z | xargs -0r sha256sum)
    if [ -d "$1.export" ]; then
        (cd "$1.export" && find . -type f ! -name summary.json -print0 | sort -z | xargs -0r sha256sum)
        if [ -f "$1.export/summary.json" ]; then without_timings <"$1.export/summary.json"; fi
    fi
}

without_timings() {
    /usr/bin/python3 -c 'import json, sys
def strip(x):
    if isinstance(x, dict):
        return {k: strip(v) for k, v in x.items() if k not in ("timings", "seconds", "wall", "cpu", "peak_bytes")}
    return [strip(v) for v in x] if isinstance(x, list) else x
print(json.dumps(strip(json.load(sys.stdin)), sort_keys=True, indent=1))'
}

same_as_reference() { # NAME WORK
    digest "$2" >got.digest
    if diff reference.digest got.digest >diff.txt; then ok "$1"; else not_ok "$1" diff.txt; fi
}

resumes() { # NAME WORK: the interrupted job, run again, ends well and with the reference's bytes
    if ! run "$2" >run.log 2>&1; then
        not_ok "$1" run.log
    elif [ -n "$(ls -A "$2/tmp")" ]; then
        ls -A "$2/tmp" >left.txt
        not_ok "$1 (tmp/ is not empty)" left.txt
    else
        same_as_reference "$1" "$2"
    fi
    rm -rf "$2" "$2.export"
}

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
nap() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; } # MILLISECONDS

# ---- the checks ---------------------------------------------------------------------------------------------------------

check_threads() {
    rm -rf one
    if run one --threads 1 >run.log 2>&1; then same_as_reference "one thread gives the bytes of two" one; else not_ok "one thread" run.log; fi
    if run one --threads 3 >run.log 2>&1; then same_as_reference "a second run changes nothing" one; else not_ok "second run" run.log; fi
    rm -rf one one.export
}

check_stages_one_by_one() {
    local stages stage status
    stages=$("$facewash" help | sed -n 's/^ *run one stage: //p')
    "$facewash" ingest --input dir:faces --work single --benchmark bench=dir:bench "${options[@]}" >run.log 2>&1
    if [ -n "$(find single/out -name MANIFEST)" ]; then
        not_ok "stages one by one (some result was there already)" run.log
    fi
    for stage in $stages; do
        if [ "$stage" = detect ]; then # by single shards, in any order, as tasks of a cluster would
            for shard in 3 0 4 2 1; do
                [ -d "reference/shards/00000$shard" ] || continue
                "$facewash" detect --work single --shard "$shard" "${options[@]}" >>run.log 2>&1
            done
        fi
        "$facewash" "$stage" --work single "${options[@]}" >>run.log 2>&1
        status=$?
        if [ "$status" != 0 ]; then
            not_ok "stages one by one: $stage ends with $status" run.log
            return
        fi
    done
    resumes "stages one by one give the bytes of the fused run" single
}

# Every commit has three steps that a crash can come before, in between and behind. Kill at each of them: the first two get
# nothing done, the third lets one commit through, so that this walks through all commits of the job.
check_every_commit() {
    local round=0 step status total
    total=$(find reference/shards reference/out -name MANIFEST | wc -l)
    while [ "$round" -le $((total + 5)) ]; do
        for step in 1 2 3; do
            FACEWASH_KILL_AT=$step run steps >run.log 2>&1
            status=$?
            [ "$status" = 137 ] || break 2
        done
        round=$((round + 1))
    done
    if [ "$status" != 0 ] || [ "$round" -lt "$total" ]; then
        not_ok "killed at every commit step (status $status after $round of $total commits)" run.log
        return
    fi
    resumes "killed at each of 3 steps of $total commits" steps
}

check_random_kills() {
    local i pid
    for i in 1 2 3 4 5 6; do
        become random >run.log 2>&1 &
        pid=$!
        nap $((reference_ms * (2 * i - 1) / 13 + RANDOM % (reference_ms / 10 + 1)))
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        if [ "$i" = 3 ]; then # several deaths on one workspace, too
            become random >run.log 2>&1 &
            pid=$!
            nap $((reference_ms / 4))
            kill -9 "$pid" 2>/dev/null
            wait "$pid" 2>/dev/null
        fi
        resumes "kill -9 at a random moment ($i)" random
    done
}

# Ctrl-C in each phase: the program ends with 130 (or 0, had it just finished) within a second and a bit for a busy machine.
check_interrupt() {
    local i pid status start took slowest=0
    for i in 0 1 2 3 4 5 6 7; do
        become int >run.log 2>&1 &
        pid=$!
        nap $((50 + reference_ms * i / 8))
        start=$(milliseconds)
        kill -INT "$pid" 2>/dev/null
        wait "$pid"
        status=$?
        took=$(($(milliseconds) - start))
        [ "$took" -le "$slowest" ] || slowest=$took
        if [ "$status" != 130 ] && [ "$status" != 0 ]; then
            not_ok "Ctrl-C ($i) ends with $status, not 130" run.log
        elif [ "$status" = 130 ] && [ -s run.log ] && ! grep -q 'interrupted; run the same command again' run.log; then
            not_ok "Ctrl-C ($i) says what to do" run.log
        elif [ "$took" -gt 1500 ]; then
            not_ok "Ctrl-C ($i) takes $took ms" run.log
        else
            ok "Ctrl-C after $i/8 of a run ends with $status"
        fi
        if [ $((i % 3)) = 2 ]; then resumes "resumes after Ctrl-C ($i)" int; fi
    done
    resumes "resumes after the last Ctrl-C (slowest stop: $slowest ms)" int
}

check_disk_full() {
    local kb status used
    if [ "$(id -u)" != 0 ] || ! mkdir disk || ! mount -t tmpfs -o size=1m tmpfs disk 2>/dev/null; then
        skip "disk full" "needs to mount a small tmpfs: root only"
        return
    fi
    tmpfs=$scratch/disk
    used=$(du -sk reference/out | cut -f1)
    for kb in 40 $((used / 8)) $((used / 4)) $((used / 2)) $((used * 3 / 4)); do
        mount -o "remount,size=${kb}k" disk
        run disk/w >run.log 2>&1
        status=$?
        if [ "$status" = 75 ] && grep -q 'No space left on device' run.log; then
            ok "disk of $kb kB: ends with 75 and says why"
        else
            not_ok "disk of $kb kB: ends with $status, not 75" run.log
        fi
    done
    mount -o remount,size=200m disk
    resumes "with space again the same bytes come out" disk/w
    umount disk
    tmpfs=
}

check_two_processes() {
    local first status
    become both >first.log 2>&1 &
    first=$!
    until [ -s both/lock ]; do sleep 0.02; done
    run both >second.log 2>&1
    status=$?
    if [ "$status" = 75 ] && grep -q "in use by process $first on " second.log; then
        ok "a second process ends with 75 and names the holder"
    else
        not_ok "a second process ends with $status, not 75" second.log
    fi
    run both --wait >second.log 2>&1
    status=$?
    wait "$first"
    if [ "$status" = 0 ]; then same_as_reference "a second process with --wait waits" both; else not_ok "--wait ends with $status" second.log; fi
    "$facewash" status --work both "${options[@]}" >status.txt 2>&1 || not_ok "status after it" status.txt
    rm -rf both both.export
}

# Two tasks of one stage at the same time (a shared lock): one commit wins, the other gives way.
check_two_tasks() {
    local a b
    "$facewash" ingest --input dir:faces --work tasks --benchmark bench=dir:bench "${options[@]}" >run.log 2>&1
    "$facewash" detect --work tasks "${options[@]}" >a.log 2>&1 &
    a=$!
    "$facewash" detect --work tasks "${options[@]}" >b.log 2>&1 &
    b=$!
    if wait "$a" && wait "$b"; then resumes "two tasks on the same shards" tasks; else cat a.log b.log >run.log; not_ok "two tasks on the same shards" run.log; fi
}

check_growth() {
    run grow >run.log 2>&1 || not_ok "growth: first run" run.log
    (cd grow && find out -name '0*-*' | sort) >before.txt
    digest grow | grep ' out/[a-z]*/0' >before.digest
    mkdir faces/New_Person && cp faces/John_Simm/John_Simm_0001.jpg faces/New_Person/a.jpg
    rm faces/John_Savage/John_Savage_0002.jpg
    mv faces/John_Shimkus/John_Shimkus_0003.jpg faces/John_Shimkus/renamed.jpg
    run grow >run.log 2>&1 || not_ok "growth: second run" run.log
    if grep -q 'ingest: 54 images (2 new, 0 changed, 2 gone)' run.log; then ok "growth is seen: new, renamed, removed"; else not_ok "growth is seen" run.log; fi
    (cd grow && xargs -d '\n' ls -d <../before.txt) >/dev/null 2>missing.txt && digest grow | grep ' out/[a-z]*/0' >after.digest
    if grep -vxFf after.digest before.digest >lost.txt; then not_ok "old shards keep their results" lost.txt; else ok "old shards keep their results"; fi
    if grep -q 'extract: 2 images' run.log; then ok "only the new images are looked at"; else not_ok "only the new images are looked at" run.log; fi
    rm -r faces/New_Person
    cp -a "$fixtures/faces/John_Savage/John_Savage_0002.jpg" faces/John_Savage/
    mv faces/John_Shimkus/renamed.jpg faces/John_Shimkus/John_Shimkus_0003.jpg
    rm -rf grow grow.export
}

# Damage one file of the workspace at a time: cut it, scribble over its head, or over its middle. Nothing may crash: a run
# either ends with an error that names the file's place, or never needed the file.
check_damage() {
    local file how kinds status n=0 bad=0 silent=0
    cp -a reference pristine
    rm -rf pristine/report
    # whole-dataset results are made again by the run below, so all that they read is read
    local whole=()
    while read -r file; do whole+=("$file"); done < <(cd pristine && find out -mindepth 2 -maxdepth 2 -name 'all-*')
    while read -r file; do
        kinds=(cut head middle)
        if [ -z "${ALL:-}" ]; then kinds=("${kinds[n % 3]}"); fi # each file in one way; ALL=1: in every way
        for how in "${kinds[@]}"; do
            rm -rf hurt hurt.export
            cp -a pristine hurt
            case $file in out/*/all-*) ;; *) (cd hurt && rm -rf "${whole[@]}") ;; esac
            hurt "hurt/$file" "$how"
            run hurt >run.log 2>&1
            status=$?
            n=$((n + 1))
            if [ "$status" -ge 128 ] || grep -qE 'runtime error|AddressSanitizer' run.log; then
                bad=$((bad + 1))
                { echo "$file, $how: status $status"; tail -n 5 run.log; } >>crashes.txt
            elif [ "$status" != 0 ] && ! grep -q '^facewash: error: ' run.log; then
                bad=$((bad + 1))
                { echo "$file, $how: status $status without a word"; tail -n 5 run.log; } >>crashes.txt
            elif [ "$status" = 0 ] && [ "$how" = cut ]; then
                silent=$((silent + 1))
                echo "$file" >>silent.txt
            fi
        done
    done < <(cd pristine && { ls -d WORKSPACE shards/000000/* shards/removed; find out -type f \( -path '*/000000-*' -o -path '*/all-*' \); } 2>/dev/null | sort)
    if [ "$bad" = 0 ]; then ok "$n kinds of damage, no crash ($silent files cut off and never needed)"; else not_ok "damage: $bad of $n crash" crashes.txt; fi
    if [ -n "${KEEP:-}" ]; then cp silent.txt "$scratch.silent" 2>/dev/null; fi
    rm -rf hurt hurt.export pristine
}

hurt() { # FILE HOW
    local size
    size=$(stat -c %s "$1")
    case $2 in
        cut) truncate -s $((size / 2)) "$1" ;;
        head) printf '\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377' | dd of="$1" conv=notrunc status=none ;;
        middle) printf '\377\377\377\177' | dd of="$1" conv=notrunc bs=1 seek=$((size * 3 / 4 / 4 * 4)) status=none ;;
    esac
}

# ---- main ---------------------------------------------------------------------------------------------------------------

start=$(milliseconds)
if ! run reference >run.log 2>&1; then
    not_ok "undisturbed run" run.log
    tally_end
    exit 1
fi
reference_ms=$(($(milliseconds) - start))
digest reference >reference.digest
echo "# $(cat "$fixtures/kind"), $(wc -l <reference.digest) files compared, an undisturbed run takes $reference_ms ms"

all=(threads stages_one_by_one every_commit random_kills interrupt disk_full two_processes two_tasks growth damage)
for check in "${@:-${all[@]}}"; do "check_$check"; done
tally_end
