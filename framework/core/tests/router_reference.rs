//! The router against a matcher too simple to be wrong: list every pattern that
//! matches, compare their kinds of segment from left to right.

mod common;

use std::time::{Duration, Instant};

use mycelia_core::{Ambiguous, PathRef, Pattern, Router};
use proptest::prelude::*;

/// Segments as written and as decoded; few, so that they collide often.
const ALPHABET: &[(&str, &str)] = &[
    ("a", "a"),
    ("%61", "a"),
    ("b", "b"),
    ("é", "é"),
    ("%C3%A9", "é"),
    ("a%2Fb", "a/b"),
    ("%25", "%"),
    ("a+", "a+"),
];

type Written = (&'static str, &'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Literal(Written),
    Capture,
    Rest,
}

impl Kind {
    /// Lower goes first.
    fn rank(self) -> u8 {
        match self {
            Kind::Literal(_) => 0,
            Kind::Capture => 1,
            Kind::Rest => 2,
        }
    }

    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Kind::Literal((_, one)), Kind::Literal((_, two))) => one == two,
            _ => self == other,
        }
    }
}

fn written() -> impl Strategy<Value = Written> {
    prop::sample::select(ALPHABET)
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let kind = prop_oneof![3 => written().prop_map(Kind::Literal), 2 => Just(Kind::Capture)];
    (prop::collection::vec(kind, 0..5), prop::bool::weighted(0.3)).prop_map(|(mut kinds, rest)| {
        kinds.extend(rest.then_some(Kind::Rest));
        kinds
    })
}

fn text_of(kinds: &[Kind]) -> String {
    let pieces: Vec<_> = kinds
        .iter()
        .enumerate()
        .map(|(number, kind)| match kind {
            Kind::Literal((raw, _)) => (*raw).to_owned(),
            Kind::Capture => format!("{{c{number}}}"),
            Kind::Rest => "{*rest}".to_owned(),
        })
        .collect();
    pieces.join("/")
}

/// What a pattern captures of a path, raw and decoded; none if it does not match.
fn naive_match(kinds: &[Kind], path: &[Written]) -> Option<Vec<(String, String)>> {
    let mut captures = Vec::new();
    for (number, kind) in kinds.iter().enumerate() {
        let &(raw, decoded) = path.get(number)?;
        match kind {
            Kind::Literal((_, literal)) if *literal != decoded => return None,
            Kind::Literal(_) => {}
            Kind::Capture => captures.push((raw.to_owned(), decoded.to_owned())),
            Kind::Rest => {
                let (raws, decodeds): (Vec<_>, Vec<_>) = path[number..].iter().copied().unzip();
                captures.push((raws.join("/"), decodeds.join("/")));
                return Some(captures);
            }
        }
    }
    (kinds.len() == path.len()).then_some(captures)
}

proptest! {
    #![proptest_config(common::cases(4096))]

    #[test]
    fn the_router_agrees_with_the_naive_matcher(
        patterns in prop::collection::vec(kinds(), 0..24),
        paths in prop::collection::vec(prop::collection::vec(written(), 0..6), 1..16),
    ) {
        let mut router = Router::new();
        let mut known: Vec<Vec<Kind>> = Vec::new();
        for kinds in patterns {
            let pattern = Pattern::parse(&text_of(&kinds)).unwrap();
            let same = |other: &&Vec<Kind>| {
                other.len() == kinds.len()
                    && other.iter().zip(&kinds).all(|(one, two)| one.is_same(*two))
            };
            match known.iter().find(same) {
                Some(existing) => {
                    prop_assert!(router.get(&pattern).is_some());
                    let (existing, new) = (text_of(existing), text_of(&kinds));
                    prop_assert_eq!(
                        router.insert(pattern, known.len()),
                        Err(Ambiguous { existing, new })
                    );
                }
                None => {
                    prop_assert_eq!(router.get(&pattern), None);
                    prop_assert_eq!(router.insert(pattern, known.len()), Ok(known.len()));
                    known.push(kinds);
                }
            }
        }
        prop_assert_eq!(router.len(), known.len());
        let texts: Vec<_> = router.iter().map(|(pattern, _)| pattern.to_string()).collect();
        prop_assert_eq!(texts, known.iter().map(|kinds| text_of(kinds)).collect::<Vec<_>>());

        for path in paths {
            let raws: Vec<_> = path.iter().map(|(raw, _)| *raw).collect();
            let text = format!("api://{}", raws.join("/"));
            let parsed = PathRef::parse(&text).unwrap();
            let expected = known
                .iter()
                .enumerate()
                .filter_map(|(index, kinds)| Some((index, naive_match(kinds, &path)?)))
                .min_by_key(|(index, _)| {
                    known[*index].iter().map(|kind| kind.rank()).collect::<Vec<_>>()
                });
            let found = router.find(&parsed);
            let Some((index, captures)) = expected else {
                prop_assert!(found.is_none(), "{text} found {found:?}");
                continue;
            };
            let found = found.unwrap();
            prop_assert_eq!(found.index, index);
            prop_assert_eq!(*found.value, index);
            prop_assert_eq!(found.pattern.as_str(), text_of(&known[index]));
            prop_assert_eq!(found.captures.len(), found.pattern.capture_count());
            let cut: Vec<_> = (0..found.captures.len())
                .map(|number| {
                    let raw = found.captures.raw(number).unwrap();
                    assert_eq!(&text[found.captures.span(number).unwrap()], raw);
                    (raw.to_owned(), found.captures.get(number).unwrap().into_owned())
                })
                .collect();
            prop_assert_eq!(cut, captures);
        }
    }
}

