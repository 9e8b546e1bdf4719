// There are four priorities, each a word.

use mycelia::prelude::*;

#[derive(Message)]
#[message(priority = control)]
struct Word;

#[derive(Message)]
#[message(priority = high)]
struct Text;

#[derive(Message)]
#[message(priority = low, reply = u8)]
struct Number;

fn main() {
    let _ = (Word, Text, Number);
}
