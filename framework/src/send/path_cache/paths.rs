//! The paths that a thread remembers, and how one is found: a look at the places of its group, and one at
//! where it leads.
//!
//! Both lie in as few cache lines as can be: what a send costs more by path than by a handle is mostly to
//! wait for them.

use std::hash::Hasher;
use std::sync::Arc;

use mycelia_core::{PathRef, Spans};
use rustc_hash::FxHasher;

use crate::directory::Mounted;
use crate::route::extract::Capture;

/// Most paths that a thread remembers: 128 bytes for each, and 8 KB to find them. More have those longer
/// than [`SHORT`], and those with several numbers.
pub(super) const PATHS: usize = 2048;
/// Places that a path may stand in: those of its group.
const REACH: usize = 8;
const GROUPS: usize = PATHS / REACH;
/// A path takes another's place only once in so many times: senders that go through more paths than
/// there are places must not pay for each that it is learnt.
const RELUCTANCE: u32 = 16;

/// Where a path leads. Two cache lines, side by side, hold all that a send looks at.
#[repr(align(64))]
pub(crate) struct CachedRoute {
    text: Text,
    pub(crate) mounted: Arc<Mounted>,
    /// The route's place in its table.
    pub(crate) route: u16,
    query: Option<u16>,
    pub(crate) captured: Captured,
}

/// The captures of a path that is remembered.
pub(crate) enum Captured {
    Texts(Spans),
    /// All are numbers: a handler that wants numbers need not parse them again.
    Number(Capture<'static>),
    Numbers(Box<[Capture<'static>]>),
}

/// The text of a path: most have room in place.
enum Text {
    Short(u8, [u8; SHORT]),
    Long(Box<str>),
}

/// As many bytes as leave a [`CachedRoute`] two cache lines.
const SHORT: usize = 70;
const _: () = assert!(size_of::<CachedRoute>() <= 128);

impl CachedRoute {
    /// The path's query, in a text that equals it.
    #[inline]
    pub(crate) fn query<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.get(usize::from(self.query?)..)
    }
}

impl Text {
    fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Text::Short(text.len() as u8, bytes)
            }
            None => Text::Long(text.into()),
        }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        match self {
            Text::Short(len, bytes) => &bytes[..usize::from(*len)],
            Text::Long(text) => text.as_bytes(),
        }
    }
}

/// True if two texts are the same. As few bytes as most paths have cost less to compare than the call of
/// what compares any number.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    // Both ends, which meet or overlap.
    fn has_ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
        one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
    }
    one.len() == other.len()
        && match one.len() {
            16..=32 => has_ends::<16>(one, other),
            8..16 => has_ends::<8>(one, other),
            _ => one == other,
        }
}

/// The paths that a thread remembers.
#[derive(Default)]
pub(super) struct Paths {
    /// Empty until the first path is learnt.
    groups: Box<[SlotGroup]>,
    ways: Vec<CachedRoute>,
    /// How often a path found no place.
    refused: u32,
}

/// Half a cache line.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct SlotGroup {
    /// Of the paths' hashes, what does not tell the group, a byte each: most other paths differ in it.
    tags: u64,
    /// Where the ways are; [`NONE`] for none.
    ways: [u16; REACH],
}

const NONE: u16 = u16::MAX;

impl SlotGroup {
    const EMPTY: SlotGroup = SlotGroup {
        tags: 0,
        ways: [NONE; REACH],
    };

    /// The places with that tag, each the highest bit of a byte, and after one that has it perhaps some
    /// that have not: Warren, "Hacker's Delight", 2012, 6-1.
    #[inline]
    fn with_tag(&self, tag: u8) -> u64 {
        let differences = self.tags ^ (u64::from(tag) * LOWEST);
        differences.wrapping_sub(LOWEST) & !differences & (LOWEST << 7)
    }

    fn put(&mut self, at: usize, tag: u8, way: usize) {
        let mut tags = self.tags.to_le_bytes();
        tags[at] = tag;
        self.tags = u64::from_le_bytes(tags);
        self.ways[at] = way as u16;
    }
}

/// The lowest bit of each byte.
const LOWEST: u64 = u64::MAX / 0xff;

/// The group of a path, and its tag there.
#[inline]
fn place(text: &[u8]) -> (usize, u8) {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    let hash = hasher.finish();
    (hash as usize % GROUPS, (hash >> 32) as u8)
}

