//! Large objects, which belong to no table: how many, how large, and a digest of what they hold.
//!
//! The digest is the sum modulo 2^128 of the XXH3-128 hashes of each object's oid and bytes: it does not
//! depend on their order, and can be taken from a dump's files as well as from a database.

use xxhash_rust::xxh3::Xxh3;

use super::manifest::LargeObjects;
use crate::error::Result;
use crate::postgres::contents::each_line;
use crate::postgres::query::Stopped;
use crate::postgres::session::Session;

/// LOBLKSIZE of a server with 8 kB blocks (src/include/storage/large_object.h): what a page holds.
const PAGE: u64 = 2048;

/// What lists tell of them, without reading them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Listed {
    /// How many.
    pub(super) count: u64,
    /// Over all oids, owners and grants.
    pub(super) rights: String,
}

/// Everybody may read these, other than the bytes. A list of grants that was never changed is NULL.
const LIST: &str = "\
    SELECT count(*)::text, coalesce(sum(hashtextextended(format('%s %s %s', oid, pg_get_userbyid(lomowner), \
           (SELECT string_agg(item::text, ',' ORDER BY item::text) \
            FROM unnest(coalesce(lomacl, acldefault('L', lomowner))) AS item)), 0)::numeric), 0)::text \
    FROM pg_largeobject_metadata";

/// Without gaps where objects are empty. Only a superuser may read it: in the sandbox we are one.
const READ: &str = "\
    COPY (SELECT m.oid, l.pageno, l.data FROM pg_largeobject_metadata m LEFT JOIN pg_largeobject l ON l.loid = m.oid \
          ORDER BY m.oid, l.pageno) TO STDOUT";

/// Counts them, with who owns and may use them.
///
/// # Errors
/// The server's.
pub(super) async fn list(session: &mut Session) -> Result<Listed> {
    let rows = session.fetch_text(LIST, 1).await.map_err(Stopped::doing("count the large objects"))?;
    let mut row = rows.rows.into_iter().next().unwrap_or_default().into_iter().flatten();
    let count = row.next().and_then(|count| count.parse().ok()).unwrap_or_default();
    Ok(Listed { count, rights: row.next().unwrap_or_default() })
}

/// Reads all of them. The session speaks with `bytea_output = hex`.
///
/// # Errors
/// The server's.
pub(super) async fn read(session: &mut Session) -> Result<LargeObjects> {
    let mut pages = Pages::default();
    let mut partial = Vec::new();
    let feed = |chunk: &[u8]| {
        each_line(&mut partial, chunk, |line| pages.line(line));
        Ok(())
    };
    session.execute(crate::postgres::contents::BEGIN).await.map_err(Stopped::doing("begin to read"))?;
    session.copy_out(READ, feed).await.map_err(Stopped::doing("read the large objects"))?;
    session.execute("COMMIT").await.map_err(Stopped::doing("end reading"))?;
    Ok(pages.end())
}

/// One object as its bytes pass.
pub(super) struct Object {
    hash: Xxh3,
    bytes: u64,
}

impl Object {
    pub(super) fn new(oid: u32) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&oid.to_be_bytes());
        Self { hash, bytes: 0 }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    pub(super) fn add_to(&self, all: &mut LargeObjects) {
        all.count += 1;
        all.bytes += self.bytes;
        all.digest = all.digest.wrapping_add(self.hash.digest128());
    }
}

/// Objects out of the pages that the server keeps them in. A page that is missing is zeros, as is what a
/// page lacks before the next one.
#[derive(Default)]
struct Pages {
    all: LargeObjects,
    current: Option<(u32, Object)>,
    bytes: Vec<u8>,
}

impl Pages {
    fn line(&mut self, line: &[u8]) {
        let mut fields = line.split(|byte| *byte == b'\t');
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<u64>().ok();
        let Some(oid) = number().and_then(|oid| u32::try_from(oid).ok()) else { return };
        let page = number();
        if self.current.as_ref().is_none_or(|(other, _)| *other != oid) {
            self.close();
            self.current = Some((oid, Object::new(oid)));
        }
        let (Some(page), Some(data), Some((_, object))) = (page, fields.next(), &mut self.current) else { return };
        const ZEROS: [u8; PAGE as usize] = [0; PAGE as usize];
        while object.bytes < page * PAGE {
            let missing = (page * PAGE - object.bytes).min(PAGE);
            object.feed(&ZEROS[..usize::try_from(missing).unwrap_or_default()]);
        }
        // COPY doubles the backslash of `\x`.
        let digits = data.strip_prefix(br"\\x").unwrap_or(data);
        self.bytes.clear();
        self.bytes.extend(digits.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])));
        object.feed(&self.bytes);
    }

    fn close(&mut self) {
        if let Some((_, object)) = self.current.take() {
            object.add_to(&mut self.all);
        }
    }

    fn end(mut self) -> LargeObjects {
        self.close();
        self.all
    }
}

fn digit(character: u8) -> u8 {
    match character {
        b'0'..=b'9' => character - b'0',
        b'a'..=b'f' => character - b'a' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_files(files: &[(u32, &[u8])]) -> LargeObjects {
        let mut all = LargeObjects::default();
        for (oid, bytes) in files {
            let mut object = Object::new(*oid);
            object.feed(bytes);
            object.add_to(&mut all);
        }
        all
    }

    #[test]
    fn pages_are_the_same_as_files() {
        let mut pages = Pages::default();
        for line in [r"7	0	\\x6162", r"7	2	\\x63", r"8	\N	\N", r"9	0	\\x00ff"] {
            pages.line(line.as_bytes());
        }
        let mut seven = vec![0; 2 * 2048 + 1];
        seven[..2].copy_from_slice(b"ab");
        seven[4096] = b'c';
        let files = [(9, &[0u8, 255][..]), (7, &seven), (8, b"")];
        assert_eq!(pages.end(), of_files(&files));
        assert_ne!(of_files(&files), of_files(&[(9, &[0u8, 254]), (7, &seven), (8, b"")]));
    }
}
