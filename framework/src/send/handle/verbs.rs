//! The verbs of a handle, written once: [`Route`](super::Route) and [`At`](super::At) both have them.

/// Writes the verbs into an `impl` block whose messages are `M`s. `$receiver` is `self` or `&self`; `$this` is
/// the caller's `self`, passed in because a macro's own `self` would be another one.
macro_rules! handle_verbs {
    ($this:ident: $($receiver:tt)+) => {
        /// Sends a message; waits while there is no room.
        ///
        /// # Errors
        /// As [`System::tell`](crate::System::tell).
        ///
        /// # Cancel safety
        /// Dropped while it waits, it has sent nothing; the message is dropped with it.
        #[inline]
        pub fn tell($($receiver)+, message: M) -> impl Future<Output = Result<(), Undelivered<M>>> {
            send::tell($this, message)
        }

        /// Sends a message if there is room now.
        ///
        /// # Errors
        /// As [`System::try_tell`](crate::System::try_tell).
        #[inline]
        pub fn try_tell($($receiver)+, message: M) -> Result<(), Undelivered<M>> {
            send::try_tell($this, message)
        }

        /// Sends a message from a thread without an executor.
        ///
        /// # Errors
        /// As [`System::tell_blocking`](crate::System::tell_blocking).
        pub fn tell_blocking($($receiver)+, message: M) -> Result<(), Undelivered<M>> {
            send::tell_blocking($this, message)
        }

        /// Sends a message and waits for the reply.
        ///
        /// # Errors
        /// As [`System::ask`](crate::System::ask).
        #[inline]
        pub fn ask($($receiver)+, message: M) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
            send::ask($this, message)
        }

        /// Sends a message and waits for the reply until `deadline` has passed.
        ///
        /// # Errors
        /// As [`System::ask_within`](crate::System::ask_within).
        pub fn ask_within(
            $($receiver)+,
            message: M,
            deadline: Duration,
        ) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
            send::ask_within($this, message, deadline)
        }

        /// Sends a message if there is room now, and waits for the reply.
        ///
        /// # Errors
        /// As [`System::try_ask`](crate::System::try_ask).
        pub fn try_ask($($receiver)+, message: M) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
            send::try_ask($this, message)
        }

        /// Sends a message and waits for the reply on a thread without an executor.
        ///
        /// # Errors
        /// As [`System::ask_blocking`](crate::System::ask_blocking).
        pub fn ask_blocking($($receiver)+, message: M) -> Result<M::Reply, AskError<M>> {
            send::ask_blocking($this, message)
        }

        /// Sends a message; waits while there is no room, until `deadline` has passed since this call.
        ///
        /// # Errors
        /// As [`System::tell_within`](crate::System::tell_within).
        pub fn tell_within(
            $($receiver)+,
            message: M,
            deadline: Duration,
        ) -> impl Future<Output = Result<(), Undelivered<M>>> {
            send::tell_within($this, message, deadline)
        }
    };
}

pub(super) use handle_verbs;
