//! The free list: pops, pushes and steals.

use loom::thread;
use std::sync::Arc;

use super::{Slab, in_full, up_to};
use crate::envelope::pool::stack::Stack;

/// Two free lists over one slab.
struct Lanes {
    slab: Slab,
    left: Stack,
    right: Stack,
}

impl Lanes {
    fn new<L, R>(left: L, right: R) -> Arc<Self>
    where
        L: IntoIterator<Item = u32>,
        R: IntoIterator<Item = u32>,
    {
        let (left, right): (Vec<_>, Vec<_>) =
            (left.into_iter().collect(), right.into_iter().collect());
        let slab = Slab::new(left.len() + right.len());
        Arc::new(Lanes {
            left: slab.stack(left),
            right: slab.stack(right),
            slab,
        })
    }

    /// Takes a token, touches its envelope, and puts it back.
    fn use_one(&self, stack: &Stack) {
        if let Some(token) = stack.pop(&self.slab.links) {
            self.slab.touch(&token);
            self.slab.push(stack, token);
        }
    }

    /// As the pool does: takes from the thread's own list, or else from the other.
    fn use_one_or_steal(&self, own: &Stack, other: &Stack) {
        let links = &self.slab.links;
        if let Some(token) = own.pop(links).or_else(|| own.steal(links, other)) {
            self.slab.touch(&token);
            self.slab.push(own, token);
        }
    }

    fn assert_whole(&self) {
        self.slab.assert_whole(&[&self.left, &self.right]);
    }
}

/// Runs both at the same time, one on another thread, then checks that every token is there once.
fn at_once(
    lanes: Arc<Lanes>,
    one: impl FnOnce(&Lanes) + 'static,
    other: impl FnOnce(&Lanes) + 'static,
) {
    let theirs = lanes.clone();
    let thread = thread::spawn(move || one(&theirs));
    other(&lanes);
    thread.join().unwrap();
    lanes.assert_whole();
}

#[test]
fn two_that_pop_and_push_never_hold_one_token() {
    in_full(|| {
        at_once(
            Lanes::new(0..2, []),
            |lanes| lanes.use_one(&lanes.left),
            |lanes| lanes.use_one(&lanes.left),
        );
    });
}

#[test]
fn three_that_pop_and_push_never_hold_one_token() {
    up_to(2, || {
        let lanes = Lanes::new(0..2, []);
        let threads = [(); 2].map(|()| {
            let lanes = lanes.clone();
            thread::spawn(move || lanes.use_one(&lanes.left))
        });
        lanes.use_one(&lanes.left);
        for thread in threads {
            thread.join().unwrap();
        }
        lanes.assert_whole();
    });
}

#[test]
fn a_chain_pushed_while_another_pops_arrives_whole() {
    in_full(|| {
        at_once(
            Lanes::new(0..3, []),
            |lanes| {
                let links = &lanes.slab.links;
                let taken: Vec<_> = [(); 2]
                    .into_iter()
                    .filter_map(|()| lanes.left.pop(links))
                    .inspect(|token| lanes.slab.touch(token))
                    .collect();
                lanes.left.push(links, lanes.slab.chain(taken));
            },
            |lanes| lanes.use_one(&lanes.left),
        );
    });
}

#[test]
fn a_pop_that_was_overtaken_by_pop_pop_push_takes_nothing_that_others_hold() {
    in_full(|| {
        at_once(
            Lanes::new(0..3, []),
            |lanes| {
                // The other thread may have read that 1 follows 0. Here 0 comes back without 1.
                let links = &lanes.slab.links;
                let first = lanes.left.pop(links);
                let second = lanes.left.pop(links);
                if let Some(token) = first {
                    lanes.slab.push(&lanes.left, token);
                }
                if let Some(token) = second {
                    lanes.slab.touch(&token);
                    lanes.slab.push(&lanes.right, token);
                }
            },
            |lanes| {
                let links = &lanes.slab.links;
                let taken = [lanes.left.pop(links), lanes.left.pop(links)];
                for token in taken.into_iter().flatten() {
                    lanes.slab.touch(&token);
                    lanes.slab.push(&lanes.right, token);
                }
            },
        );
    });
}

#[test]
fn a_pop_that_was_overtaken_by_a_steal_and_a_push_takes_nothing_that_others_hold() {
    in_full(|| {
        at_once(
            Lanes::new([], 0..3),
            |lanes| {
                // As above: 0 comes back to the list, but without 1 and 2.
                if let Some(token) = lanes.left.steal(&lanes.slab.links, &lanes.right) {
                    lanes.slab.touch(&token);
                    lanes.slab.push(&lanes.right, token);
                }
            },
            |lanes| {
                let links = &lanes.slab.links;
                let taken = [lanes.right.pop(links), lanes.right.pop(links)];
                for token in taken.into_iter().flatten() {
                    lanes.slab.touch(&token);
                    lanes.slab.push(&lanes.right, token);
                }
            },
        );
    });
}

