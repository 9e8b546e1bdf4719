//! Paths, patterns and routes against readers too simple to be wrong: they take a text to pieces with
//! `split`, as the grammar's documentation says, and try every pattern on every path.
//!
//! Texts are made of pieces that the grammar treats specially, so that half of them nearly parse. A few
//! thousand cases run with the other tests; `.ci/fuzz` runs as many as it is told.

mod common;

use mycelia_core::{
    MAX_CAPTURES, MAX_FULL_NAME_LEN, MAX_NAME_LEN, MAX_PATH_LEN, MAX_SEGMENTS, PathRef, Pattern,
    Router, decode, encode,
};
use proptest::prelude::*;

/// What a text is made of. Slashes and plain text come often, or few texts would parse.
const PIECES: &[&str] = &[
    "/", "/", "/", "/", "/", "/", "a", "a", "b", "é", "+", ".", "-", " ", "%61", "%2F", "%2f",
    "%3F", "%C3%A9", "%C3", "%FF", "%", "%4", "%+1", "{x}", "{y}", "{*z}", "{", "}", "{_}", "{x",
    "*", "#", "?", "://", ":", "\n", "\u{7f}", "🦀", "%00",
];

/// Names, good and bad.
const NAMES: &[&str] = &[
    "a", "a", "a", "a/b", "A-1_.x", "", "/", "a/", "ä", "a b", "a:b",
];

fn text_of(choices: &[u8], pieces: &[&'static str]) -> String {
    choices
        .iter()
        .map(|choice| pieces[usize::from(*choice) % pieces.len()])
        .collect()
}

fn path_of(choices: &[u8]) -> String {
    let Some((name, rest)) = choices.split_first() else {
        return String::new();
    };
    format!("{}://{}", text_of(&[*name], NAMES), text_of(rest, PIECES))
}

fn is_forbidden(char: char) -> bool {
    matches!(char, '{' | '}' | '#') || char.is_ascii_control()
}

/// A segment without its escapes; none if one is malformed, or the whole is no UTF-8.
fn naive_decode(segment: &str) -> Option<String> {
    let mut parts = segment.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        (1..=MAX_NAME_LEN).contains(&part.len())
            && part
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || "_.-".contains(char))
    };
    name.len() <= MAX_FULL_NAME_LEN && name.split('/').all(is_part)
}

/// The pieces of a path.
#[derive(Debug, PartialEq)]
struct NaivePath<'t> {
    name: &'t str,
    raw: Vec<&'t str>,
    decoded: Vec<String>,
    query: Option<&'t str>,
}

