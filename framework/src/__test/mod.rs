//! The seam for the crate `mycelia-test`: what the kit needs of the inside, and no more. Not for programs: it
//! changes with the kit, whatever the versions say.
//!
//! - A probe is mounted by [`mount_routes`], and reads its messages' captures by [`given`].
//! - A [`Tap`] sees every message, records it, and has it meet faults.
//! - A simulation decides as [`Chooser`], and starts systems by [`start_simulated`].

mod simulated;

use std::any::Any;
use std::sync::Arc;

pub use crate::base::sim::chooser::{Chooser, Job, Jobs, decide, enter, spend, thread};
pub use crate::base::sim::{Plant, Point};
pub use crate::words::tap::{Given, Outgoing, Passing, Planned, Tap};
pub use simulated::{Ground, ThreadMemory, report, simulated_clock, start_simulated};

use crate::base::clock::Clock;
use crate::base::user_code::{Contained, text_of};
use crate::route::RouteTable;
use crate::route::extract::Address;
use crate::route::subsystem::Subsystem;
use crate::send::tapped;
use crate::system::{Builder, MountOptions, System};
use crate::words::error::MountError;
use crate::words::tap::TapSlot;

/// Mounts a subsystem under `name` with routes of its own, not those of its type. `routes` gets the whole name.
///
/// # Errors
/// As [`System::mount`].
pub async fn mount_routes<S: Subsystem>(
    system: &System,
    options: MountOptions,
    name: Box<str>,
    routes: impl FnOnce(&str, &mut RouteTable<S>),
    factory: impl Fn() -> S + Send + 'static,
) -> Result<(), MountError> {
    let full_name = options.full_name(&name);
    let kind = system.new_kind(|table| routes(&full_name, table));
    let kind = kind.map_err(|error| error.of(&full_name))?;
    system
        .mount_kind(options.name(name), &kind, Contained::new(factory))
        .await
}

/// All captures of an address; reads none.
pub fn given(address: &Address<'_>) -> Vec<Given> {
    tapped::given(address)
}

/// Gives a system that is to be started a tap, in the place of any other.
pub fn with_tap(mut builder: Builder, tap: Arc<dyn Tap>) -> Builder {
    builder.tap = TapSlot::of(tap);
    builder
}

/// The tap of a running system; if it has none, it gets the one that `make` makes out of its seed.
pub fn tap(system: &System, make: impl FnOnce(u64) -> Arc<dyn Tap>) -> Arc<dyn Tap> {
    system.shared().tap.get_or_init(make).clone()
}

/// The clock of a system.
pub fn clock(system: &System) -> Clock {
    system.shared().clock.clone()
}

/// The text of a caught panic, which is dropped without harm.
pub fn panic_text(payload: Box<dyn Any + Send>) -> Box<str> {
    text_of(payload)
}