fn router_of<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Router<String> {
    let mut router = Router::new();
    for text in patterns {
        let text = text.as_ref();
        router
            .insert(Pattern::parse(text).unwrap(), text.to_owned())
            .unwrap();
    }
    router
}

fn found<'r>(router: &'r Router<String>, text: &str) -> Option<&'r str> {
    router
        .find(&PathRef::parse(text).unwrap())
        .map(|found| found.value.as_str())
}

#[test]
fn literal_beats_capture_beats_rest() {
    let router = router_of(["{*rest}", "users/{id}", "users/me", "{any}/me"]);
    assert_eq!(found(&router, "api://users/me"), Some("users/me"));
    assert_eq!(found(&router, "api://users/42"), Some("users/{id}"));
    assert_eq!(found(&router, "api://posts/me"), Some("{any}/me"));
    assert_eq!(found(&router, "api://posts/42"), Some("{*rest}"));
    assert_eq!(found(&router, "api://users"), Some("{*rest}"));
}

#[test]
fn a_branch_that_fails_further_on_gives_way_to_the_next() {
    let router = router_of(["a/{x}/c", "{y}/b/d", "{*all}"]);
    let path = PathRef::parse("api://a/b/d").unwrap();
    let by_capture = router.find(&path).unwrap();
    assert_eq!(by_capture.value, "{y}/b/d");
    assert_eq!(by_capture.captures.iter().collect::<Vec<_>>(), ["a"]);
    assert_eq!(found(&router, "api://a/b/e"), Some("{*all}"));
}

#[test]
fn a_rest_takes_at_least_one_segment() {
    let router = router_of(["files/{*rest}"]);
    assert_eq!(found(&router, "api://files"), None);
    let path = PathRef::parse("api://files/a%2Fb/c?q=1").unwrap();
    let captures = router.find(&path).unwrap().captures;
    assert_eq!(captures.raw(0), Some("a%2Fb/c"));
    assert_eq!(captures.get(0).as_deref(), Some("a/b/c"));
    assert_eq!(format!("{captures:?}"), r#"["a/b/c"]"#);
}

#[test]
fn the_root_pattern_takes_the_root_alone() {
    let router = router_of([""]);
    assert_eq!(found(&router, "api://"), Some(""));
    assert_eq!(found(&router, "api://?x"), Some(""));
    assert_eq!(found(&router, "api://x"), None);
}

#[test]
fn an_escaped_literal_is_found_escaped_or_not() {
    let router = router_of(["caf%C3%A9", "a%2Fb", "a/b"]);
    assert_eq!(found(&router, "api://café"), Some("caf%C3%A9"));
    assert_eq!(found(&router, "api://c%61f%c3%a9"), Some("caf%C3%A9"));
    assert_eq!(found(&router, "api://a%2fb"), Some("a%2Fb"));
    assert_eq!(found(&router, "api://a/b"), Some("a/b"));
}

#[test]
fn an_ambiguous_pattern_leaves_the_router_as_it_was() {
    let mut router = router_of(["users/{id}"]);
    let refused = router.insert(Pattern::parse("users/{name}").unwrap(), String::new());
    let refused = refused.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the patterns `users/{id}` and `users/{name}` match the same paths, remove one"
    );
    assert_eq!(router.len(), 1);
    assert_eq!(found(&router, "api://users/1"), Some("users/{id}"));
}

#[test]
fn ten_thousand_literals_are_all_found() {
    let router = router_of((0..10_000).map(|number| format!("route{number}/{{id}}")));
    for number in 0..10_000 {
        let path = format!("api://route{number}/x");
        let path = PathRef::parse(&path).unwrap();
        assert_eq!(router.find(&path).unwrap().index, number);
    }
    assert_eq!(found(&router, "api://route10000/x"), None);
}

/// At each of the first 31 segments a capture stands beside the literal, and
/// every branch fails only at the last of 32 segments.
#[test]
fn an_adversarial_router_of_maximal_depth_stays_fast() {
    let router = router_of((0..31).map(|depth| {
        let mut pieces = ["a"; 32];
        pieces[depth] = "{x}";
        pieces[31] = "end";
        pieces.join("/")
    }));
    let text = format!("api://{}", ["a"; 32].join("/"));
    let path = PathRef::parse(&text).unwrap();
    let start = Instant::now();
    for _ in 0..1_000 {
        assert!(router.find(&path).is_none());
    }
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

/// Every mix of `a` and `{x}` over the first eight segments: 2^8 ways lead into a
/// chain of 23 literals and fail at its very end, and each node is seen once.
#[test]
fn an_adversarial_router_with_every_way_open_costs_its_size_at_most() {
    let patterns = (0..256_u32).map(|mix| {
        let mut pieces: Vec<_> = (0..8)
            .map(|bit| {
                if mix >> bit & 1 == 0 {
                    "a".to_owned()
                } else {
                    format!("{{x{bit}}}")
                }
            })
            .collect();
        pieces.extend((0..23).map(|_| "a".to_owned()));
        pieces.push("end".to_owned());
        pieces.join("/")
    });
    let router = router_of(patterns);
    let text = format!("api://{}", ["a"; 32].join("/"));
    let path = PathRef::parse(&text).unwrap();
    let start = Instant::now();
    for _ in 0..100 {
        assert!(router.find(&path).is_none());
    }
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}
