//! A file of a dump that is packed while pg_dump still writes it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use super::codec::Codec;
use super::pack::{Looks, panicked};
use super::pool::{Pending, Pool};
use crate::error::{Error, Result};

/// How much becomes one member of a packed file: enough that its own header and empty dictionary are
/// not felt in the size.
const MEMBER: usize = 1024 * 1024;

/// See the module.
pub(super) struct Growing {
    plain: PathBuf,
    packed: PathBuf,
    codec: Codec,
    looks: Looks,
    reader: File,
    writer: File,
    chunk: Vec<u8>,
    read: u64,
    has_members: bool,
    /// Members that are being compressed, in their order.
    pending: VecDeque<Pending<io::Result<Vec<u8>>>>,
    ended: bool,
}

/// A file that is packed.
pub(super) struct Ended {
    pub(super) plain: PathBuf,
    pub(super) packed: PathBuf,
    pub(super) read: u64,
    pub(super) looks: Looks,
}

impl Growing {
    pub(super) fn open(plain: PathBuf, codec: Codec, looks: Looks) -> Result<Self> {
        let packed = codec.packed(&plain);
        let reader = File::open(&plain).map_err(Error::io("read", &plain))?;
        let writer = File::create(&packed).map_err(Error::io("write", &packed))?;
        Ok(Self {
            plain,
            packed,
            codec,
            looks,
            reader,
            writer,
            chunk: Vec::with_capacity(MEMBER),
            read: 0,
            has_members: false,
            pending: VecDeque::new(),
            ended: false,
        })
    }

    /// Whether all of it was read.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// How many bytes are there that were not read yet.
    pub(super) fn left(&self) -> u64 {
        self.reader.metadata().map_or(0, |metadata| metadata.len()).saturating_sub(self.read)
    }

    /// Reads what has come, a member at the most, and gives how much that was. `most` members are packed at once.
    /// `whole`: no more will come.
    pub(super) fn follow(&mut self, pool: &Pool<'_>, most: usize, whole: bool) -> Result<u64> {
        let before = self.chunk.len();
        let room = (MEMBER - before) as u64;
        let mut some = (&mut self.reader).take(room);
        some.read_to_end(&mut self.chunk).map_err(Error::io("read", &self.plain))?;
        let came = &self.chunk[before..];
        self.looks.feed(came);
        let came = came.len() as u64;
        self.read += came;
        self.ended = self.looks.at_end() || (whole && came < room);
        if self.chunk.len() == MEMBER {
            if self.pending.len() >= most {
                self.write_next()?;
            }
            self.pack(pool);
        }
        Ok(came)
    }

    fn pack(&mut self, pool: &Pool<'_>) {
        // No more than it holds: a buffer that grew by itself would take up to twice that.
        let next = Vec::with_capacity(MEMBER);
        let (codec, chunk) = (self.codec, std::mem::replace(&mut self.chunk, next));
        self.pending.push_back(pool.give(move || codec.member(&chunk)));
        self.has_members = true;
    }

    fn write_next(&mut self) -> Result<()> {
        let Some(member) = self.pending.pop_front() else { return Ok(()) };
        let member = member.wait().ok_or_else(panicked)?.map_err(Error::io("pack", &self.plain))?;
        self.writer.write_all(&member).map_err(Error::io("write", &self.packed))
    }

    /// Packs and writes what is left.
    pub(super) fn finish(mut self, pool: &Pool<'_>) -> Result<Ended> {
        // An empty file is nobody's idea of nothing: the first member is always there.
        if !self.chunk.is_empty() || !self.has_members {
            self.pack(pool);
        }
        while !self.pending.is_empty() {
            self.write_next()?;
        }
        Ok(Ended { plain: self.plain, packed: self.packed, read: self.read, looks: self.looks })
    }
}
