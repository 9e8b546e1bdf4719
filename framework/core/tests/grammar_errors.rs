//! Every error of the grammar, with the byte it points at.

use mycelia_core::{
    MAX_PATH_LEN, MAX_SEGMENTS, PathError, PathRef, Pattern, PatternError, check_name,
};

#[track_caller]
fn path_fails(text: &str, expected: PathError) {
    assert_eq!(PathRef::parse(text), Err(expected), "{text:?}");
}

#[track_caller]
fn pattern_fails(text: &str, expected: PatternError) {
    let error = Pattern::parse(text).expect_err(text);
    assert_eq!(error, expected, "{text:?}");
    assert!(error.at() <= text.len());
}

#[test]
fn a_path_falls_into_name_rest_and_query() {
    let path = PathRef::parse("parent/child-2.x://users/4 2?a=/?%zz").unwrap();
    assert_eq!(path.name(), "parent/child-2.x");
    assert_eq!(path.rest(), "users/4 2");
    assert_eq!(path.query(), Some("a=/?%zz"));
    assert_eq!(path.segments().collect::<Vec<_>>(), ["users", "4 2"]);
    assert_eq!(path.segment_count(), 2);
    assert!(!path.has_escapes());
}

#[test]
fn an_empty_rest_is_the_root() {
    for (text, query) in [
        ("api://", None),
        ("api://?", Some("")),
        ("api://?x", Some("x")),
    ] {
        let path = PathRef::parse(text).unwrap();
        assert_eq!((path.rest(), path.query()), ("", query));
        assert_eq!((path.segments().count(), path.segment_count()), (0, 0));
    }
}

#[test]
fn a_segment_may_hold_colons_and_any_letters() {
    let path = PathRef::parse("api://a:b/é/🦀/%F0%9F%A6%80").unwrap();
    assert_eq!(path.segments().nth(2), Some("🦀"));
    assert!(path.has_escapes());
}

#[test]
fn a_path_has_at_most_1024_bytes_and_32_segments() {
    let longest = format!("a://{}", "x".repeat(MAX_PATH_LEN - 4));
    assert!(PathRef::parse(&longest).is_ok());
    path_fails(&format!("{longest}x"), PathError::TooLong { len: 1025 });
    let too_long = vec![0xff; 2000];
    assert_eq!(
        PathRef::parse_bytes(&too_long),
        Err(PathError::TooLong { len: 2000 })
    );

    let deepest = format!("a://{}", ["x"; MAX_SEGMENTS].join("/"));
    assert_eq!(
        PathRef::parse(&deepest).unwrap().segment_count(),
        MAX_SEGMENTS
    );
    path_fails(&format!("{deepest}/x"), PathError::TooManySegments);
}

#[test]
fn a_path_without_a_scheme_is_refused() {
    for text in [
        "",
        "users/42",
        "api:users",
        "api:/users",
        "hello world",
        ":",
        "{}",
    ] {
        path_fails(text, PathError::NoScheme);
    }
}

#[test]
fn a_malformed_name_is_refused() {
    path_fails("://x", PathError::BadName { at: 0 });
    path_fails("/a://x", PathError::BadName { at: 0 });
    path_fails("a/://x", PathError::BadName { at: 2 });
    path_fails("a//b://x", PathError::BadName { at: 2 });
    path_fails("a b://x", PathError::BadName { at: 1 });
    path_fails("é://x", PathError::BadName { at: 0 });
    path_fails("a:b://x", PathError::BadName { at: 1 });
    path_fails("a?b://x", PathError::BadName { at: 1 });
    path_fails(
        &format!("{}://x", "n".repeat(65)),
        PathError::LongName { at: 0 },
    );
    assert!(PathRef::parse(&format!("{}://x", "n".repeat(64))).is_ok());
}

#[test]
fn a_name_alone_follows_the_same_rules() {
    assert_eq!(check_name("a/b.c-d_9"), Ok(()));
    assert_eq!(check_name(&"n".repeat(64)), Ok(()));
    assert_eq!(
        check_name(&"n".repeat(65)),
        Err(PathError::LongName { at: 0 })
    );
    let nested = |parts: usize| vec!["n".repeat(64); parts].join("/");
    assert_eq!(check_name(&nested(7)), Ok(()));
    assert_eq!(
        check_name(&format!("{}/{}", nested(2), "n".repeat(65))),
        Err(PathError::LongName { at: 130 })
    );
    assert_eq!(
        check_name(&nested(8)),
        Err(PathError::LongFullName { len: 519 })
    );
    assert_eq!(check_name(&nested(8)[..512]), Ok(()));
    // Any characters after a part that is too long: the first fault is told.
    assert_eq!(
        check_name(&format!("{}/a b", "n".repeat(65))),
        Err(PathError::LongName { at: 0 })
    );
    for (name, at) in [("", 0), ("a/", 2), ("a//b", 2), ("/a", 0), ("a://", 1)] {
        assert_eq!(check_name(name), Err(PathError::BadName { at }), "{name:?}");
    }
}

#[test]
fn an_empty_segment_is_refused() {
    path_fails("a:///", PathError::EmptySegment { at: 4 });
    path_fails("a:///x", PathError::EmptySegment { at: 4 });
    path_fails("a://x//y", PathError::EmptySegment { at: 6 });
    path_fails("a://x/", PathError::EmptySegment { at: 6 });
    path_fails("a://x/?q", PathError::EmptySegment { at: 6 });
}

