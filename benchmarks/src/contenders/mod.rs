//! The contenders, each in its own best idiom.
//!
//! Bounded mailboxes have room for [`ROOM`] messages, as many as mycelia's default pool. Anyone who has
//! both kinds takes the faster one, and the bounded one under overload.

pub mod actix;
pub mod actix_recorded;
pub mod crossbeam;
pub mod kameo;
pub mod mycelia;
pub mod ractor;
pub mod tokio_mpsc;
pub mod xtra;

pub use self::actix::Actix;
pub use self::actix_recorded::ActixRecorded;
pub use self::crossbeam::Crossbeam;
pub use self::kameo::Kameo;
pub use self::mycelia::{MyceliaHandle, MyceliaPath, MyceliaShared};
pub use self::ractor::Ractor;
pub use self::tokio_mpsc::TokioMpsc;
pub use self::xtra::Xtra;

/// Room in a bounded mailbox.
pub const ROOM: usize = 4096;

/// Yields after so many tells of a sender on the thread of an actor whose room is unlimited. Measured:
/// 64 to 256 are equally good for all; more costs cache misses, less costs switches.
pub const YIELDS_AFTER: u64 = 128;
