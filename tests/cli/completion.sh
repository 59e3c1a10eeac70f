# The completion offers what the program has.
source "$ROOT/scripts/completion.bash"

offers() { # LINE [PATTERN]: what completion offers at its end
    COMP_LINE=$1 COMP_POINT=${#1}
    read -r -a COMP_WORDS <<<"$1"
    _facewash
    echo "$1| $(printf '%s\n' "${COMPREPLY[@]}" | grep -E "${2:-}" | tr '\n' ' ')"
}

offers "facewash " '^(run|status|help|detect|embed)$'
offers "facewash st"
offers "facewash help set"
offers "facewash run --wo"
offers "facewash run --set align.m"
offers "facewash run --set align.mode="
offers "facewash run --set align.mode=l"
offers "facewash run --set run.wait="
offers "facewash run --set detect.size="
offers "facewash run --input "
offers "facewash run --input dir:/us"
offers "facewash export --format "
offers "facewash eval "
offers "facewash models c"
offers "facewash run --threads "
offers "facewash nonsense "
mkdir -p "with blank/sub" other
offers "facewash status --work o"
