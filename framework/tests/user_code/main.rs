//! Promise 5, of all user code: each site where the framework calls code of the user's × each way in which that
//! code can misbehave × each place where it can run. After each: the message ended once, the books close, the right
//! subsystem failed under its policy and no other, the keepers live, every value was dropped once, the stop returns.

#[path = "../common/mod.rs"]
mod common;

mod check;
mod ends;
mod extractors;
mod kept;
mod own_wakers;
mod plays;
mod senders;
mod stage;
mod subjects;
mod table;
mod tasks;
mod wakers;
mod world;

use std::collections::BTreeSet;
use std::sync::{Mutex, Once, PoisonError};

use table::{Act, KEEPERS, OUTSIDE, POLLERS, Place, SENDERS, SITES, Site};

use crate::common::ON_PURPOSE;
use crate::world::{Bomb, Token};

/// Where each site can be reached from.
fn places(site: Site) -> &'static [Place] {
    use Site as S;
    match site {
        S::SyncHandler
        | S::HandlerAndValue
        | S::HandlerLaterAndValue
        | S::BlockingHandlerAndValue
        | S::ErrorDisplayAndDrop
        | S::ExtractorUnpackAndMessage
        | S::ParseErrorDisplay
        | S::HandlerBeforeItsFirstAwait
        | S::HandlerAfterItsFirstAwait
        | S::BlockingHandler
        | S::PayloadDrop
        | S::PayloadDropLater
        | S::PayloadDropBlocking
        | S::ErrorDisplay
        | S::ErrorInto
        | S::ErrorDrop
        | S::ParseAPath
        | S::ParseAValue
        | S::ParseAResolvedPath
        | S::AsPathCall
        | S::CapturesCall
        | S::AsCaptureCall
        | S::AdmitCall
        | S::ExtractorPack
        | S::ExtractorUnpack
        | S::PackedClone
        | S::ReplyOfATell
        | S::MessageEvicted
        | S::MessageTurnedAway => SENDERS,
        S::WakeAnAsker
        | S::WakeASender
        | S::CloneOfAnAsker
        | S::CloneOfASender
        | S::DropOfAnAsker
        | S::DropOfASender
        | S::MessageExpired => POLLERS,
        S::StrategySlices
        | S::StrategyAndItsDrop
        | S::StrategyName
        | S::StrategyDropWhenReplaced
        | S::StrategyDropAtStop
        | S::FactoryDropAtRefusal => KEEPERS,
        _ => OUTSIDE,
    }
}

/// The combinations that make no sense: the system is gone when its state is dropped, and can't be called.
fn is_left_out(site: Site, act: Act) -> bool {
    site == Site::StateDrop && !act.panics() && act != Act::Blocks
}

/// Panics of the framework's own, of which there must be none.
static OWN_PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the panics that are provoked out of the output, and notes those of the framework's own.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let payload = panic.payload();
            let text = panic.payload_as_str().unwrap_or_default();
            if text.contains(ON_PURPOSE) || payload.is::<Bomb>() || payload.is::<Token>() {
                return;
            }
            if let Some(place) = panic.location()
                && place.file().contains("framework/src")
            {
                let mut own = OWN_PANICS.lock().unwrap_or_else(PoisonError::into_inner);
                own.push(format!("{place}: {text}"));
            }
            before(panic);
        }));
    });
}

/// Runs all combinations of the sites of a row; returns how many they are.
fn walk(row: &str) -> u32 {
    quiet_panics();
    // For one who looks for the cause of a failure: a part of the combination's name.
    let only = std::env::var("ONLY").ok();
    let (mut ran, mut failed) = (0, Vec::new());
    for (site, _) in SITES.iter().filter(|(_, of)| *of == row) {
        for act in Act::ALL {
            for place in places(*site) {
                if is_left_out(*site, act) {
                    continue;
                }
                let name = format!("{site:?} × {act:?} × {place:?}");
                if only
                    .as_ref()
                    .is_some_and(|only| !name.contains(only.as_str()))
                {
                    continue;
                }
                ran += 1;
                if let Err(wrong) = stage::run(*site, act, *place) {
                    println!("FAILED {name}: {wrong}");
                    failed.push(format!("{name}: {wrong}"));
                }
            }
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {ran} combinations failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    let own = OWN_PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(own.is_empty(), "panics of the framework's own: {own:#?}");
    ran
}

/// The rows of the framework's own table.
fn rows() -> BTreeSet<&'static str> {
    let source = include_str!("../../src/base/user_code.rs");
    let rows = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "));
    rows.filter_map(|row| row.split(" | ").next())
        .filter(|row| *row != "point")
        .collect()
}

#[test]
fn every_row_of_the_table_has_its_sites_and_every_site_its_row() {
    let walked: BTreeSet<_> = SITES.iter().map(|(_, row)| *row).collect();
    assert_eq!(walked, rows());
}

/// Declares a test for each row of the table, which runs all its combinations, and says how many they are.
macro_rules! rows {
    ($($name:ident: $row:literal, $combinations:literal;)*) => {
        $(#[test]
        fn $name() {
            let ran = walk($row);
            if std::env::var_os("ONLY").is_none() {
                assert_eq!(ran, $combinations, "combinations");
            }
        })*

        #[test]
        fn the_count_of_combinations_is_as_stated() {
            assert_eq!(0 $(+ $combinations)*, COMBINATIONS);
        }
    };
}

/// How many combinations there are: site × misbehaviour × place.
const COMBINATIONS: u32 = 5_262;

rows! {
    handlers: "handler, async handler", 550;
    blocking_handlers: "blocking handler", 220;
    hooks: "hook: started, restarting, stopped", 242;
    factories: "factory", 66;
    drops_of_values: "drop of a subsystem's value", 66;
    drops_of_futures: "drop of a handler's future", 22;
    drops_of_messages: "drop of a message that no handler took", 440;
    drops_of_replies: "drop of a reply that no asker took", 176;
    drops_of_payloads: "drop of a panic's payload", 330;
    errors: "`Display` and `From` of a handler's error", 462;
    parsers: "`FromStr` of a capture", 440;
    addresses: "`AsPath`, `Captures` of the sender's own types", 330;
    admissions: "`Admission::admit`", 110;
    wake_ups: "waker of a sender or an asker: wake", 176;
    clones_and_drops_of_wakers: "waker: clone and drop", 352;
    streams_and_timers: "stream, closure of a timer: call and drop", 220;
    messages_of_tasks: "drop of a message that a timer or a stream did not send", 88;
    extractors_of_handlers: "call, unpacking, drop of an extractor's value", 462;
    code_of_a_mount: "`Routes::routes`, `Extractor::check`; clone of a factory of replicas", 66;
    strategies: "strategy", 66;
    what_runs_before_a_stop: "`before_stop` future: call, poll, drop", 88;
    wakers_of_those_who_mount_or_watch: "waker of a task that mounts, unmounts, stops or watches: wake, drop", 176;
    drops_of_what_is_kept: "drop of a factory, a handler's closure, a strategy or a shared state", 114;
}
