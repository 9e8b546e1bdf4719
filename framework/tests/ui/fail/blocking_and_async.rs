// A handler blocks a thread for it, or waits without one; not both.

use mycelia::prelude::*;

#[derive(Message)]
struct Read;

#[derive(Subsystem)]
struct Disk;

#[routes]
impl Disk {
    #[route("read", blocking)]
    async fn read(&mut self, _: Read) {}

    #[route("sync", blocks)]
    fn sync(&mut self, _: Read) {}
}

fn main() {}
