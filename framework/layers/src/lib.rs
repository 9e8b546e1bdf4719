//! Layers on the handles of [`mycelia`]: what stands between a sender and a route.
//!
//! | layer | what it does |
//! |---|---|
//! | [`RateLimit`] | lets so many messages pass in a time, and refuses the rest |
//! | [`CircuitBreaker`] | refuses at once while the receiver keeps failing, and then tries with one message |
//! | [`Retry`] | sends again what was certainly not handled, after a pause that grows |
//! | [`Timeout`] | ends the wait for room and reply |
//!
//! [`RouteExt::layer`] puts them before a [`Route`](mycelia::Route). The result, a [`Layered`] handle, has the verbs
//! of one. A message passes the layers in the order in which they were given. They hold for this handle and its clones.
//! For a limit that holds for all senders, give the [`RateLimit`] to the mount, with
//! [`MountOptions::admission`](mycelia::MountOptions::admission).
//!
//! ```
//! use mycelia::prelude::*;
//! use mycelia_layers::{CircuitBreaker, RateLimit, Retry, RouteExt, Timeout};
//! use std::time::Duration;
//!
//! #[derive(Message)]
//! #[message(reply = u64)]
//! struct Square(u64);
//!
//! #[derive(Subsystem, Default)]
//! struct Math;
//!
//! #[routes]
//! impl Math {
//!     #[route("square")]
//!     fn square(&mut self, Square(n): Square) -> u64 {
//!         n * n
//!     }
//! }
//!
//! # #[mycelia::main]
//! # async fn main() -> anyhow::Result<()> {
//! let system = System::builder().start().await?;
//! system.mount(Math::default).await?;
//! let square = system
//!     .route::<Square>("math://square")?
//!     .layer(Timeout::new(Duration::from_secs(2)))
//!     .layer(Retry::new())
//!     .layer(CircuitBreaker::new())
//!     .layer(RateLimit::per_second(100));
//! assert_eq!(square.ask(Square(7)).await?, 49);
//! # system.stop().await?;
//! # Ok(()) }
//! ```
//!
//! What a layer refuses is an ordinary error: [`SendError::Refused`](mycelia::error::SendError::Refused) hands the
//! message back, names the layer, and says after what time to try again. [`Layered::counts`] has how many there were.
//!
//! A layer of your own is a type with one method: see [`Layer`].
//!
//! Rates and breakers go by the clock of the handle's system, a manual one too. The pause of a retry is a timer of
//! tokio, as the pause before a restart is.

mod layer;
mod layered;
mod rate;
mod breaker;
mod timeout;
mod retry;

pub use breaker::{CircuitBreaker, CircuitState};
pub use layer::{Layer, Next, Outcome, Verb};
pub use layered::{LayerCounts, Layered, LayeredAt, RouteExt};
pub use rate::RateLimit;
pub use retry::{Retry, RetryIf};
pub use timeout::Timeout;
