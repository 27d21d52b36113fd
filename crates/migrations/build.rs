//! Rebuilds the embedded migrations when a file is added, removed or edited.

#[expect(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
