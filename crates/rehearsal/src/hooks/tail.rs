//! The end of what a program writes: as much as says how it went, and nothing that could do harm.

use crate::report::format::shortened;
use crate::smoke::secrets::Secrets;

/// How many bytes are held: of a program that writes without end, nothing else is.
const BYTES: usize = 64 << 10;

/// How many lines are shown: about a screenful with what stands around them.
const LINES: usize = 20;

/// How many characters of a line are shown: a long error message, and not a file on one line.
const CHARACTERS: usize = 200;

/// See the module.
#[derive(Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Tail {
    /// Takes in what was written next.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if let Some(excess) = self.bytes.len().checked_sub(BYTES).filter(|excess| *excess > 0) {
            self.bytes.drain(..excess);
            self.is_cut = true;
        }
    }

    /// The last lines without secrets and control characters, and whether there was more.
    pub(super) fn lines(&self, secrets: &Secrets) -> (Vec<String>, bool) {
        // What was cut in two is no longer recognised: behind a cut, nothing is shown that may be the rest
        // of a secret.
        let from = if self.is_cut { secrets.longest().min(self.bytes.len()) } else { 0 };
        let text = secrets.redact(&String::from_utf8_lossy(&self.bytes[from..]));
        let lines: Vec<&str> = text.split(['\n', '\r']).filter(|line| !line.trim().is_empty()).collect();
        let first = lines.len().saturating_sub(LINES);
        (lines[first..].iter().map(|line| shortened(line, CHARACTERS)).collect(), self.is_cut || first > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(value: &str) -> Secrets {
        [("KEY".to_owned(), value.to_owned())].into_iter().collect()
    }

    #[test]
    fn the_end_is_kept_and_steers_no_terminal() {
        let mut tail = Tail::default();
        for number in 0..100_000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        tail.push(b"\x1b[2Jred\x07 \xff hunter2\n");
        let (lines, more) = tail.lines(&secrets("hunter2"));
        assert_eq!((lines.len(), more), (LINES, true));
        assert_eq!(lines.last().map(String::as_str), Some(" [2Jred  \u{fffd} [secret]"));
    }

    #[test]
    fn half_of_a_secret_is_not_shown() {
        let secret = "s".repeat(1_000);
        let mut tail = Tail::default();
        tail.push(secret.as_bytes());
        tail.push(&vec![b'\n'; BYTES - 500]);
        let (lines, more) = tail.lines(&secrets(&secret));
        assert!(lines.is_empty() && more, "{lines:?}");
    }
}
