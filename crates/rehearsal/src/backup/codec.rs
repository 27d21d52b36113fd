//! How a dump's files are packed.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::files::CHUNK;

/// gzip level 1: level 6, pg_dump's default, costs several times the CPU and is hardly smaller.
const GZIP: Compression = Compression::fast();

/// zstd level 1: half of what gzip 1 costs, and smaller.
const ZSTD: i32 = 1;

/// See the module. Both may be written in members, one after the other, that are packed side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// Read by every pg_restore.
    Gzip,
    /// Read by those of 16 and newer, if they were built with it.
    Zstd,
}

impl Codec {
    const ALL: [Self; 2] = [Self::Gzip, Self::Zstd];

    /// The end of a file's name, by which pg_restore knows how to read it.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// What makes pg_dump itself write it.
    pub(super) const fn option(self) -> &'static str {
        match self {
            Self::Gzip => "--compress=1",
            Self::Zstd => "--compress=zstd:1",
        }
    }

    /// Which one a file is packed with, and its name without that.
    pub(super) fn of(name: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|codec| Some((codec, name.strip_suffix(codec.suffix())?)))
    }

    /// The name of a plain file once it is packed.
    pub(super) fn packed(self, plain: &Path) -> PathBuf {
        let mut path = plain.as_os_str().to_owned();
        path.push(self.suffix());
        path.into()
    }

    /// Packs some bytes as a member of their own.
    pub(super) fn member(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), GZIP);
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            Self::Zstd => {
                let mut compressor = zstd::bulk::Compressor::new(ZSTD)?;
                // gzip has one always.
                compressor.include_checksum(true)?;
                compressor.compress(bytes)
            }
        }
    }

    /// Reads all members of a file.
    pub(super) fn reader(self, file: File) -> io::Result<Box<dyn Read + Send>> {
        let file = BufReader::with_capacity(CHUNK, file);
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(file)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
        })
    }
}
