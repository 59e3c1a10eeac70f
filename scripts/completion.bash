# Bash completion for facewash. `make install` puts it where bash-completion finds it; else: source scripts/completion.bash
# Commands, stages and settings come from the program itself (`facewash help`), so they are never out of date.

_facewash_settings() {
    "$1" help settings 2>/dev/null | sed -n 's/^  \([a-z_]*\.[a-z_]*\) = .*/\1/p'
}

# The values that a setting may have, when they are words: "  align.mode = landmarks, landmarks|none"
_facewash_values() {
    "$1" help settings 2>/dev/null |
        sed -n -e "s/^  ${2//./\\.} = [^,]*, \([a-z|]*\)$/\1/p" -e "s/^  ${2//./\\.} = \(yes\|no\)$/yes|no/p" | tr '|' '\n'
}

_facewash_words() { # of `facewash help`: commands and stages
    "$1" help 2>/dev/null | sed -n -e 's/^  facewash \([a-z]*\) .*/\1/p' -e 's/^  facewash \([a-z]*\)$/\1/p' \
        -e 's/^ *run one stage: //p' | tr ' ' '\n'
}

_facewash() {
    local program=${COMP_WORDS[0]} line=${COMP_LINE:0:COMP_POINT} word previous=
    # bash cuts words at '=' and ':'; look at what is between blanks instead
    local -a words
    read -r -a words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[-1]}
    [ "${#words[@]}" -gt 1 ] && previous=${words[-2]}
    local cut=${word##*[=:]} candidates=
    COMPREPLY=()
    case $previous in
        --set)
            if [[ $word == *=* ]]; then candidates=$(_facewash_values "$program" "${word%%=*}")
            else
                candidates=$(_facewash_settings "$program" | sed 's/$/=/')
                compopt -o nospace 2>/dev/null
            fi
            ;;
        --work | --export | --out | --gallery)
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            compopt -o filenames 2>/dev/null
            return
            ;;
        --config | --pairs | --truth)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            compopt -o filenames 2>/dev/null
            return
            ;;
        --input | --benchmark)
            if [[ $word == *:* || $word == */* ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$cut")
                compopt -o filenames 2>/dev/null
                return
            fi
            candidates="dir: list: rec: tar: zip: tsv: bin: npy: feat:"
            cut=${word##*=}
            compopt -o nospace 2>/dev/null
            ;;
        --precision) candidates="fp32 bf16" ;;
        --format) candidates="csv json dir rec tar tsv list" ;;
        --provider) candidates="cpu cuda" ;;
        --model) candidates=$("$program" models 2>/dev/null | sed -n 's/^\([a-z0-9_]*\)  *embed .*/\1/p') ;;
        --threads | --memory | --max-bad | --shard | --top | --fpir) return ;;
        *)
            if [[ $word == -* ]]; then
                candidates="--input --work --benchmark --config --set --export --out --format --all --force --json --shard
                    --pairs --gallery --top --fpir --raw --exit-code --truth --cleaned --without-overlap --max-bad --memory --precision
                    --wait --dry-run --model --provider --faces --threads --quiet --verbose --help --version"
            elif [ "${#words[@]}" -le 2 ]; then
                candidates=$(_facewash_words "$program")
            else
                case ${words[1]} in
                    help) candidates="$(_facewash_words "$program") settings" ;;
                    eval) candidates="verification identification clustering calibration" ;;
                    models) candidates="list check add" ;;
                    verify | identify | enrol)
                        mapfile -t COMPREPLY < <(compgen -f -- "$word")
                        compopt -o filenames 2>/dev/null
                        return
                        ;;
                esac
            fi
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$cut")
}

complete -F _facewash facewash
