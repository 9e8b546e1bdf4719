//! A snapshot in Prometheus's text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};

use mycelia::observe::{Buckets, KindRouteSnapshot, Ledger, PoolStats, Snapshot};

/// The content type of [`prometheus()`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes a snapshot as metrics, by Prometheus's conventions: counters end in `_total`, times are in seconds,
/// latencies are histograms. The help text of each metric says what it counts.
///
/// # Examples
/// See the [crate](crate).
pub fn prometheus(snapshot: &Snapshot) -> String {
    let mut text = Text {
        out: String::new(),
        system: &snapshot.system,
    };
    text.messages(&snapshot.total);
    text.counter(
        "mycelia_dead_letters_total",
        "Messages that were accepted and not handled, and whose asker was not told.",
        snapshot.dead_letters,
    );
    text.pool(&snapshot.pool);
    text.kinds(snapshot);
    type Which = fn(&KindRouteSnapshot) -> Option<&Buckets>;
    let histograms: [(&str, &str, Which); 3] = [
        (
            "mycelia_message_wait_seconds",
            "From sent until the handler began.",
            |route| route.buckets.as_ref().map(|all| &all.wait),
        ),
        (
            "mycelia_message_service_seconds",
            "From the handler's beginning to its end.",
            |route| route.buckets.as_ref().map(|all| &all.service),
        ),
        (
            "mycelia_message_duration_seconds",
            "From sent to the handler's end.",
            |route| route.buckets.as_ref().map(|all| &all.total),
        ),
    ];
    for (name, help, which) in histograms {
        text.head(name, "histogram", help);
        for kind in &snapshot.kinds {
            for route in &kind.routes {
                if let Some(buckets) = which(route) {
                    text.histogram(name, kind.type_name, &route.pattern, buckets);
                }
            }
        }
    }
    text.out
}

struct Text<'s> {
    out: String,
    system: &'s str,
}

impl Text<'_> {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn write(&mut self, what: fmt::Arguments<'_>) {
        // A `String` takes all that is written to it.
        let _ = self.out.write_fmt(what);
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let system = Label(self.system);
        self.write(format_args!("{name}{{system=\"{system}\""));
        for (label, text) in labels {
            self.write(format_args!(",{label}=\"{}\"", Label(text)));
        }
        self.write(format_args!("}} {value}\n"));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.line(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        self.line(name, &[], value);
    }

    fn messages(&mut self, ledger: &Ledger) {
        self.counter(
            "mycelia_messages_sent_total",
            "Messages that were accepted, by subsystems that have been unmounted too.",
            ledger.sent,
        );
        let name = "mycelia_messages_ended_total";
        self.head(name, "counter", "Messages that have ended, by how.");
        for (outcome, count) in [
            ("handled", ledger.handled),
            ("failed", ledger.failed),
            ("dropped", ledger.dropped),
            ("expired", ledger.expired),
            ("undeliverable", ledger.undeliverable),
        ] {
            self.line(name, &[("outcome", outcome)], count);
        }
        self.gauge(
            "mycelia_messages_waiting",
            "Messages that were accepted and have not ended.",
            ledger.waiting,
        );
    }

    fn pool(&mut self, pool: &PoolStats) {
        for (name, help, value) in [
            ("capacity", "Envelopes that there may be.", pool.capacity),
            ("created", "Envelopes that there are.", pool.created),
            ("in_flight", "Envelopes that are in use.", pool.in_flight),
            ("high_water", "The most that were in use.", pool.high_water),
        ] {
            self.gauge(&format!("mycelia_pool_{name}_envelopes"), help, value);
        }
        for (name, help, value) in [
            ("reused", "Envelopes that were taken again.", pool.reused),
            ("boxed", "Messages too large for an envelope.", pool.boxed),
            ("refused", "Sends that were refused.", pool.refused),
        ] {
            self.counter(&format!("mycelia_pool_{name}_total"), help, value);
        }
    }

    /// What is mounted now, by kind.
    fn kinds(&mut self, snapshot: &Snapshot) {
        #[derive(Default)]
        struct Mounted {
            subsystems: u64,
            closed: u64,
            waiting: u64,
            restarts: u64,
            spawned: u64,
        }
        let mut kinds: BTreeMap<&str, Mounted> = BTreeMap::new();
        for one in &snapshot.subsystems {
            let kind = kinds.entry(one.type_name).or_default();
            kind.subsystems += 1;
            kind.closed += u64::from(one.is_closed);
            kind.waiting += one.ledger.waiting;
            kind.restarts += u64::from(one.restarts);
            kind.spawned += u64::from(one.spawned);
        }
        type Which = fn(&Mounted) -> u64;
        let gauges: [(&str, &str, Which); 5] = [
            ("mycelia_subsystems", "Mounted subsystems.", |all| {
                all.subsystems
            }),
            (
                "mycelia_subsystems_closed",
                "Mounted subsystems that take no messages any more.",
                |all| all.closed,
            ),
            (
                "mycelia_subsystems_waiting_messages",
                "Messages that wait at mounted subsystems.",
                |all| all.waiting,
            ),
            (
                "mycelia_subsystems_restarts",
                "Restarts of the subsystems that are mounted now.",
                |all| all.restarts,
            ),
            (
                "mycelia_subsystems_spawned_futures",
                "Futures that mounted subsystems have beside their mailboxes.",
                |all| all.spawned,
            ),
        ];
        for (name, help, which) in gauges {
            self.head(name, "gauge", help);
            for (kind, mounted) in &kinds {
                self.line(name, &[("kind", kind)], which(mounted));
            }
        }
    }

    fn histogram(&mut self, name: &str, kind: &str, route: &str, buckets: &Buckets) {
        let labels = [("kind", kind), ("route", route)];
        let bucket = format!("{name}_bucket");
        for one in &buckets.buckets {
            let bound = seconds(one.at_most_ns).to_string();
            let [kind, route] = labels;
            self.line(&bucket, &[kind, route, ("le", &bound)], one.count);
        }
        let [kind, route] = labels;
        self.line(&bucket, &[kind, route, ("le", "+Inf")], buckets.count);
        self.line(&format!("{name}_sum"), &labels, seconds(buckets.sum_ns));
        self.line(&format!("{name}_count"), &labels, buckets.count);
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// A label's value, with what would end it escaped.
struct Label<'t>(&'t str);

impl Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_ended_by_nothing_in_it() {
        let label = Label("a\\b\"c\nd").to_string();
        assert_eq!(label, "a\\\\b\\\"c\\nd");
    }
}
