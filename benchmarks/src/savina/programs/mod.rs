//! The programs. In each, role 0 begins and ends.

mod parts;

mod crowds;
mod lines;

pub use crowds::{Bank, Big, Dictionary, Smokers};
pub use lines::{Counting, ForkJoin, PingPong, ThreadRing};
