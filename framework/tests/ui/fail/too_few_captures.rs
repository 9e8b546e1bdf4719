// A handler that takes one capture takes all.

use mycelia::prelude::*;

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("users/{id}/posts/{post}")]
    fn greet(&mut self, _: Greet, Path(post): Path<u64>) -> String {
        post.to_string()
    }
}

fn main() {}
