// A message is moved on the stack: what is large in it goes into a box.

use mycelia::prelude::*;

#[derive(Message)]
struct Image {
    bytes: [u8; 1 << 20],
}

fn main() {}
