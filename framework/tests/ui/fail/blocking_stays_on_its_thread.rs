// A subsystem with a handler that blocks moves to another thread and back, so it must be `Send`.

use mycelia::prelude::*;
use std::rc::Rc;

#[derive(Message)]
struct Read;

#[derive(Subsystem)]
struct Disk {
    files: Rc<Vec<String>>,
}

#[routes]
impl Disk {
    #[route("read", blocking)]
    fn read(&mut self, _: Read) {
        let _ = &self.files;
    }
}

fn main() {}
