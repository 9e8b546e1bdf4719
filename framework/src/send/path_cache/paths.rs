//! The paths that a thread remembers: a bounded map from a path's text to where it leads.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use mycelia_core::{PathRef, Spans};
use rustc_hash::FxBuildHasher;

use crate::directory::Mounted;
use crate::route::extract::Capture;

/// The most paths that a thread remembers.
pub(super) const PATHS: usize = 2048;

/// How many paths find no room before all are forgotten. A sender that uses more paths than there is room for must not
/// pay for learning each.
const RELUCTANCE: usize = 16 * PATHS;

/// Where a path leads.
pub(crate) struct CachedRoute {
    pub(crate) mounted: Arc<Mounted>,
    /// The route's place in its table.
    pub(crate) route: u16,
    /// Where the query begins in the text.
    query: Option<u16>,
    /// The captures in the path.
    pub(crate) captured: Captured,
}

/// The captures of a path that is remembered.
pub(crate) enum Captured {
    /// Where they stand in the path.
    Texts(Spans),
    /// All are numbers, which are parsed already.
    Number(Capture<'static>),
    Numbers(Box<[Capture<'static>]>),
}

impl CachedRoute {
    /// The query in `text`, which equals the path.
    #[inline]
    pub(crate) fn query<'t>(&self, text: &'t str) -> Option<&'t str> {
        text.get(usize::from(self.query?)..)
    }
}

/// The paths that a thread remembers.
#[derive(Default)]
pub(super) struct Paths {
    routes: HashMap<Box<str>, Rc<CachedRoute>, FxBuildHasher>,
    /// How many paths have found no room since all were forgotten.
    refused: usize,
}

impl Paths {
    /// Where a path leads, if it was learnt.
    #[inline]
    pub(super) fn find(&self, text: &str) -> Option<&Rc<CachedRoute>> {
        let route = self.routes.get(text)?;
        (!route.mounted.is_gone()).then_some(route)
    }

    /// Learns where a path leads, if there is room.
    pub(super) fn learn(
        &mut self,
        path: &PathRef<'_>,
        mounted: &Arc<Mounted>,
        route: u16,
        spans: Spans,
    ) {
        let text = path.as_str();
        if self.routes.len() >= PATHS && !self.routes.contains_key(text) {
            self.refused += 1;
            if self.refused < RELUCTANCE {
                return;
            }
            self.refused = 0;
            self.routes.clear();
        }
        let cached = CachedRoute {
            mounted: mounted.clone(),
            route,
            query: path.query().map(|query| (text.len() - query.len()) as u16),
            captured: captured(spans, text),
        };
        self.routes.insert(text.into(), Rc::new(cached));
    }

    /// Forgets the paths to unmounted subsystems.
    pub(super) fn sweep(&mut self) {
        self.routes.retain(|_, route| !route.mounted.is_gone());
    }
}

/// Captures as numbers, if each is a number that is written like this in text: no sign, no leading zero.
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
