#!/usr/bin/env bash
# Checks of the source text:  tests/check.sh layers|headers|format|scripts
#
#   layers    stages -> index -> lib, and each third-party library in one module only
#   headers   every header compiles alone (with make's FW_CPPFLAGS)
#   format    clang-format finds nothing to change (skipped without clang-format)
#   scripts   shellcheck finds nothing in the shell scripts (skipped without shellcheck)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
tally_name="check-$1"
. tests/tally.sh
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# library | its headers (regular expression) | the files that may include them
#
# json     WORKSPACE and MANIFEST, tables as JSON lines, summary and report data, --json of single commands: a format that
#          many write, each its own document; wrapping jansson would be jansson again.
# ini      settings and model descriptions are two INI dialects, read by two callbacks of inih's one function.
libraries='libjpeg|jpeglib\.h|jerror\.h|jmorecfg\.h => lib/jpeg.c
libpng|png\.h => lib/png.c
libwebp|webp/.* => lib/webp.c
libexif|libexif/.* => lib/exif.c
xxhash|xxhash\.h|xxh3\.h => lib/hash.c
openssl|openssl/.* => lib/sha256.c
lmdb|lmdb\.h => lib/kv.c
onnxruntime|onnxruntime.* => lib/model.c
faiss|faiss/.*|.*_c\.h => index/vecindex.c
cblas|cblas\.h => index/join_blas.c
microhttpd|microhttpd\.h => lib/http.c lib/server.c
archive|archive.*\.h => lib/archive.c
ini|ini\.h => lib/conf.c lib/modeldesc.c
json|jansson\.h => lib/store.c lib/table.c lib/decisions.c lib/source_archive.c stages/*'
# what the compiler and the C library bring along
system='(assert|ctype|dirent|errno|fcntl|float|ftw|getopt|glob|inttypes|libgen|limits|link|locale|math|pthread|poll|sched|setjmp|signal|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|termios|time|unistd|omp|immintrin|cpuid|arm_neon|zlib)\.h|sys/.*|netinet/.*|arpa/.*|linux/.*'

check_direction() {
    grep -nE '#include "(\.\./)?(index|stages)/' lib/*.[ch]
    grep -nE '#include "(\.\./)?stages/' index/*.[ch]
    grep -nE '#include ".*\.c"' lib/*.[ch] index/*.[ch] stages/*.[ch]
}

check_third_party() {
    local file header library rest pattern allowed found glob
    grep -hoHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*<[^>]+>' lib/*.[ch] index/*.[ch] stages/*.[ch] |
        sed -E 's/^([^:]+):.*<([^>]+)>.*/\1 \2/' | grep -vE " ($system)\$" | while read -r file header; do
        found=
        while IFS= read -r line; do
            library=${line%%|*} rest=${line#*|}
            pattern=${rest% => *} allowed=${rest#* => }
            [[ $header =~ ^($pattern)$ ]] || continue
            found=1
            for glob in $allowed; do
                # shellcheck disable=SC2053 # a pattern on purpose
                [[ $file == $glob ]] && continue 2
            done
            echo "$file includes <$header>, but $library belongs to $allowed"
        done <<<"$libraries"
        [ -n "$found" ] || echo "$file includes <$header>, which no rule of tests/check.sh knows"
    done
}

report() { # NAME: ok unless $out holds something
    if [ -s "$out" ]; then not_ok "$1" "$out"; else ok "$1"; fi
}

case $1 in
    layers)
        check_direction >"$out"
        report "stages -> index -> lib"
        check_third_party >"$out"
        report "each library in one module"
        ;;
    headers)
        for header in lib/*.h index/*.h stages/*.h; do
            # shellcheck disable=SC2086 # flags are words
            if ! ${CC:-cc} ${FW_CPPFLAGS:-} -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Werror -Wno-unused-function -fopenmp \
                -fsyntax-only -x c "$header" 2>>"$out"; then
                echo "$header" >>"$out"
            fi
        done
        report "every header compiles alone"
        ;;
    format)
        if ! command -v clang-format >/dev/null; then
            skip "clang-format" "not installed"
        else
            for file in lib/*.[ch] index/*.[ch] stages/*.[ch] tests/*/*.[ch]; do
                clang-format "$file" | cmp -s - "$file" || echo "$file: run 'make format'" >>"$out"
            done
            report "clang-format"
        fi
        ;;
    scripts)
        if ! command -v shellcheck >/dev/null; then
            skip "shellcheck" "not installed"
        else
            mapfile -t scripts < <(git ls-files '*.sh' '*.bash' .ci/run 2>/dev/null)
            [ "${#scripts[@]}" -gt 0 ] || mapfile -t scripts < <(find . -name '*.sh' -not -path './build*')
            shellcheck -x -s bash -S warning "${scripts[@]}" >"$out" 2>&1
            report "shellcheck"
        fi
        ;;
    *)
        echo "usage: tests/check.sh layers|headers|format|scripts" >&2
        exit 2
        ;;
esac
tally_end
