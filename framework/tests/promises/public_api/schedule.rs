//! Which message goes first, and how time is shared out.

use crate::common::watchdog;
use mycelia::prelude::{Context, Message, MountOptions, Subsystem, System, routes};
use mycelia::schedule::{
    Adaptive, Admission, Load, LoadBased, MissedTick, Overflow, Priority, RoundRobin, Slice,
    Strategy, Task, Weighted,
};
use mycelia::time::Clock;
use std::time::Duration;

/// A strategy of one's own.
struct Short;

impl Strategy for Short {
    fn slices(&mut self, loads: &[Load], slices: &mut [Slice]) {
        assert_eq!(loads.len(), slices.len());
        slices.fill(Slice::new(16).within(Slice::LONGEST));
    }
}

/// An admission of one's own.
struct Always;

impl Admission for Always {
    fn admit(&self, clock: &Clock) -> Result<(), Duration> {
        match clock.between_ns(clock.now(), clock.now()) {
            u64::MAX => Err(Duration::ZERO),
            _ => Ok(()),
        }
    }
}

#[derive(Message)]
struct Tick;

#[derive(Subsystem, Default)]
struct Clockwork {
    task: Option<Task>,
}

#[routes]
impl Clockwork {
    #[started]
    fn begin(&mut self, context: Context) {
        let hour = Duration::from_secs(3600);
        let task = context.every(hour, MissedTick::Skip, "tick", || Tick);
        self.task = Some(task.expect("it has a route"));
    }

    #[route("tick")]
    fn tick(&mut self, _: Tick) {
        let task = self.task.take().expect("it was begun");
        task.cancel();
        assert!(task.is_cancelled());
    }
}

#[mycelia::test]
async fn time_is_shared_out_by_strategies_and_mailboxes_have_policies() -> anyhow::Result<()> {
    let _watchdog = watchdog();
    let system = System::builder().strategy(Short).start().await?;
    let options = MountOptions::new().overflow(Overflow::DropOldest);
    let options = options.admission("tick", Always);
    system.mount_with(options, Clockwork::default).await?;
    let tick = system.route::<Tick>("clockwork://tick")?;
    tick.with_priority(Priority::High).ask(Tick).await?;
    system.set_strategy(RoundRobin::default());
    system.set_strategy(Weighted::default());
    system.set_strategy(LoadBased::default());
    system.set_strategy(Adaptive::default());
    system.stop().await?;
    Ok(())
}
