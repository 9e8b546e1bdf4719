// One `Path` argument per capture.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("users/{id}")]
    fn greet(&mut self, _: Greet, Path(id): Path<u64>, Path(post): Path<u64>) -> String {
        format!("{id} {post}")
    }
}

fn main() {}
