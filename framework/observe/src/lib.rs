//! What a [mycelia](https://docs.rs/mycelia) system says of itself, for metrics systems.
//!
//! [`prometheus()`] writes a [`Snapshot`] in Prometheus's text format; [`serve`] answers `GET /metrics` with the
//! latest. Nothing is counted twice and nothing is estimated: the figures are those of the system's own books, read
//! when they are asked for, and a message pays nothing for them. The number of series is bounded by the program:
//! there is one set for each kind of subsystem (Rust type) and route, however many subsystems are mounted.
//!
//! ```
//! use mycelia::prelude::*;
//!
//! #[derive(Message)]
//! struct Ping;
//!
//! #[derive(Subsystem, Default)]
//! struct Api;
//!
//! #[routes]
//! impl Api {
//!     #[route("ping")]
//!     fn ping(&mut self, _: Ping) {}
//! }
//!
//! #[mycelia::main]
//! async fn main() -> anyhow::Result<()> {
//!     let system = System::builder().start().await?;
//!     system.mount(Api::default).await?;
//!     let server = mycelia_observe::serve(&system, "127.0.0.1:0").await?;
//!     println!("curl http://{}/metrics", server.address());
//!
//!     system.ask("api://ping", Ping).await?;
//!     let text = mycelia_observe::prometheus(&system.snapshot());
//!     assert!(text.contains(r#"mycelia_messages_ended_total{system="mycelia",outcome="handled"} 1"#));
//!     server.stop().await;
//!     system.stop().await?;
//!     Ok(())
//! }
//! ```
//!
//! [`Snapshot`]: mycelia::observe::Snapshot

mod text;
mod server;

pub use server::{Server, serve};
pub use text::{CONTENT_TYPE, prometheus};
