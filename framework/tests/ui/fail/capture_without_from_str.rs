// A capture is parsed with `FromStr`.

use mycelia::prelude::*;

struct UserId(u64);

#[derive(Message)]
#[message(reply = String)]
struct Greet;

#[derive(Subsystem)]
struct Api;

#[routes]
impl Api {
    #[route("users/{id}")]
    fn greet(&mut self, _: Greet, Path(id): Path<UserId>) -> String {
        id.0.to_string()
    }
}

fn main() {}
