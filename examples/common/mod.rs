//! What the bigger examples share: figures, memory, chance, a verdict, an end by Ctrl-C.
#![allow(dead_code, reason = "every example uses a part of it")]

/// Prints a line of the report; a reader that has gone (`| head`) is no error.
macro_rules! say {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($line)*);
    }};
}

pub(crate) mod chance;
pub(crate) mod figures;
pub(crate) mod interrupt;
pub(crate) mod memory;
pub(crate) mod progress;
pub(crate) mod rude;
pub(crate) mod silence;
pub(crate) mod verdict;
