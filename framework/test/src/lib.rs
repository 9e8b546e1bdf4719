//! The test kit of [`mycelia`]: what the tests of a program are made with, and mycelia's own proof.
//!
//! - [`Probe`] takes the place of a subsystem, answers by script, and says what came.
//! - [`Faults`] has messages panic, dawdle, get lost, or find no room, on purpose.
//! - [`Recorder`] writes down what was sent, and [`Replay`] sends it again.
//! - [`Simulation`] runs a whole system on one thread, where a seed decides what chance, the scheduler and the
//!   clock decide elsewhere; [`check_seeds`] runs many.
//!
//! It is for `[dev-dependencies]`: a program that is built without its tests has none of it in its messages' path.
//!
//! # Examples
//! ```
//! use mycelia::prelude::*;
//! use mycelia_test::{Faults, Probe, BuilderExt};
//!
//! #[derive(Message)]
//! #[message(reply = String)]
//! struct Charge(u64);
//!
//! # #[mycelia::main]
//! # async fn main() -> anyhow::Result<()> {
//! // In a project: #[mycelia::test]
//! let faults = Faults::with_seed(7);
//! let system = System::builder().faults(&faults).start().await?;
//! let billing = Probe::new("billing")
//!     .replies::<Charge>("charge/{id}", "paid".to_owned())
//!     .mount(&system)
//!     .await?;
//!
//! // The code under test sends, and a fault hits what comes next.
//! assert_eq!(system.ask("billing://charge/7", Charge(300)).await?, "paid");
//! faults.panic("billing://**", 1.0)?;
//! assert!(system.ask("billing://charge/8", Charge(500)).await.is_err());
//!
//! assert_eq!(billing.expect::<Charge>().at("charge/7").await.0, 300);
//! # system.stop().await?;
//! # Ok(()) }
//! ```

mod sync;
mod path;
mod pattern;
mod faults;
mod fit;
mod tape;
mod tap;
mod ext;
mod record;
mod replay;
mod probe;
mod simulation;

pub use ext::{BuilderExt, SystemExt};
pub use faults::{Fault, Faults, Injected};
pub use pattern::BadPattern;
pub use probe::{Call, Expect, ExpectMany, Probe, ProbeBuilder, Received};
pub use record::{RecordError, Recorder, Recording};
pub use replay::{Replay, ReplayError, Replayed};
pub use simulation::{
    Decision, Halt, Outcome, Rng, Simulation, SimulationError, SimulationHandle, check_seeds, spend,
};
pub use tape::Taped;

#[doc(hidden)]
pub use mycelia::__test::Plant;
