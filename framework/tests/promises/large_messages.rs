//! A message and a reply of the largest size that compiles fit on the stack, also in a debug build and in
//! a chain of asks on one thread.

use mycelia::limits::MESSAGE_BYTES_MAX;
use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = [u8; MESSAGE_BYTES_MAX])]
struct Large([u8; MESSAGE_BYTES_MAX]);

#[derive(Subsystem)]
struct Link;

#[routes]
impl Link {
    #[route("sync")]
    fn sync(&mut self, Large(bytes): Large) -> [u8; MESSAGE_BYTES_MAX] {
        bytes
    }

    #[route("blocking", blocking)]
    fn blocking(&mut self, Large(bytes): Large) -> [u8; MESSAGE_BYTES_MAX] {
        bytes
    }

    #[route("chain/{left}")]
    async fn chain(
        &mut self,
        message: Large,
        Path(left): Path<u32>,
        system: System,
    ) -> anyhow::Result<[u8; MESSAGE_BYTES_MAX]> {
        match left {
            0 => Ok(message.0),
            left => Ok(system
                .ask(format!("link-{left}://chain/{}", left - 1), message)
                .await?),
        }
    }
}

#[mycelia::test]
async fn the_largest_message_and_reply_travel_through_every_kind_of_handler() -> anyhow::Result<()>
{
    let system = System::builder().threads(1).start().await?;
    system.mount_as("link", || Link).await?;
    for n in 1..=30 {
        system.mount_as(format!("link-{n}"), || Link).await?;
    }
    for path in ["link://sync", "link://blocking", "link://chain/30"] {
        let reply = system.ask(path, Large([7; MESSAGE_BYTES_MAX])).await?;
        assert!(reply.iter().all(|&byte| byte == 7), "{path}");
        system.tell(path, Large([7; MESSAGE_BYTES_MAX])).await?;
    }
    system.stop().await?;
    Ok(())
}
