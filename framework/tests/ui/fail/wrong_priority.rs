// There are four priorities, each a word.

use mycelia::prelude::*;

#[derive(Message)]
#[message(priority = urgent)]
struct Word;

#[derive(Message)]
#[message(priority = "high")]
struct Text;

#[derive(Message)]
#[message(priority = 3, reply = u8)]
struct Number;

fn main() {}
