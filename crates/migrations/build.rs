//! Rebuilds the embedded migrations when a file is added, removed or edited.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
