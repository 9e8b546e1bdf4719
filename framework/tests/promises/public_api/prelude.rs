//! The prelude.

use crate::common::watchdog;
use mycelia::prelude::*;

#[derive(Subsystem, Default)]
struct Desk {
    name: String,
}

#[derive(Message)]
#[message(reply = String)]
struct Ring;

#[derive(Message, Clone)]
struct Rung;

#[routes]
impl Desk {
    #[started]
    fn begin(&mut self, context: Context) {
        self.name = context.name().to_owned();
    }

    #[route("ring/{id}")]
    fn ring(
        &mut self,
        _: Ring,
        Path(id): Path<u64>,
        Query(query): Query,
        Sender(sender): Sender,
        Deadline(left): Deadline,
        State(text): State<String>,
    ) -> String {
        format!(
            "{text} {id} {query:?} {sender:?} {} {}",
            left.is_some(),
            self.name
        )
    }

    #[subscribe("bells://{_id}")]
    fn hear(&mut self, _: Rung) {
        self.name.push('!');
    }

    #[route("later")]
    fn later(&mut self, _: Ring, reply: Reply<Ring>) {
        reply.send("later".to_owned());
    }
}

fn has_routes<S: Routes>(_: fn(&mut RouteTable<S>)) {}

#[mycelia::test]
async fn the_prelude_is_enough_for_most_programs() -> anyhow::Result<()> {
    let _watchdog = watchdog();
    has_routes::<Desk>(Desk::routes);
    let system = System::builder().state("desk".to_owned()).start().await?;
    system
        .mount_with(MountOptions::new().capacity(8), Desk::default)
        .await?;
    let handle: Route<Ring> = system.route("desk://ring/7")?;
    let told: Result<(), Undelivered<Ring>> = handle.try_tell(Ring);
    told?;
    let asked: Result<String, AskError<Ring>> = system.ask("desk://ring/7?a=b", Ring).await;
    assert_eq!(asked?, r#"desk 7 Some("a=b") None true desk"#);
    assert_eq!(system.ask("desk://later", Ring).await?, "later");
    let refused: SendError = system
        .tell("nobody://x", Ring)
        .await
        .unwrap_err()
        .into_reason();
    assert!(!refused.is_full());
    system.stop().await?;
    Ok(())
}
