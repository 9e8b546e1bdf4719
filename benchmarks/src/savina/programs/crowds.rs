//! Programs in which many talk to many, as dice fall or through one in the middle.

use std::collections::HashMap;

use super::parts::{Dice, Sum, cast, play};
use crate::savina::stage::{Note, Outbox, Play, Program, Role};

/// Each of many pings others at random.
#[derive(Debug)]
pub struct Big;

const CROWD: u32 = 120;

/// Starts everyone, waits for everyone, then counts.
struct Sink {
    ready: Sum,
    pinged: Sum,
}

struct Member {
    left: u64,
    pinged: u64,
    dice: Dice,
}

impl Role for Sink {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        let everyone = u64::from(CROWD);
        match note.word {
            0 => (1..=CROWD).for_each(|member| out.send(member, 0, 0, 0)),
            1 if self.ready.add(0, everyone) => {
                (1..=CROWD).for_each(|member| out.send(member, 3, 0, 0));
            }
            2 if self.pinged.add(note.a, everyone) => out.finish(self.pinged.total),
            _ => {}
        }
    }
}

impl Role for Member {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        match note.word {
            // A ping is answered.
            1 => {
                self.pinged += 1;
                out.send(note.from, 2, 0, 0);
            }
            3 => out.send(0, 2, self.pinged, 0),
            // The start, and a pong: on to the next.
            _ if self.left == 0 => out.send(0, 1, 0, 0),
            _ => {
                self.left -= 1;
                out.send(1 + self.dice.below(CROWD), 1, 0, 0);
            }
        }
    }
}

impl Program for Big {
    fn play(messages: u64) -> Play {
        let each = messages / 2 / u64::from(CROWD);
        let sink = Sink {
            ready: Sum::default(),
            pinged: Sum::default(),
        };
        let member = |me| Member {
            left: each,
            pinged: 0,
            dice: Dice::new(me),
        };
        let pings = each * u64::from(CROWD);
        play(cast(sink, CROWD, member), pings * 2, pings)
    }
}

/// Transfers between accounts.
#[derive(Debug)]
pub struct Bank;

const ACCOUNTS: u32 = 1000;
const BALANCE: u64 = 1_000_000;
/// Transfers under way at once. The original begins all of them at once, which only works where room is
/// unlimited: with bounded room, a ring of full mailboxes stands still.
const OPEN: u64 = 1024;

struct Teller {
    left: u64,
    open: u64,
    dice: Dice,
    sum: Sum,
}

struct Account(u64);

impl Teller {
    fn transfer(&mut self, out: &mut Outbox) {
        if self.left > 0 {
            self.left -= 1;
            let from = self.dice.below(ACCOUNTS);
            let to = (from + 1 + self.dice.below(ACCOUNTS - 1)) % ACCOUNTS;
            let amount = u64::from(self.dice.below(1000));
            out.send(1 + from, 0, amount, u64::from(1 + to));
        }
    }
}

impl Role for Teller {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        match note.word {
            0 => (0..OPEN).for_each(|_| self.transfer(out)),
            1 => {
                self.open -= 1;
                self.transfer(out);
                if self.open == 0 {
                    (1..=ACCOUNTS).for_each(|account| out.send(account, 2, 0, 0));
                }
            }
            _ => {
                if self.sum.add(note.a, u64::from(ACCOUNTS)) {
                    out.finish(self.sum.total);
                }
            }
        }
    }
}

impl Role for Account {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        match note.word {
            0 => {
                self.0 = self.0.wrapping_sub(note.a);
                out.send(note.b as u32, 1, note.a, 0);
            }
            1 => {
                self.0 = self.0.wrapping_add(note.a);
                out.send(0, 1, 0, 0);
            }
            _ => out.send(0, 2, self.0, 0),
        }
    }
}

impl Program for Bank {
    fn play(messages: u64) -> Play {
        let transfers = messages / 3;
        let teller = Teller {
            left: transfers,
            open: transfers,
            dice: Dice::new(7),
            sum: Sum::default(),
        };
        let roles = cast(teller, ACCOUNTS, |_| Account(BALANCE));
        play(roles, transfers * 3, BALANCE * u64::from(ACCOUNTS))
    }
}

/// Workers read and write one dictionary.
#[derive(Debug)]
pub struct Dictionary;

const READERS: u32 = 20;
const KEYS: u32 = 512;
const WRITES_IN_100: u32 = 10;
const BOOK: u32 = READERS + 1;

struct Manager(Sum);

struct Worker {
    left: u64,
    answered: u64,
    dice: Dice,
}

#[derive(Default)]
struct Book(HashMap<u64, u64>);

impl Role for Manager {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        if note.word == 0 {
            (1..=READERS).for_each(|worker| out.send(worker, 0, 0, 0));
        } else if self.0.add(note.a, u64::from(READERS)) {
            out.finish(self.0.total);
        }
    }
}

impl Role for Worker {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        self.answered += u64::from(note.word == 1);
        if self.left == 0 {
            return out.send(0, 1, self.answered, 0);
        }
        self.left -= 1;
        let is_write = self.dice.below(100) < WRITES_IN_100;
        let key = u64::from(self.dice.below(KEYS));
        out.send(BOOK, u32::from(is_write), key, self.left);
    }
}

impl Role for Book {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        let value = match note.word {
            0 => self.0.get(&note.a).copied().unwrap_or(0),
            _ => self.0.insert(note.a, note.b).unwrap_or(0),
        };
        out.send(note.from, 1, value, 0);
    }
}

impl Program for Dictionary {
    fn play(messages: u64) -> Play {
        let each = messages / 2 / u64::from(READERS);
        let worker = |me| Worker {
            left: each,
            answered: 0,
            dice: Dice::new(me),
        };
        let mut roles = cast(Manager(Sum::default()), READERS, worker);
        roles.push(Box::new(Book::default()));
        let asked = each * u64::from(READERS);
        play(roles, asked * 2, asked)
    }
}

/// One arbiter serves smokers at random.
#[derive(Debug)]
pub struct Smokers;

const SMOKERS: u32 = 200;

struct Arbiter {
    left: u64,
    dice: Dice,
    sum: Sum,
}

#[derive(Default)]
struct Smoker(u64);

impl Role for Arbiter {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        match note.word {
            2 => {
                if self.sum.add(note.a, u64::from(SMOKERS)) {
                    out.finish(self.sum.total);
                }
            }
            _ if self.left == 0 => (1..=SMOKERS).for_each(|smoker| out.send(smoker, 1, 0, 0)),
            _ => {
                self.left -= 1;
                out.send(1 + self.dice.below(SMOKERS), 0, 0, 0);
            }
        }
    }
}

impl Role for Smoker {
    fn handle(&mut self, note: Note, out: &mut Outbox) {
        match note.word {
            0 => {
                self.0 += 1;
                out.send(0, 1, 0, 0);
            }
            _ => out.send(0, 2, self.0, 0),
        }
    }
}

impl Program for Smokers {
    fn play(messages: u64) -> Play {
        let rounds = messages / 2;
        let arbiter = Arbiter {
            left: rounds,
            dice: Dice::new(3),
            sum: Sum::default(),
        };
        let roles = cast(arbiter, SMOKERS, |_| Smoker::default());
        play(roles, rounds * 2, rounds)
    }
}