impl Paths {
    /// Where a path leads, if it was learnt.
    #[inline]
    pub(super) fn find(&self, text: &str) -> Option<&CachedRoute> {
        let (group, tag) = place(text.as_bytes());
        let group = self.groups.get(group)?;
        let mut places = group.with_tag(tag);
        while places != 0 {
            let at = places.trailing_zeros() as usize / 8;
            let way = self.ways.get(usize::from(group.ways[at]))?;
            if is_same(way.text.as_bytes(), text.as_bytes()) && !way.mounted.is_gone() {
                return Some(way);
            }
            places &= places - 1;
        }
        None
    }

    /// Learns where a path leads, unless it finds no place.
    pub(super) fn learn(
        &mut self,
        path: &PathRef<'_>,
        mounted: &Arc<Mounted>,
        route: u16,
        spans: Spans,
    ) {
        let Paths {
            groups,
            ways,
            refused,
        } = self;
        let text = path.as_str();
        if groups.is_empty() {
            *groups = vec![SlotGroup::EMPTY; GROUPS].into();
        }
        let (group, tag) = place(text.as_bytes());
        let group = &mut groups[group];
        let is_free = |number: &u16| {
            let way = ways.get(usize::from(*number));
            way.is_none_or(|way| way.mounted.is_gone())
        };
        let at = match group.ways.iter().position(is_free) {
            Some(free) => free,
            None => {
                let turn = *refused;
                *refused = turn.wrapping_add(1);
                if !turn.is_multiple_of(RELUCTANCE) {
                    return;
                }
                (turn / RELUCTANCE) as usize % REACH
            }
        };
        let way = CachedRoute {
            text: Text::new(text),
            mounted: mounted.clone(),
            route,
            query: path.query().map(|query| (text.len() - query.len()) as u16),
            captured: captured(spans, text),
        };
        let number = usize::from(group.ways[at]).min(ways.len());
        group.put(at, tag, number);
        match ways.get_mut(number) {
            Some(old) => *old = way,
            None => ways.push(way),
        }
    }

    /// Forgets what leads to who was unmounted.
    pub(super) fn sweep(&mut self) {
        self.ways.retain(|way| !way.mounted.is_gone());
        self.groups.fill(SlotGroup::EMPTY);
        for (number, way) in self.ways.iter().enumerate() {
            let (group, tag) = place(way.text.as_bytes());
            let group = &mut self.groups[group];
            // It stood among these before.
            if let Some(at) = group.ways.iter().position(|way| *way == NONE) {
                group.put(at, tag, number);
            }
        }
    }
}

/// Captures as numbers, if each is one whose text can be told from it.
fn captured(spans: Spans, text: &str) -> Captured {
    let number = |text: &str| {
        let number = text.parse().ok()?;
        let is_its_text = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
        is_its_text.then_some(Capture::Unsigned(number))
    };
    let captures = spans.of(text);
    let numbers: Option<Box<[_]>> = captures.iter().map(|text| number(&text)).collect();
    match numbers {
        None => Captured::Texts(spans),
        Some(numbers) => match *numbers {
            [] => Captured::Texts(spans),
            [number] => Captured::Number(number),
            _ => Captured::Numbers(numbers),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn texts_are_the_same_if_all_their_bytes_are(text in "[ab]{0,40}", at in 0_usize..40) {
            let text = text.as_bytes();
            let mut other = text.to_vec();
            proptest::prop_assert!(is_same(text, &other));
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 1;
                proptest::prop_assert!(!is_same(text, &other));
            }
            other.push(b'a');
            proptest::prop_assert!(!is_same(text, &other));
        }

        #[test]
        fn every_place_with_a_tag_is_found_and_the_first_one_has_it(
            tags in proptest::array::uniform8(0_u8..4),
            tag in 0_u8..4,
        ) {
            let mut group = SlotGroup::EMPTY;
            (0..REACH).for_each(|at| group.put(at, tags[at], at));
            let found = group.with_tag(tag);
            let has_tag = |at: &usize| tags[*at] == tag;
            let is_found = |at: usize| found >> (8 * at + 7) & 1 == 1;
            proptest::prop_assert!((0..REACH).filter(has_tag).all(is_found));
            proptest::prop_assert_eq!(
                (0..REACH).find(has_tag),
                (0..REACH).find(|at| is_found(*at)),
            );
        }
    }
}
