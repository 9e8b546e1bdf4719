//! What a handler can take.

use crate::common::watchdog;
use mycelia::error::{CaptureError, MountError};
use mycelia::extract::{
    Address, AsCapture, Capture, Captures, Deadline, Delivery, Extract, Extractor, Path, Query,
    Reply, Sender, State, States,
};
use mycelia::prelude::{Message, Subsystem, System, routes};

/// An extractor of one's own: a capture, and what the receiver knows.
struct Visitor(String);

impl Extractor for Visitor {
    const CAPTURES: usize = 1;
    type Packed = String;

    fn pack(address: &mut Address<'_>) -> Result<String, CaptureError> {
        let _: Option<&str> = address.query();
        address.capture()
    }

    fn unpack(packed: String, delivery: &Delivery<'_>) -> Self {
        let greeting = delivery.state::<&'static str>();
        Visitor(format!("{} {packed}", greeting.as_deref().unwrap_or(&"")))
    }

    fn check(states: &States) -> Result<(), MountError> {
        assert!(states.get::<&'static str>().is_some());
        Ok(())
    }
}

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem, Default)]
struct Hall;

#[routes]
impl Hall {
    #[route("{name}")]
    fn greet(&mut self, _: Greet, Visitor(text): Visitor, reply: Reply<Greet>) {
        reply.send(text);
    }
}

fn together<E: Extract>() {}
fn first<C: Captures>(captures: C) -> String {
    captures.with(|captures| format!("{:?}", captures[0]))
}

#[mycelia::test]
async fn handlers_take_extractors_of_their_own_and_handles_take_captures() -> anyhow::Result<()> {
    let _watchdog = watchdog();
    together::<(Path<u64>, Query, Sender, Deadline, State<u64>, Visitor)>();
    assert_eq!(7_u64.as_capture(), Capture::Unsigned(7));
    assert_eq!(first(-7_i64), format!("{:?}", Capture::Signed(-7)));
    let system = System::builder().state("hello,").start().await?;
    system.mount(Hall::default).await?;
    assert_eq!(system.ask("hall://you", Greet).await?, "hello, you");
    system.stop().await?;
    Ok(())
}
