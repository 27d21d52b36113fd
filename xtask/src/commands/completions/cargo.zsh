
# Behind `cargo xtask`. Everything else of cargo is completed as before.
if [[ -n ${_comps[cargo]} && ${_comps[cargo]} != _xtask_of_cargo ]]; then
    typeset -g _xtask_cargo=${_comps[cargo]}
fi

_xtask_of_cargo() {
    if [[ $words[2] == xtask ]] && (( CURRENT > 2 )); then
        shift words
        (( CURRENT-- ))
        _xtask
    elif [[ -n $_xtask_cargo ]]; then
        $_xtask_cargo "$@"
    else
        _default
    fi
}
compdef _xtask_of_cargo cargo
