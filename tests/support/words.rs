//! What differs from run to run and from machine to machine in what people read.

/// Regular expressions and what stands for their matches, for snapshots.
#[must_use]
pub fn filters() -> Vec<(&'static str, &'static str)> {
    vec![
        (r"\d{8}T\d{9}Z-([a-z-]+)-[a-z0-9]{6}", "[TIME]-$1-[ID]"),
        (r"\d{8}[tT]\d{9}[zZ]", "[TIME]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "[TIME]"),
        (r"\S*rehearsal-sandbox-\w+/sandbox/", "[TEMPORARY]/"),
        (r"[^\s('`]+@\S+/test_\d+", "[USER]@[SERVER]/[DATABASE]"),
        (r"test_\d+", "[DATABASE]"),
        (r" *\d+ min \d+ s\b", " [DURATION]"),
        (r" *\d+(?:\.\d+)? (?:ms|s)\b", " [DURATION]"),
        (r"[\d,]+ rows/s", "[RATE]"),
        (r"\d+\.\d kB|\d+\.\d MB", "[SIZE]"),
        (r"\b\d+ batch(?:es)?", "[N] batches"),
        (r"PostgreSQL \d+\.\d+ \((?:local|docker)\)", "PostgreSQL [VERSION] ([PROVIDER])"),
        (r"(REHEARSAL_PROVIDER)=\w+", "$1=[PROVIDER]"),
        (r"restored into a (?:local|docker) sandbox", "restored into a [PROVIDER] sandbox"),
    ]
}
