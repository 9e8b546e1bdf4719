//! The test kit of [`mycelia`], for the tests of programs and of mycelia itself.
//!
//! - [`Probe`] takes the place of a subsystem, answers by script, and keeps its messages for the test.
//! - [`Faults`] makes handlers panic, delays or drops messages, or lets them find no room.
//! - [`Recorder`] writes the accepted messages to a file, and [`Replay`] sends them again.
//! - [`Simulation`] runs a whole system on one thread. A seed decides what is otherwise decided by chance, the
//!   scheduler and the clock; [`check_seeds`] runs many seeds.
//!
//! It is for `[dev-dependencies]`: a program that is built without its tests has nothing of it on the path of its
//! messages.
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
