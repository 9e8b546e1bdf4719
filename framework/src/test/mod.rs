//! The test kit: what a user's tests and this crate's own proof are made with. Feature `test`.

mod simulation;

pub use simulation::{
    Decision, Halt, Outcome, Rng, Simulation, SimulationError, SimulationHandle, check_seeds, spend,
};

#[doc(hidden)]
pub use crate::fate::Plant;
