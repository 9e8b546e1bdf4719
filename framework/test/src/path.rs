//! Writes the path of a message from its pattern and captures.

use std::borrow::Cow;

use mycelia::__test::Given;
use mycelia_core::{Pattern, Segment, decode, encode};

/// Returns the decoded text of a capture.
pub(crate) fn text(given: &Given) -> Cow<'_, str> {
    match given {
        Given::Written(text) => decode(text),
        Given::Value(text) => Cow::Borrowed(text),
    }
}

/// Writes a path that leads to `pattern` with these captures. A missing capture is written as in the pattern.
pub(crate) fn write_path(
    name: &str,
    pattern: &Pattern,
    captures: &[Given],
    query: Option<&str>,
) -> String {
    let mut given = captures.iter();
    let segments: Vec<String> = (pattern.segments().iter())
        .map(|segment| match segment {
            Segment::Literal(literal) => encode(literal).into_owned(),
            Segment::Capture(name) | Segment::Rest(name) => match given.next() {
                Some(Given::Written(text)) => text.to_string(),
                Some(Given::Value(text)) if matches!(segment, Segment::Rest(_)) => {
                    let parts: Vec<Cow<'_, str>> = text.split('/').map(encode).collect();
                    parts.join("/")
                }
                Some(Given::Value(text)) => encode(text).into_owned(),
                None => format!("%7B{name}%7D"),
            },
        })
        .collect();
    let mut path = format!("{name}://{}", segments.join("/"));
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_so_that_it_means_the_same() {
        let pattern = Pattern::parse("a%20b/{id}/{*rest}").unwrap();
        let given = [Given::Value("x/y".into()), Given::Value("p/q r?".into())];
        let path = write_path("files", &pattern, &given, Some("k=1"));
        assert_eq!(path, "files://a b/x%2Fy/p/q r%3F?k=1");
        let given = [Given::Written("x%2Fy".into())];
        let path = write_path("files", &pattern, &given, None);
        assert_eq!(path, "files://a b/x%2Fy/%7Brest%7D");
        assert!(mycelia_core::PathRef::parse(&path).is_ok());
    }
}
