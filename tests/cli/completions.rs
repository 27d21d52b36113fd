//! The scripts that complete command lines, in the shells that read them.

use std::process::{Command, Stdio};

use rehearsal_tests::docker;

use crate::project;

/// What a shell writes that runs this text with our script as its file `$1`.
fn ask(shell: &str, words: &[&str], text: &str, script: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("script");
    std::fs::write(&file, script).expect("the script is written");
    let mut command = Command::new(shell);
    command.args(words).arg("-c").arg(text).arg("shell").arg(&file).stdin(Stdio::null());
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{shell}: {error}"),
    };
    assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

const BASH: &str = r#"
other() { COMPREPLY=(build test); }
complete -F other cargo
source "$1"
source "$1"
complete_words() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    local line=$(complete -p "$1")
    [[ $line =~ -F\ ([^ ]+) ]] && "${BASH_REMATCH[1]}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
    echo "$*: ${COMPREPLY[*]}"
}
complete_words xtask mig
complete_words cargo xtask mig
complete_words cargo xtask db-backup pr
complete_words cargo xtask doctor --art
complete_words cargo xtask --color a
complete_words cargo bu
"#;

/// Bash is on every machine that the suite runs on.
#[tokio::test]
async fn bash_completes_behind_cargo_xtask() {
    let ended = project().run("completions bash").await;
    ended.must_exit(0);
    let said = ask("bash", &["--norc"], BASH, &ended.stdout).expect("bash");
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "xtask mig: migrate",
            "cargo xtask mig: migrate",
            "cargo xtask db-backup pr: prune",
            "cargo xtask doctor --art: --artefact",
            "cargo xtask --color a: auto always",
            "cargo bu: build test",
        ]
    );
}

/// Whom zsh asks, for `xtask` and for `cargo`. What it then shows is zsh's own line editor's, which needs a terminal.
const ZSH: &str = r#"
autoload -U compinit && compinit -u -D
other() { print "other: $words" }
compdef other cargo
source $1
source $1
_xtask() { print "ours: $words, $CURRENT" }
ask() { words=("$@") CURRENT=$#; $_comps[$1] }
print $_comps[xtask] $_comps[cargo]
ask cargo bu
ask cargo xtask mig
"#;

#[tokio::test]
async fn zsh_takes_the_script() {
    let ended = project().run("completions zsh").await;
    ended.must_exit(0);
    let Some(said) = ask("zsh", &["-f"], ZSH, &ended.stdout) else {
        return docker::skipped("zsh_takes_the_script", "there is no zsh");
    };
    assert_eq!(said.lines().collect::<Vec<_>>(), ["_xtask _xtask_of_cargo", "other: cargo bu", "ours: xtask mig, 2"]);
}

/// Without a configuration that can be read, and outside of any workspace.
#[tokio::test]
async fn scripts_come_in_any_case() {
    let project = project().write("rehearsal.toml", "[[[");
    for (shell, word) in
        [("fish", "complete -c xtask"), ("powershell", "Register-ArgumentCompleter"), ("zsh", "#compdef xtask")]
    {
        project.run(&format!("completions {shell}")).await.must_exit(0).must_say(word);
    }
    project.run("completions tcsh").await.must_exit(2);
}
