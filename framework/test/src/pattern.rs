//! Patterns of whole paths: a subsystem's name and a route pattern, with two short forms.

use std::fmt;

use mycelia_core::{PathError, PathRef, Pattern, PatternError, Router, check_name};

/// A pattern of whole paths.
#[derive(Debug, Clone)]
pub(crate) struct PathPattern {
    text: Box<str>,
    /// The subsystem's name; `None` for every subsystem.
    name: Option<Box<str>>,
    routes: Router<()>,
}

/// What is wrong with the pattern or the chance of a fault.
///
/// A pattern has the form `name://segment/segment`. The name is a subsystem's, or `*` for all. A segment is a
/// text, or `*` or `{id}` for any one segment. The last segment may also be `**` for any number of segments, even
/// none, or `{*rest}` for one or more.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BadPattern {
    /// The pattern has no `://`.
    NoScheme {
        /// The pattern.
        pattern: Box<str>,
    },
    /// The text before `://` is neither `*` nor a subsystem's name.
    BadName {
        /// The pattern.
        pattern: Box<str>,
        /// What is wrong.
        error: PathError,
    },
    /// The text after `://` is wrong. Positions are counted from there.
    BadSegments {
        /// The pattern.
        pattern: Box<str>,
        /// What is wrong.
        error: PatternError,
    },
    /// A chance is not a number from 0 to 1.
    BadChance {
        /// The number.
        chance: f64,
    },
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadPattern::NoScheme { pattern } => {
                write!(f, "`{pattern}` holds no `://`; write `name://…` or `*://…`")
            }
            BadPattern::BadName { pattern, error } => write!(f, "`{pattern}`: {error}"),
            BadPattern::BadSegments { pattern, error } => {
                write!(f, "`{pattern}`, after `://`: {error}")
            }
            BadPattern::BadChance { chance } => {
                write!(f, "the chance {chance} is not a number from 0 to 1")
            }
        }
    }
}

impl std::error::Error for BadPattern {}

impl PathPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, BadPattern> {
        let pattern = || text.into();
        let Some((name, rest)) = text.split_once("://") else {
            return Err(BadPattern::NoScheme { pattern: pattern() });
        };
        let name = match name {
            "*" => None,
            name => {
                check_name(name).map_err(|error| BadPattern::BadName {
                    pattern: pattern(),
                    error,
                })?;
                Some(name.into())
            }
        };
        let routes = routes(rest).map_err(|error| BadPattern::BadSegments {
            pattern: pattern(),
            error,
        })?;
        Ok(PathPattern {
            text: pattern(),
            name,
            routes,
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        let Ok(path) = PathRef::parse(path) else {
            return false;
        };
        let is_name = self.name.as_deref().is_none_or(|name| name == path.name());
        is_name && self.routes.find(&path).is_some()
    }
}

/// Returns the route patterns that a pattern with short forms means.
fn routes(text: &str) -> Result<Router<()>, PatternError> {
    let mut routes = Router::new();
    let enter = |routes: &mut Router<()>, text: &str| {
        // There are at most two, of different lengths, so they are never ambiguous.
        let _ = routes.insert(Pattern::parse(text)?, ());
        Ok(())
    };
    let mut pieces: Vec<String> = Vec::new();
    let mut at = 0;
    for (number, piece) in text.split('/').enumerate() {
        match piece {
            "**" if at + piece.len() < text.len() => return Err(PatternError::RestNotLast { at }),
            "**" => {
                enter(&mut routes, &pieces.join("/"))?;
                pieces.push("{*__rest}".into());
            }
            "*" => pieces.push(format!("{{__{number}}}")),
            piece => pieces.push(piece.into()),
        }
        at += piece.len() + 1;
    }
    enter(&mut routes, &pieces.join("/"))?;
    Ok(routes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn a_pattern_means_what_it_reads_as() {
        for (pattern, path, is_meant) in [
            ("orders://**", "orders://", true),
            ("orders://**", "orders://a/b/c?x=1", true),
            ("orders://**", "billing://a", false),
            ("*://**", "parent/child://a", true),
            ("*://jobs/*", "any://jobs/7", true),
            ("*://jobs/*", "any://jobs/7/8", false),
            ("orders://jobs/{id}", "orders://jobs/7", true),
            ("orders://jobs/{*rest}", "orders://jobs", false),
            ("orders://jobs/**", "orders://jobs", true),
            ("orders://jobs/**", "orders://jobs/7/8", true),
            ("orders://jobs/7", "orders://jobs/%37", true),
            ("orders://", "orders://", true),
            ("orders://", "orders://x", false),
        ] {
            assert_eq!(matches(pattern, path), is_meant, "{pattern} {path}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (pattern, text) in [
            (
                "orders",
                "`orders` holds no `://`; write `name://…` or `*://…`",
            ),
            (
                "a://**/b",
                "`a://**/b`, after `://`: the rest capture at byte 0 takes all that is left, make it the last segment",
            ),
            (
                "a://x//y",
                "`a://x//y`, after `://`: the segment at byte 2 is empty, remove a `/`",
            ),
        ] {
            let error = PathPattern::parse(pattern).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
        assert!(matches!(
            PathPattern::parse("two words://x"),
            Err(BadPattern::BadName { .. })
        ));
    }
}