fn naive_path(text: &str) -> Option<NaivePath<'_>> {
    let (name, after) = text.split_once("://")?;
    let (rest, query) = match after.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (after, None),
    };
    let raw: Vec<&str> = match rest {
        "" => Vec::new(),
        rest => rest.split('/').collect(),
    };
    let decoded: Option<Vec<String>> = raw.iter().map(|segment| naive_decode(segment)).collect();
    let is_path = text.len() <= MAX_PATH_LEN
        && is_name(name)
        && raw.len() <= MAX_SEGMENTS
        && raw.iter().all(|segment| !segment.is_empty())
        && !after.contains(is_forbidden);
    is_path.then_some(NaivePath {
        name,
        raw,
        decoded: decoded?,
        query,
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Naive {
    Literal(String),
    Capture(String),
    Rest(String),
}

impl Naive {
    fn name(&self) -> Option<&str> {
        match self {
            Naive::Literal(_) => None,
            Naive::Capture(name) | Naive::Rest(name) => Some(name),
        }
    }

    /// Literal beats capture beats rest.
    fn rank(&self) -> u8 {
        match self {
            Naive::Literal(_) => 0,
            Naive::Capture(_) => 1,
            Naive::Rest(_) => 2,
        }
    }

    /// The same but for the names of captures.
    fn shape(&self) -> (u8, Option<&str>) {
        match self {
            Naive::Literal(text) => (0, Some(text)),
            other => (other.rank(), None),
        }
    }
}

fn naive_segment(piece: &str) -> Option<Naive> {
    let is_identifier = |name: &str| {
        name != "_"
            && !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    if let Some(inner) = piece
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        return match inner.strip_prefix('*') {
            Some(name) if is_identifier(name) => Some(Naive::Rest(name.to_owned())),
            None if is_identifier(inner) => Some(Naive::Capture(inner.to_owned())),
            _ => None,
        };
    }
    if piece.is_empty() || piece.contains(is_forbidden) {
        return None;
    }
    naive_decode(piece).map(Naive::Literal)
}

fn naive_pattern(text: &str) -> Option<Vec<Naive>> {
    if text.len() > MAX_PATH_LEN || text.contains('?') || text.contains("://") {
        return None;
    }
    let segments: Vec<Naive> = match text {
        "" => Vec::new(),
        text => text.split('/').map(naive_segment).collect::<Option<_>>()?,
    };
    let names: Vec<&str> = segments.iter().filter_map(Naive::name).collect();
    let are_distinct = names
        .iter()
        .enumerate()
        .all(|(at, name)| !names[..at].contains(name));
    let rest = segments
        .iter()
        .position(|segment| matches!(segment, Naive::Rest(_)));
    let is_pattern = are_distinct
        && names.len() <= MAX_CAPTURES
        && segments.len() <= MAX_SEGMENTS
        && rest.is_none_or(|at| at + 1 == segments.len());
    is_pattern.then_some(segments)
}

/// What a pattern captures of a path; none if it does not match.
fn naive_match(pattern: &[Naive], path: &NaivePath<'_>) -> Option<Vec<String>> {
    let mut captures = Vec::new();
    for (at, segment) in pattern.iter().enumerate() {
        let decoded = path.decoded.get(at)?;
        match segment {
            Naive::Literal(text) if text != decoded => return None,
            Naive::Literal(_) => {}
            Naive::Capture(_) => captures.push(decoded.clone()),
            Naive::Rest(_) => {
                captures.push(path.decoded[at..].join("/"));
                return Some(captures);
            }
        }
    }
    (pattern.len() == path.decoded.len()).then_some(captures)
}

fn check_path(text: &str) -> Result<(), TestCaseError> {
    let expected = naive_path(text);
    let Ok(path) = PathRef::parse(text) else {
        prop_assert_eq!(expected, None, "{:?} was refused", text);
        return Ok(());
    };
    let segments: Vec<&str> = path.segments().collect();
    let read = NaivePath {
        name: path.name(),
        decoded: segments
            .iter()
            .map(|segment| decode(segment).into_owned())
            .collect(),
        raw: segments,
        query: path.query(),
    };
    prop_assert_eq!(Some(read), expected);
    let printed = path.to_string();
    prop_assert_eq!(PathRef::parse(&printed), Ok(path));
    Ok(())
}

/// Encoded, a text is one segment, and creates no name, no other segment and no query; beside others too.
fn check_encoded(text: &str) -> Result<(), TestCaseError> {
    let encoded = encode(text);
    prop_assert_eq!(decode(&encoded), text);
    if text.is_empty() {
        return Ok(());
    }
    let mut router = Router::new();
    router
        .insert(Pattern::parse("users/{id}").unwrap(), 1)
        .unwrap();
    router
        .insert(Pattern::parse("users/{id}/{*more}").unwrap(), 2)
        .unwrap();
    router
        .insert(Pattern::parse("users/7").unwrap(), 3)
        .unwrap();
    for (before, after, value, query) in [
        ("api://users/", "", 1, None),
        ("api://users/", "?x=1", 1, Some("x=1")),
        ("api://users/", "/a/b", 2, None),
    ] {
        let path = format!("{before}{encoded}{after}");
        let path = PathRef::parse(&path).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(path.name(), "api");
        prop_assert_eq!(path.query(), query);
        let found = router.find(&path).expect("it has that many segments");
        let value = if text == "7" && value == 1 { 3 } else { value };
        prop_assert_eq!(*found.value, value);
        if value != 3 {
            let capture = found.captures.get(0);
            prop_assert_eq!(capture.as_deref(), Some(text));
        }
    }
    Ok(())
}

fn check_pattern(text: &str) -> Result<(), TestCaseError> {
    let expected = naive_pattern(text);
    let Ok(pattern) = Pattern::parse(text) else {
        prop_assert_eq!(expected, None, "{:?} was refused", text);
        return Ok(());
    };
    let read: Vec<Naive> = pattern
        .segments()
        .iter()
        .map(|segment| match segment.clone() {
            mycelia_core::Segment::Literal(text) => Naive::Literal(text),
            mycelia_core::Segment::Capture(name) => Naive::Capture(name),
            mycelia_core::Segment::Rest(name) => Naive::Rest(name),
        })
        .collect();
    prop_assert_eq!(Some(read), expected);
    prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
    Ok(())
}

fn check_routes(patterns: &[String], path: &str) -> Result<(), TestCaseError> {
    let mut router = Router::new();
    let mut known: Vec<Vec<Naive>> = Vec::new();
    for text in patterns {
        let Some(segments) = naive_pattern(text) else {
            continue;
        };
        let shape = |segments: &[Naive]| {
            segments
                .iter()
                .map(|segment| {
                    let (rank, text) = segment.shape();
                    (rank, text.map(str::to_owned))
                })
                .collect::<Vec<_>>()
        };
        let is_ambiguous = known.iter().any(|other| shape(other) == shape(&segments));
        let pattern =
            Pattern::parse(text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        match router.insert(pattern, ()) {
            Ok(_) => {
                prop_assert!(!is_ambiguous, "{} was taken twice", text);
                known.push(segments);
            }
            Err(refused) => {
                prop_assert!(is_ambiguous, "{}", refused);
                prop_assert_eq!(&refused.new, text);
            }
        }
    }
    let (Ok(parsed), Some(naive)) = (PathRef::parse(path), naive_path(path)) else {
        return Ok(());
    };
    let expected = known
        .iter()
        .enumerate()
        .filter_map(|(at, pattern)| Some((at, naive_match(pattern, &naive)?)))
        .min_by_key(|(at, _)| known[*at].iter().map(Naive::rank).collect::<Vec<_>>());
    let found = router.find(&parsed).map(|found| {
        let captures = found.captures.iter().map(|text| text.into_owned());
        (found.index, captures.collect::<Vec<_>>())
    });
    prop_assert_eq!(found, expected, "{} among {:?}", path, patterns);
    Ok(())
}

fn choices(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

/// Segments that match each other often.
const SEGMENTS: &[&str] = &[
    "/a", "/b", "/a", "/%61", "/{x}", "/{y}", "/{w}", "/{*z}", "/é", "/%C3%A9", "/c%2Fd",
];
const STEPS: &[&str] = &["/a", "/b", "/a", "/%61", "/é", "/%C3%A9", "/c%2Fd", "/e"];

proptest! {
    #![proptest_config(common::cases(20_000))]

    #[test]
    fn a_path_is_what_splitting_its_text_says(choices in choices(20)) {
        check_path(&path_of(&choices))?;
        check_path(&text_of(&choices, PIECES))?;
    }

    #[test]
    fn a_pattern_is_what_splitting_its_text_says(choices in choices(16)) {
        check_pattern(&text_of(&choices, PIECES))?;
        check_pattern(text_of(&choices, SEGMENTS).trim_start_matches('/'))?;
    }

    #[test]
    fn a_route_is_the_one_that_trying_every_pattern_finds(
        table in prop::collection::vec(choices(5), 0..6),
        steps in choices(6),
    ) {
        let pattern = |choices: &Vec<u8>| {
            text_of(choices, SEGMENTS).trim_start_matches('/').to_owned()
        };
        let patterns: Vec<String> = table.iter().map(pattern).collect();
        let steps = text_of(&steps, STEPS);
        check_routes(&patterns, &format!("a://{}", steps.trim_start_matches('/')))?;
    }

    /// Texts made of what has a meaning in a path, and any others.
    #[test]
    fn any_text_encoded_is_one_segment_that_means_the_text(choices in choices(12), any in ".{0,20}") {
        check_encoded(&text_of(&choices, PIECES))?;
        check_encoded(&any)?;
    }
}

proptest! {
    // Its texts are up to a thousand times as long.
    #![proptest_config(ProptestConfig {
        cases: common::cases(20_000).cases / 100,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_too_long_or_too_deep_is_refused_as_splitting_says(
        piece in 0..PIECES.len(),
        times in 0..1100_usize,
    ) {
        let text = format!("a://{}", PIECES[piece].repeat(times));
        check_path(&text)?;
        check_path(&format!("a://a{}", "/a".repeat(times % 40)))?;
        check_path(&format!("{}://", "a".repeat(times % 70)))?;
        check_pattern(&text[4..])?;
        check_pattern(&format!("a{}", "/a".repeat(times % 40)))?;
        let captures: Vec<String> = (0..times % 12).map(|at| format!("{{x{at}}}")).collect();
        check_pattern(&captures.join("/"))?;
    }
}
