//! The slab: the memory of a pool's envelopes.
#![allow(unsafe_code)]

use super::deferral::{Deferral, DeferralRight};
use super::{Envelope, Slot};
use crate::base::sync::OnceBox;

/// The pool's memory: slots in chunks, each allocated when its first envelope is created.
pub(crate) struct Slab(Box<[OnceBox<Chunk>]>);

const CHUNK_BITS: u32 = 6;
const CHUNK: usize = 1 << CHUNK_BITS;

/// The slots, and apart from them the cells that only messages with a later reply need.
struct Chunk {
    slots: [Slot; CHUNK],
    deferrals: [Deferral; CHUNK],
}

impl Chunk {
    fn boxed() -> Box<Self> {
        Box::new(Chunk {
            slots: std::array::from_fn(|_| Slot::new()),
            deferrals: std::array::from_fn(|_| Deferral::new()),
        })
    }
}

impl Slab {
    pub(crate) fn new(capacity: usize) -> Self {
        Slab(
            (0..capacity.div_ceil(CHUNK))
                .map(|_| OnceBox::new())
                .collect(),
        )
    }

    /// Allocates the memory of envelope `index`, if it is not there yet.
    pub(crate) fn create(&self, index: u32) {
        self.0[index as usize >> CHUNK_BITS].get_or_init(Chunk::boxed);
    }

    /// The slot of envelope `index`, if its memory is there yet.
    pub(crate) fn created(&self, index: u32) -> Option<&Slot> {
        let chunk = self.0.get(index as usize >> CHUNK_BITS)?.get()?;
        Some(&chunk.slots[index as usize & (CHUNK - 1)])
    }

    /// # Panics
    /// If envelope `index` was never created.
    #[inline]
    pub(crate) fn slot(&self, index: u32) -> &Slot {
        &self.chunk(index).slots[index as usize & (CHUNK - 1)]
    }

    #[inline]
    fn chunk(&self, index: u32) -> &Chunk {
        self.0[index as usize >> CHUNK_BITS]
            .get()
            .expect("a token exists only for a created envelope")
    }

    /// The cell of envelope `index` that holds its token while its reply is still to come.
    pub(crate) fn deferral(&self, index: u32) -> &Deferral {
        &self.chunk(index).deferrals[index as usize & (CHUNK - 1)]
    }

    /// Claims the envelope of a message whose reply is still to come, if it is stored under this right.
    pub(crate) fn claim(&self, index: u32, right: DeferralRight) -> Option<Envelope<'_>> {
        // SAFETY: this cell belongs to envelope `index`.
        let token = unsafe { self.deferral(index).claim(index, right) }?;
        Some(Envelope::new(self, token))
    }

    /// Claims every envelope whose reply is still to come under this right, and calls `f` with each.
    pub(crate) fn claim_all(&self, right: DeferralRight, mut f: impl FnMut(Envelope<'_>)) {
        for (at, chunk) in self.0.iter().enumerate() {
            let deferrals = chunk.get().map_or(&[][..], |chunk| &chunk.deferrals);
            for (n, deferral) in deferrals.iter().enumerate() {
                if deferral.is_open(right)
                    && let Some(envelope) = self.claim((at << CHUNK_BITS | n) as u32, right)
                {
                    f(envelope);
                }
            }
        }
    }
}
