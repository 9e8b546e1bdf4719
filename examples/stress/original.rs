//! The original's figures: those of the JavaScript framework Mycelia Kernel 1.1.0, of 2025-12-05.
//!
//! Its stress test stands beside our bursts, its integration test beside our sequential run. What its
//! reports do not tell stands below the table.

use crate::plan::Mode;

/// The original's figure of that name in its own report; empty if it has none.
pub(crate) fn figure(mode: Mode, name: &str) -> &'static str {
    match (mode, name) {
        (Mode::Burst, "sent") => "1,000,000",
        (Mode::Burst, "handled") => "0",
        (Mode::Burst, "seconds") => "26.4",
        (Mode::Burst, "in pauses") => "10.0",
        (Mode::Burst, "per second") => "37,904",
        (Mode::Burst, "rss start") => "156.02 MB",
        (Mode::Burst, "rss end") => "23.14 MB",
        (Mode::Burst, "growth") => "+52.88 MB",
        (Mode::Burst, "growth per minute") => "+120.26 MB",
        (Mode::Burst, "capacity") => "5,000",
        (Mode::Burst, "created") => "504,999",
        (Mode::Burst, "reused") => "495,001",
        (Mode::Burst, "released") => "500,000",
        (Mode::Burst, "reuse rate") => "49.50 %",
        (Mode::Burst, "efficiency") => "101.01 %",
        (Mode::Burst, "average") => "37,901",
        (Mode::Burst, "lowest") => "36,529",
        (Mode::Burst, "highest") => "38,202",
        (Mode::Burst, "sigma") => "446",
        (Mode::Burst, "variability") => "1.20 %",
        (Mode::Sequential, "sent") => "10,000",
        (Mode::Sequential, "per second") => "89,000",
        (Mode::Sequential, "growth") => "+0.01 MB",
        (Mode::Sequential, "reuse rate") => "100.00 %",
        _ => "",
    }
}

/// What the original's figures hide, and what it does when it is measured end to end.
pub(crate) fn remarks(mode: Mode) -> &'static [&'static str] {
    match mode {
        Mode::Burst => &[
            "the original counted sends: no handler ran, and failures and drops were no errors;",
            "its windows were running averages, its memory figures two arbitrary instants of the heap.",
            "Where its handlers do run, bursts reach 54,000 per second, 150,000 at the very best.",
        ],
        Mode::Sequential => &[
            "in the original's integration test every send failed. Where its handlers do run, it",
            "makes 18,900 round trips per second on one thread, half of them within 26.6 µs; ours",
            "here go to another thread and back, which the kernel may have to wake, both times.",
        ],
        Mode::Window | Mode::Sustained => &[],
    }
}
