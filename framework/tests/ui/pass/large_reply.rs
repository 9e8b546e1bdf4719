// A reply is moved on the stack, too.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = Vec<u8>)]
struct Read;

fn main() {}
