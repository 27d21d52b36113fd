//! What is added to log files from now on, and which of its lines are bad or good news.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use regex::RegexSet;

use crate::error::{Error, Result};

/// How much of a file is read at once; a service that logs faster than that is read in the next round.
const MOST: u64 = 16 << 20;

/// A file that is read as it grows.
#[derive(Debug)]
pub struct LogTail {
    path: PathBuf,
    inode: u64,
    offset: u64,
    partial: Vec<u8>,
}

/// What the new lines were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// Lines with a red flag.
    pub red: Vec<String>,
    /// How many lines had a good sign.
    pub good: u64,
    /// How many lines there were.
    pub lines: u64,
}

impl LogTail {
    /// Begins at the end of the file: what was said before is no news.
    ///
    /// # Errors
    /// When it is not there.
    pub fn from_end(path: &Path) -> Result<Self> {
        let metadata = path.metadata().map_err(Error::io("read", path))?;
        Ok(Self { path: path.into(), inode: metadata.ino(), offset: metadata.len(), partial: Vec::new() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads what has come since. A file that was rotated or cut is read from its beginning.
    ///
    /// # Errors
    /// The file system's.
    pub fn read(&mut self, red_flags: &RegexSet, good_signs: &RegexSet) -> Result<Signs> {
        let failed = || Error::io("read", &self.path);
        let mut file = File::open(&self.path).map_err(failed())?;
        let metadata = file.metadata().map_err(failed())?;
        if metadata.ino() != self.inode || metadata.len() < self.offset {
            (self.inode, self.offset) = (metadata.ino(), 0);
            self.partial.clear();
        }
        file.seek(SeekFrom::Start(self.offset)).map_err(failed())?;
        let read = file.take(MOST).read_to_end(&mut self.partial).map_err(failed())?;
        self.offset += read as u64;
        // The last line may still be written.
        let end = memchr::memrchr(b'\n', &self.partial).map_or(0, |at| at + 1);
        let mut signs = Signs::default();
        for line in String::from_utf8_lossy(&self.partial[..end]).lines() {
            signs.lines += 1;
            if red_flags.is_match(line) {
                signs.red.push(line.to_owned());
            } else if good_signs.is_match(line) {
                signs.good += 1;
            }
        }
        self.partial.drain(..end);
        Ok(signs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_whole_new_lines_count_also_after_a_rotation() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.log");
        std::fs::write(&path, "ERROR long ago\n").expect("written");
        let set = |pattern: &str| RegexSet::new([pattern]).expect("a pattern");
        let (red, good) = (set("ERROR"), set("listening"));
        let mut tail = LogTail::from_end(&path).expect("it is there");
        let mut add = |text: &str| {
            let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("opens");
            file.write_all(text.as_bytes()).expect("written");
            tail.read(&red, &good).expect("it is read")
        };
        assert_eq!(add("listening\nERR"), Signs { red: vec![], good: 1, lines: 1 });
        assert_eq!(add("OR now\n"), Signs { red: vec!["ERROR now".into()], good: 0, lines: 1 });
        std::fs::rename(&path, folder.path().join("app.log.1")).expect("rotated");
        std::fs::write(&path, "ERROR in the new one\n").expect("written");
        assert_eq!(tail.read(&red, &good).expect("it is read").red, ["ERROR in the new one"]);
    }
}
