//! A digest of the manifest in the manifest, so that one which was edited or damaged is noticed.
//!
//! It is no signature: whoever means harm and can write the manifest can make a digest that fits, and
//! files that fit it. It catches what happens to files by accident and by hand.

use sha2::{Digest, Sha256};

use crate::postgres::schema::hex;

/// What stands in the seal's place while the digest is taken: as long as a SHA-256 in hexadecimal.
pub(super) const OPEN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Seals a text that has [`OPEN`] as one of its JSON strings.
pub(super) fn close(text: &str) -> String {
    text.replacen(&quoted(OPEN), &quoted(&digest(text)), 1)
}

/// Whether the text is, byte for byte, what was sealed.
pub(super) fn fits(text: &str, seal: &str) -> bool {
    seal.len() == OPEN.len() && digest(&text.replacen(&quoted(seal), &quoted(OPEN), 1)) == seal
}

fn quoted(seal: &str) -> String {
    format!("\"{seal}\"")
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_other_byte_fits(text in "[ -~]{1,80}", at in 0usize..200, other in "[ -~]") {
            let sealed = close(&format!("{{\"a\": {text:?}, \"seal\": \"{OPEN}\"}}"));
            let seal = sealed.rsplit('"').nth(1).expect("the seal").to_owned();
            prop_assert!(fits(&sealed, &seal));
            let at = at % sealed.len();
            let mut changed = sealed.clone();
            changed.replace_range(at..=at, &other);
            let read = changed.rsplit('"').nth(1).unwrap_or_default();
            prop_assert_eq!(fits(&changed, read), changed == sealed);
        }
    }
}