#[test]
fn a_pop_against_a_steal_shares_the_tokens_out() {
    in_full(|| {
        at_once(
            Lanes::new([], 0..3),
            |lanes| lanes.use_one(&lanes.right),
            |lanes| lanes.use_one_or_steal(&lanes.left, &lanes.right),
        );
    });
}

/// Two threads that steal into their own lists, from one list with all tokens.
fn two_thieves(third: impl FnOnce(&Stack, &Slab)) {
    let slab = Slab::new(3);
    let shared = Arc::new((slab.stack(0..3), [Stack::new(), Stack::new()], slab));
    let thieves = [0, 1].map(|own| {
        let shared = shared.clone();
        thread::spawn(move || {
            let (common, lanes, slab) = &*shared;
            if let Some(token) = lanes[own].steal(&slab.links, common) {
                slab.touch(&token);
                slab.push(&lanes[own], token);
            }
        })
    });
    let (common, lanes, slab) = &*shared;
    third(common, slab);
    for thief in thieves {
        thief.join().unwrap();
    }
    slab.assert_whole(&[common, &lanes[0], &lanes[1]]);
}

#[test]
fn of_two_that_steal_from_one_list_each_token_has_one_thief() {
    in_full(|| two_thieves(|_, _| ()));
}

#[test]
fn two_that_steal_while_a_third_pops_and_pushes_share_the_tokens_out() {
    up_to(3, || {
        two_thieves(|common, slab| {
            if let Some(token) = common.pop(&slab.links) {
                slab.touch(&token);
                slab.push(common, token);
            }
        });
    });
}

#[test]
fn two_that_steal_from_each_other_lose_nothing() {
    in_full(|| {
        at_once(
            Lanes::new(0..2, 2..4),
            |lanes| {
                let links = &lanes.slab.links;
                let taken = [lanes.left.pop(links), lanes.left.pop(links)];
                lanes.use_one_or_steal(&lanes.left, &lanes.right);
                for token in taken.into_iter().flatten() {
                    lanes.slab.touch(&token);
                    lanes.slab.push(&lanes.left, token);
                }
            },
            |lanes| {
                let links = &lanes.slab.links;
                let taken = [lanes.right.pop(links), lanes.right.pop(links)];
                lanes.use_one_or_steal(&lanes.right, &lanes.left);
                for token in taken.into_iter().flatten() {
                    lanes.slab.touch(&token);
                    lanes.slab.push(&lanes.right, token);
                }
            },
        );
    });
}

#[test]
fn a_push_to_a_list_that_is_being_stolen_from_is_not_lost() {
    in_full(|| {
        let lanes = Lanes::new([], 0..3);
        let token = lanes.right.pop(&lanes.slab.links).unwrap();
        at_once(
            lanes,
            move |lanes| {
                lanes.slab.touch(&token);
                lanes.slab.push(&lanes.right, token);
            },
            |lanes| lanes.use_one_or_steal(&lanes.left, &lanes.right),
        );
    });
}

#[test]
fn a_thief_whose_own_list_has_filled_meanwhile_puts_its_loot_on_top() {
    in_full(|| {
        let lanes = Lanes::new(0..1, 1..4);
        let token = lanes.left.pop(&lanes.slab.links).unwrap();
        at_once(
            lanes,
            move |lanes| {
                lanes.slab.touch(&token);
                lanes.slab.push(&lanes.left, token);
                // It also takes some away while the thief walks the list that it stole.
                lanes.use_one(&lanes.left);
            },
            |lanes| lanes.use_one_or_steal(&lanes.left, &lanes.right),
        );
    });
}

#[test]
fn a_thief_that_is_stolen_from_while_it_takes_over_loses_nothing() {
    in_full(|| {
        let lanes = Lanes::new(0..1, 1..4);
        let token = lanes.left.pop(&lanes.slab.links).unwrap();
        at_once(
            lanes,
            move |lanes| {
                lanes.slab.touch(&token);
                lanes.slab.push(&lanes.left, token);
                if let Some(token) = lanes.right.steal(&lanes.slab.links, &lanes.left) {
                    lanes.slab.touch(&token);
                    lanes.slab.push(&lanes.right, token);
                }
            },
            |lanes| lanes.use_one_or_steal(&lanes.left, &lanes.right),
        );
    });
}

#[test]
fn what_was_done_to_an_envelope_is_seen_by_who_takes_it_from_the_thief() {
    up_to(3, || {
        let lanes = Lanes::new([], 0..2);
        let links = &lanes.slab.links;
        let tokens = [lanes.right.pop(links), lanes.right.pop(links)];
        let thief = {
            let lanes = lanes.clone();
            thread::spawn(move || lanes.use_one_or_steal(&lanes.left, &lanes.right))
        };
        let heir = {
            let lanes = lanes.clone();
            thread::spawn(move || lanes.use_one(&lanes.left))
        };
        let chain = lanes.slab.chain(
            tokens
                .into_iter()
                .flatten()
                .inspect(|token| lanes.slab.touch(token)),
        );
        lanes.right.push(links, chain);
        thief.join().unwrap();
        heir.join().unwrap();
        lanes.assert_whole();
    });
}
