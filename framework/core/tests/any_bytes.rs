//! The grammar meets anything at all: it answers, never panics, and what it
//! accepts survives being printed and parsed again.

mod common;

use mycelia_core::{MAX_SEGMENTS, PathRef, Pattern, Router, decode, encode};
use proptest::prelude::*;

/// Text of the bytes that the grammar treats specially, so that much of it parses.
fn path_like() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec!["a://", "a/b://", "://", "a", "a:/", ""]);
    let piece = prop::sample::select(vec![
        "/", "a", "é", "%", "%41", "%C3", "%A9", "%C3%A9", "%2F", "?", "#", "{", "}", "{a}",
        "{*b}", "://", "+", " ", "\n", "\u{7f}", "🦀",
    ]);
    (start, prop::collection::vec(piece, 0..12))
        .prop_map(|(start, pieces)| format!("{start}{}", pieces.concat()))
}

fn check_path(text: &str) -> Result<(), TestCaseError> {
    let Ok(path) = PathRef::parse(text) else {
        return Ok(());
    };
    let printed = path.to_string();
    prop_assert_eq!(&printed, text);
    prop_assert_eq!(PathRef::parse(&printed), Ok(path));

    let query = path
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    prop_assert_eq!(format!("{}://{}{query}", path.name(), path.rest()), text);
    let segments: Vec<_> = path.segments().collect();
    prop_assert_eq!(segments.join("/"), path.rest());
    prop_assert_eq!(segments.len(), path.segment_count());
    prop_assert!(segments.len() <= MAX_SEGMENTS);
    prop_assert_eq!(path.has_escapes(), path.rest().contains('%'));
    for segment in segments {
        prop_assert!(!segment.is_empty());
        let again = encode(&decode(segment)).into_owned();
        prop_assert_eq!(decode(&again), decode(segment));
    }
    Ok(())
}

fn check_pattern(text: &str) -> Result<(), TestCaseError> {
    match Pattern::parse(text) {
        Ok(pattern) => {
            prop_assert_eq!(pattern.as_str(), text);
            let again: Pattern = pattern.to_string().parse().unwrap();
            prop_assert!(again.same_shape(&pattern));
            prop_assert_eq!(again, pattern);
        }
        Err(error) => {
            prop_assert!(error.at() <= text.len());
            prop_assert!(!error.to_string().is_empty());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(common::cases(4096))]

    #[test]
    fn any_bytes_as_a_path_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(path) = PathRef::parse_bytes(&bytes) {
            prop_assert_eq!(path.as_str().as_bytes(), &bytes[..]);
        }
        let mut with_scheme = b"a://".to_vec();
        with_scheme.extend(&bytes);
        let _ = PathRef::parse_bytes(&with_scheme);
    }

    #[test]
    fn any_text_never_panics(text in any::<String>()) {
        check_path(&text)?;
        check_path(&format!("a://{text}"))?;
        check_pattern(&text)?;
        decode(&text);
    }

    #[test]
    fn a_path_printed_and_parsed_again_is_equal(text in path_like()) {
        check_path(&text)?;
    }

    #[test]
    fn a_pattern_printed_and_parsed_again_is_equal(text in path_like()) {
        check_pattern(&text)?;
        if let Some((_, rest)) = text.split_once("://") {
            check_pattern(rest)?;
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_itself(text in any::<String>()) {
        let encoded = encode(&text).into_owned();
        prop_assert_eq!(decode(&encoded), text);
    }

    #[test]
    fn encoded_text_is_one_segment_and_one_literal(text in "\\PC{1,40}|[\\x00-\\x7f]{1,40}") {
        let encoded = encode(&text).into_owned();
        let written = format!("a://{encoded}");
        let path = PathRef::parse(&written).unwrap();
        prop_assert_eq!(path.segments().collect::<Vec<_>>(), [&encoded]);

        let mut router = Router::new();
        router.insert(Pattern::parse(&encoded).unwrap(), ()).unwrap();
        prop_assert!(router.find(&path).is_some());
    }

    #[test]
    fn a_path_is_found_by_the_pattern_of_its_own_text(text in path_like()) {
        if let Ok(path) = PathRef::parse(&text)
            && let Ok(pattern) = Pattern::parse(path.rest())
        {
            let mut router = Router::new();
            router.insert(pattern, ()).unwrap();
            prop_assert!(router.find(&path).is_some());
        }
    }
}
