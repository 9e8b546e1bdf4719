//! Memory: what the process occupies, as Linux tells it.

use std::fs;

/// A megabyte as the original counts it.
pub const MB: u64 = 1 << 20;

/// The resident set in bytes; `None` where there is no `/proc`.
pub fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * page_size()?)
}

/// Bytes of a page, from the vector that the kernel hands to every process: `statm` counts in pages,
/// and they are not 4 KB everywhere.
fn page_size() -> Option<u64> {
    const AT_PAGESZ: usize = 6;
    let vector = fs::read("/proc/self/auxv").ok()?;
    let (words, _) = vector.as_chunks::<{ size_of::<usize>() }>();
    let (pairs, _) = words.as_chunks::<2>();
    let is_wanted = |[key, _]: &&[_; 2]| usize::from_ne_bytes(*key) == AT_PAGESZ;
    let [_, bytes] = pairs.iter().find(is_wanted)?;
    Some(usize::from_ne_bytes(*bytes) as u64)
}
