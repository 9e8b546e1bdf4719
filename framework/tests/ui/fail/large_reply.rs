// A reply is moved on the stack, too.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = [u8; 1 << 20])]
struct Read;

fn main() {}
