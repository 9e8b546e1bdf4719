//! A free list: a lock-free stack of tokens.
//!
//! One word holds the number of the top envelope, and a tag that every removal raises. So a removal that has read
//! an outdated successor fails (the ABA problem). Treiber, "Systems Programming: Coping with Parallelism", 1986;
//! tag as in IBM's System/370 free-list example.
#![allow(unsafe_code)]

use crate::base::sync::{AtomicU64, Ordering};
use crate::envelope::token::{Chain, INDEX_BITS, INDEX_MASK, Links, NIL, Token};

#[derive(Debug)]
pub(crate) struct Stack(AtomicU64);

fn word(tag: u64, top: u32) -> u64 {
    (tag << INDEX_BITS) | u64::from(top)
}

fn top_of(word: u64) -> u32 {
    (word & INDEX_MASK) as u32
}

impl Stack {
    pub(crate) fn new() -> Self {
        Stack(AtomicU64::new(word(0, NIL)))
    }

    /// Puts all tokens of `chain` on top. Its first becomes the top.
    pub(crate) fn push(&self, links: &Links, chain: Chain) {
        let Some((first, last)) = chain.surrender() else {
            return;
        };
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            links.set_next(last, top_of(seen));
            let new = word(seen >> INDEX_BITS, first);
            // Release: what the last owner did to the envelopes comes before what the next one does.
            match self
                .0
                .compare_exchange_weak(seen, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes the top token.
    pub(crate) fn pop(&self, links: &Links) -> Option<Token> {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            let top = top_of(seen);
            if top == NIL {
                return None;
            }
            // If another thread took `top` meanwhile, `next` is outdated; then the tag differs, and the swap
            // fails.
            let next = links.next(top);
            let new = word((seen >> INDEX_BITS).wrapping_add(1), next);
            match self
                .0
                .compare_exchange_weak(seen, new, Ordering::Acquire, Ordering::Acquire)
            {
                // SAFETY: the token was surrendered to the list, and this swap took it off.
                Ok(_) => return Some(unsafe { Token::mint(top) }),
                Err(now) => seen = now,
            }
        }
    }

    /// Moves everything from `other` to this stack, which was found empty. Returns the top token.
    pub(crate) fn steal(&self, links: &Links, other: &Stack) -> Option<Token> {
        let mut seen = other.0.load(Ordering::Acquire);
        let top = loop {
            let top = top_of(seen);
            if top == NIL {
                return None;
            }
            let new = word((seen >> INDEX_BITS).wrapping_add(1), NIL);
            match other
                .0
                .compare_exchange_weak(seen, new, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => break top,
                Err(now) => seen = now,
            }
        };
        let rest = links.next(top);
        if rest != NIL {
            self.adopt(links, rest);
        }
        // SAFETY: the tokens were surrendered to the list, and this swap took all of them off.
        Some(unsafe { Token::mint(top) })
    }

    /// Takes over the list that starts with `first`.
    fn adopt(&self, links: &Links, first: u32) {
        let mut seen = self.0.load(Ordering::Relaxed);
        while top_of(seen) == NIL {
            let new = word(seen >> INDEX_BITS, first);
            match self
                .0
                .compare_exchange_weak(seen, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
        // Not empty any more: find the end of the list and push the whole list.
        let (mut last, mut len) = (first, 1);
        while links.next(last) != NIL {
            last = links.next(last);
            len += 1;
        }
        // SAFETY: the caller has taken these off a list, and no other list has them.
        self.push(links, unsafe { Chain::from_parts(first, last, len) });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn chain(links: &Links, indices: std::ops::Range<u32>) -> Chain {
        let mut chain = Chain::new();
        for index in indices {
            // SAFETY: each token is made once.
            chain.push_back(links, unsafe { Token::mint(index) });
        }
        chain
    }

    fn drain(stack: &Stack, links: &Links) -> Vec<u32> {
        let pop = || Some(stack.pop(links)?.surrender());
        std::iter::from_fn(pop).collect()
    }

    #[test]
    fn what_is_stolen_lies_on_top_of_what_was_put_there_meanwhile() {
        let links = Links::new(6);
        let (own, other) = (Stack::new(), Stack::new());
        own.push(&links, chain(&links, 0..2));
        other.push(&links, chain(&links, 2..6));
        let top = own.steal(&links, &other).map(Token::surrender);
        assert_eq!(top, Some(2));
        assert_eq!(drain(&own, &links), [3, 4, 5, 0, 1]);
        assert!(drain(&other, &links).is_empty());
        assert!(own.steal(&links, &other).is_none());
    }

    #[test]
    fn threads_that_push_pop_and_steal_at_once_lose_and_double_nothing() {
        const EACH: u32 = 64;
        const ROUNDS: usize = 20_000;
        let links = Links::new(2 * EACH as usize);
        let stacks = [Stack::new(), Stack::new()];
        stacks[0].push(&links, chain(&links, 0..2 * EACH));
        let work = |own: usize| {
            let (own, other) = (&stacks[own], &stacks[1 - own]);
            for _ in 0..ROUNDS {
                let mut chain = Chain::new();
                for _ in 0..3 {
                    let token = own.pop(&links).or_else(|| own.steal(&links, other));
                    if let Some(token) = token {
                        chain.push_back(&links, token);
                    }
                }
                own.push(&links, chain);
            }
        };
        std::thread::scope(|scope| {
            // Two tokens on each stack, so that all four operations can meet.
            for own in [0, 1, 0, 1] {
                scope.spawn(move || work(own));
            }
        });
        let mut all = drain(&stacks[0], &links);
        all.extend(drain(&stacks[1], &links));
        all.sort_unstable();
        assert!(all.into_iter().eq(0..2 * EACH));
    }
}
