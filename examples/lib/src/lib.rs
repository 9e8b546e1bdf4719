//! What the bigger examples share: how such a program begins and ends, and how it tells what it found.
//!
//! A program parses its [options](options::CommandLine), runs, and ends with [`verdict::conclude`]: what had to
//! hold, whether it did, and the exit status.
//!
//! - [`program`]: the frame of such a program, its exit status, a thread with a clock, a system's stop
//! - [`options`]: what can't be run
//! - [`verdict`], [`report`], [`figures`]: what must hold, tables, numbers as people read them
//! - [`progress`], [`interrupt`]: a bar, and Ctrl-C
//! - [`memory`], [`heap`]: what the process occupies, and what it allocates
//! - [`chance`], [`rude`], [`silence`]: numbers by a seed, rude ways with a future, panics that are provoked

/// Prints a line of the report; a reader that has gone (`| head`) is no error.
#[macro_export]
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

pub mod chance;
pub mod heap;
pub mod interrupt;
pub mod memory;
pub mod rude;
pub mod silence;

pub mod figures;
pub mod options;
pub mod progress;
pub mod report;
pub mod verdict;

pub mod program;
