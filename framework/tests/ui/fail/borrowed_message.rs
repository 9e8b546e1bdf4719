// A message crosses threads: it owns what it holds.

use mycelia::prelude::*;

#[derive(Message)]
struct Borrows<'a>(&'a str);

#[derive(Message)]
struct Shares(std::rc::Rc<str>);

fn main() {}
