
# Behind `cargo xtask`. Everything else of cargo is completed as before.
_xtask_before=$(complete -p cargo 2>/dev/null)
if [[ $_xtask_before =~ -F\ ([^ ]+) && ${BASH_REMATCH[1]} != _xtask_of_cargo ]]; then
    _xtask_cargo=${BASH_REMATCH[1]}
fi
unset _xtask_before

_xtask_of_cargo() {
    if [[ ${COMP_WORDS[1]} == xtask ]] && (( COMP_CWORD > 1 )); then
        COMP_WORDS=("${COMP_WORDS[@]:1}")
        (( COMP_CWORD-- ))
        _xtask xtask "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    elif [[ -n $_xtask_cargo ]]; then
        "$_xtask_cargo" "$@"
    fi
}
complete -F _xtask_of_cargo -o bashdefault -o default cargo
