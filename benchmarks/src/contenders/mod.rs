//! The contenders, each in its own best idiom.
//!
//! Bounded mailboxes have room for [`ROOM`](crate::contender::ROOM) messages, as many as mycelia's default pool. Anyone who has
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
