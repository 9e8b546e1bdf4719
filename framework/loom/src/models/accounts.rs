//! Counts that one thread writes and others read at any time: the ledger, the latencies, the pool's counts.

use loom::thread;
use std::sync::Arc;
use std::time::Duration;

use super::{Slab, up_to, with_loads_up_to};
use crate::base::clock::Clock;
use crate::base::sync::{AtomicU32, Ordering};
use crate::books::latency::{self, Book, Sample};
use crate::envelope::mint;
use crate::envelope::pool::lane::Lane;
use crate::mailbox::{Limits, Mailbox};
use crate::words::ledger::{Ending, Endings, Tally};
use crate::words::overflow::Overflow;
use crate::words::priority::Priority;

fn enter(endings: &Endings, how: impl IntoIterator<Item = Ending>) -> u32 {
    let mut tally = Tally::default();
    for ending in how {
        tally.add(ending);
    }
    endings.enter(&mut tally)
}

#[test]
fn who_sees_that_messages_have_ended_sees_how() {
    with_loads_up_to(3, || {
        let endings = Arc::new(Endings::default());
        let host = {
            let endings = endings.clone();
            thread::spawn(move || {
                enter(&endings, [Ending::Handled]);
                enter(&endings, [Ending::Failed, Ending::Expired]);
            })
        };
        let finished = endings.finished();
        let ended = endings.read().ended();
        assert!(ended >= finished, "{finished} have ended, {ended} are told");
        host.join().unwrap();
        assert_eq!(endings.read().ended(), 3);
        assert_eq!(endings.finished(), 3);
    });
}

#[test]
fn who_reads_an_account_at_work_finds_no_more_ended_than_accepted() {
    with_loads_up_to(3, || {
        let mailbox = Arc::new(Mailbox::new(1, "mailbox".into(), Arc::default()));
        let limits = Limits {
            capacity: u32::MAX,
            overflow: Overflow::Wait,
        };
        mailbox.open(1, limits);
        let slab = Arc::new(Slab::new(2));
        let work = {
            let (mailbox, slab) = (mailbox.clone(), slab.clone());
            thread::spawn(move || {
                for envelope in 0..2 {
                    let token = mint(envelope);
                    let pushed = mailbox.push(&slab.links, token, Priority::Normal, u32::MAX);
                    assert!(pushed.is_ok());
                    assert!(mailbox.inbox.take(&slab.links, false).is_some());
                    enter(&mailbox.endings, [Ending::Handled]);
                }
            })
        };
        // At most one waits. If an ending counted before its message, this would be 2^40.
        assert!(mailbox.waiting() <= 2, "{} wait", mailbox.waiting());
        let ledger = mailbox.ledger();
        assert!(ledger.sent <= 2 && ledger.waiting <= 2, "{ledger:?}");
        work.join().unwrap();
        let ledger = mailbox.ledger();
        assert!(ledger.closes() && ledger.is_quiet(), "{ledger:?}");
    });
}

/// Makes a sample of 3 µs of waiting and 2 µs of service.
fn sample() -> (Clock, Sample) {
    let (clock, hand) = Clock::manual();
    let sent = clock.now();
    hand.advance(Duration::from_micros(3));
    let started = clock.now();
    hand.advance(Duration::from_micros(2));
    let sample = Sample {
        route: 0,
        sent,
        started,
        ended: clock.now(),
    };
    (clock, sample)
}

#[test]
fn a_message_that_counts_as_ended_has_been_recorded() {
    with_loads_up_to(1, || {
        let shared = Arc::new((Book::new(1), Endings::default()));
        let (clock, sample) = sample();
        let host = {
            let shared = shared.clone();
            thread::spawn(move || {
                let (book, endings) = &*shared;
                // The steps of `TurnBatch::enter`.
                book.enter(&clock, &[sample]);
                enter(endings, [Ending::Handled]);
            })
        };
        let (book, endings) = &*shared;
        let finished = endings.finished();
        if finished > 0 {
            let read = latency::read(std::iter::once((book, 0)));
            let recorded = read.map_or(0, |(latency, _)| latency.count);
            assert_eq!(recorded, finished, "what has ended is in the book");
        }
        host.join().unwrap();
    });
}

#[test]
fn a_snapshot_during_a_recording_finds_a_message_once_or_not_at_all() {
    with_loads_up_to(1, || {
        let book = Arc::new(Book::new(1));
        let (clock, sample) = sample();
        let host = {
            let book = book.clone();
            thread::spawn(move || {
                book.enter(&clock, &[sample]);
            })
        };
        let read = || latency::read(std::iter::once((&*book, 0)));
        let early = read().map_or(0, |(latency, _)| latency.count);
        assert!(early <= 1);
        host.join().unwrap();
        let read = read().unwrap().0;
        assert_eq!(read.count, 1);
        let near = |value: u64, of: u64| value.abs_diff(of) * 100 <= of;
        assert!(near(read.wait.max_ns, 3_000), "{read:?}");
        assert!(near(read.service.max_ns, 2_000), "{read:?}");
        assert!(near(read.total.max_ns, 5_000), "{read:?}");
    });
}

#[test]
fn a_snapshot_while_a_count_carries_finds_each_message_once() {
    up_to(1, || {
        let shared = Arc::new((Book::new(1), AtomicU32::new(0)));
        let (clock, sample) = sample();
        let host = {
            let shared = shared.clone();
            thread::spawn(move || {
                // In a model a count is full at the second.
                for entered in 1..=2 {
                    shared.0.enter(&clock, &[sample]);
                    shared.1.store(entered, Ordering::Release);
                }
            })
        };
        let entered = u64::from(shared.1.load(Ordering::Acquire));
        let read = || {
            latency::read(std::iter::once((&shared.0, 0))).map_or(0, |(latency, _)| latency.count)
        };
        let count = read();
        assert!(entered <= count && count <= 2, "{count} of {entered}");
        host.join().unwrap();
        assert_eq!(read(), 2);
    });
}

#[test]
fn envelopes_in_flight_are_never_counted_too_low() {
    with_loads_up_to(3, || {
        let slab = Slab::new(1);
        // As in the pool: the thread that takes an envelope counts it in its lane, and the thread that returns it
        // counts it in another.
        let shared = Arc::new((Lane::new(), Lane::new(), slab));
        shared
            .0
            .stack
            .push(&shared.2.links, shared.2.chain([mint(0)]));
        let work = {
            let shared = shared.clone();
            thread::spawn(move || {
                let (sender, host, slab) = &*shared;
                let token = sender.stack.pop(&slab.links).unwrap();
                sender.acquired.add(1);
                // This list replaces the mailbox; it has the same orderings.
                host.released.add(1);
                slab.push(&host.stack, token);
            })
        };
        let (sender, host, _) = &*shared;
        let released = host.released.get();
        let acquired = sender.acquired.get();
        assert!(
            acquired >= released,
            "{acquired} taken, {released} came back"
        );
        work.join().unwrap();
    });
}
