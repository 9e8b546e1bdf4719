//! The test kit: what a user's tests and this crate's own proof are made with. Feature `test`.
//!
//! - [`Probe`] takes the place of a subsystem, answers by script, and says what came.
//! - [`Faults`] has messages panic, dawdle, get lost, or find no room, on purpose.
//! - [`Recorder`] writes down what was sent, and [`Replay`] sends it again.

mod faults;
mod fit;
mod record;
mod replay;
mod arrivals;
mod expect;
mod arrival;
mod probe;

pub use crate::runtime::taps::{BadPattern, Fault, Faults, Injected, Taped};
pub use expect::{Expect, ExpectMany};
pub use probe::{Call, Probe, ProbeBuilder, Received};
pub use record::{RecordError, Recorder, Recording};
pub use replay::{Replay, ReplayError, Replayed};
mod simulation;

pub use simulation::{
    Decision, Halt, Outcome, Rng, Simulation, SimulationError, SimulationHandle, check_seeds, spend,
};

#[doc(hidden)]
pub use crate::base::sim::Plant;
