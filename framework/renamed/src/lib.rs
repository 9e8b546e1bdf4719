//! A crate that depends on mycelia under another name, and passes it on: the macros' code must find it by
//! `crate = …`. Its test uses every macro.

/// mycelia as a part of this crate, as in a crate that builds on it.
pub mod parts {
    pub use fungus as actors;
}

/// Writes a subsystem in the crate that calls it, which need not know mycelia at all.
#[macro_export]
macro_rules! echo {
    ($name:ident, $scheme:literal, $message:ident) => {
        #[derive($crate::parts::actors::Message)]
        #[message(reply = u64, priority = high, crate = $crate::parts::actors)]
        struct $message(u64);

        #[derive($crate::parts::actors::Subsystem)]
        #[subsystem(name = $scheme, crate = $crate::parts::actors)]
        struct $name;

        #[$crate::parts::actors::routes(crate = $crate::parts::actors)]
        impl $name {
            #[$crate::parts::actors::route("echo")]
            fn echo(&mut self, $message(number): $message) -> u64 {
                number
            }
        }
    };
}
