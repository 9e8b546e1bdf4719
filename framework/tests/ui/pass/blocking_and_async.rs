// A handler blocks a thread for it, or waits without one; not both.

use mycelia::prelude::*;

#[derive(Message)]
struct Read;

#[derive(Subsystem)]
struct Disk;

#[routes]
impl Disk {
    #[route("read", blocking)]
    fn read(&mut self, _: Read) {}

    #[route("sync", blocking)]
    fn sync(&mut self, _: Read) {}
}

fn main() {
    let _ = Disk;
}