#[test]
fn a_malformed_escape_is_refused() {
    path_fails("a://%", PathError::BadEscape { at: 4 });
    path_fails("a://x%4", PathError::BadEscape { at: 5 });
    path_fails("a://%4/1", PathError::BadEscape { at: 4 });
    path_fails("a://%g0", PathError::BadEscape { at: 4 });
    path_fails("a://%é", PathError::BadEscape { at: 4 });
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    path_fails("a://%FF", PathError::NotUtf8);
    path_fails("a://x/%C3", PathError::NotUtf8);
    path_fails("a://%C3/%A9", PathError::NotUtf8);
    path_fails("a://%C3é", PathError::NotUtf8);
    assert_eq!(PathRef::parse_bytes(b"a://\xc3"), Err(PathError::NotUtf8));
}

#[test]
fn a_forbidden_byte_is_refused_everywhere() {
    for bad in ["\0", "\n", "\x1f", "\x7f", "{", "}", "#"] {
        path_fails(&format!("a://x{bad}"), PathError::BadByte { at: 5 });
        path_fails(&format!("a://x?q{bad}"), PathError::BadByte { at: 7 });
    }
    assert!(PathRef::parse("a://%00%7B%23").is_ok());
}

#[test]
fn every_malformed_pattern_is_refused_at_its_byte() {
    use PatternError::*;
    pattern_fails(&"x".repeat(1025), TooLong { len: 1025 });
    pattern_fails("api://users", HasScheme { at: 3 });
    pattern_fails("users?x", HasQuery { at: 5 });
    pattern_fails("/", EmptySegment { at: 0 });
    pattern_fails("/users", EmptySegment { at: 0 });
    pattern_fails("users/", EmptySegment { at: 6 });
    pattern_fails("users//x", EmptySegment { at: 6 });
    pattern_fails("users/%4", BadEscape { at: 6 });
    pattern_fails("users/x%C3", NotUtf8 { at: 6 });
    pattern_fails("users/a#b", BadByte { at: 7 });
    pattern_fails("users/\n", BadByte { at: 6 });
    pattern_fails("users/a{b}", PartialCapture { at: 7 });
    pattern_fails("users/{b}a", PartialCapture { at: 6 });
    pattern_fails("users/{a}{b}", PartialCapture { at: 6 });
    pattern_fails("users/a}", PartialCapture { at: 7 });
    pattern_fails("users/{id", UnclosedCapture { at: 6 });
    pattern_fails("users/{a/b}", UnclosedCapture { at: 6 });
    for name in ["", "*", "1a", "a-b", "a b", "_", "é", "**a", "{a}", "a*"] {
        pattern_fails(&format!("é/{{{name}}}"), BadCaptureName { at: 3 });
    }
    pattern_fails("{a}/x/{a}", DuplicateCapture { at: 6 });
    pattern_fails("{a}/{*a}", DuplicateCapture { at: 4 });
    pattern_fails("x/{*a}/y", RestNotLast { at: 2 });
    pattern_fails("{*a}/", RestNotLast { at: 0 });
    pattern_fails(
        "{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{*i}",
        TooManyCaptures { at: 32 },
    );
    pattern_fails(&["x"; 33].join("/"), TooManySegments { at: 64 });
}

#[test]
fn a_pattern_at_its_limits_is_accepted() {
    let captures = Pattern::parse("{a}/{b}/{c}/{d}/{e}/{f}/{_g}/{*h1}").unwrap();
    assert_eq!(captures.capture_count(), 8);
    assert_eq!(captures.capture_names().nth(7), Some("h1"));
    assert_eq!(
        Pattern::parse(&["x"; 32].join("/"))
            .unwrap()
            .segments()
            .len(),
        32
    );
    assert!(Pattern::parse(&"x".repeat(1024)).is_ok());
    assert!(Pattern::parse("").unwrap().segments().is_empty());
}

#[test]
fn patterns_are_equal_when_their_segments_are() {
    let plain = Pattern::parse("a/{id}").unwrap();
    let escaped = Pattern::parse("%61/{id}").unwrap();
    assert_eq!(plain, escaped);
    assert_eq!(escaped.as_str(), "%61/{id}");
    assert_ne!(plain, Pattern::parse("a/{name}").unwrap());
    assert!(plain.same_shape(&Pattern::parse("a/{name}").unwrap()));
    assert!(!plain.same_shape(&Pattern::parse("a/{*id}").unwrap()));
    assert!(!plain.same_shape(&Pattern::parse("a/id").unwrap()));
    assert!(!plain.same_shape(&Pattern::parse("a").unwrap()));
}

#[test]
fn an_error_reads_as_one_lower_case_sentence_without_full_stop() {
    let paths = ["", "?://", "a:///", "a://%", "a://%FF", "a://#"].map(|text| {
        let error = PathRef::parse(text).unwrap_err();
        error.to_string()
    });
    let patterns = [
        "a://", "?", "/", "%", "%FF", "#", "a{b}", "{", "{}", "{a}/{a}", "{*a}/b",
    ]
    .map(|text| Pattern::parse(text).unwrap_err().to_string());
    for text in paths.iter().chain(&patterns) {
        assert!(text.starts_with(char::is_lowercase), "{text}");
        assert!(!text.ends_with('.'), "{text}");
    }
}
