//! The verbs: `tell` and `ask` in their variants, and `route` for handles.

use std::time::Duration;

use super::System;
use crate::send;
use crate::send::group::RouteGroup;
use crate::send::handle::Route;
use crate::send::path::{AsPath, ToPath};
use crate::words::error::{AskError, SendError, Undelivered};
use crate::words::message::Message;

impl System {
    fn to<P: AsPath>(&self, path: P) -> ToPath<'_, P> {
        let shared = &self.0.shared;
        ToPath { shared, path }
    }

    /// Sends a message; waits while there is no room.
    ///
    /// # Errors
    /// Everything of [`SendError`] but `Full`; the message is handed back. In a handler also
    /// `WaitCycle`, when the room could never come.
    ///
    /// # Cancel safety
    /// Dropped while it waits, it has sent nothing; the message is dropped with it.
    #[inline]
    pub fn tell<M: Message>(
        &self,
        path: impl AsPath,
        message: M,
    ) -> impl Future<Output = Result<(), Undelivered<M>>> {
        send::tell(self.to(path), message)
    }

    /// Sends a message; waits while there is no room, until `deadline` has passed since this call.
    ///
    /// # Errors
    /// As [`tell`](Self::tell), and `Full` at the deadline; the message is handed back.
    ///
    /// # Cancel safety
    /// As [`tell`](Self::tell).
    pub fn tell_within<M: Message>(
        &self,
        path: impl AsPath,
        message: M,
        deadline: Duration,
    ) -> impl Future<Output = Result<(), Undelivered<M>>> {
        send::tell_within(self.to(path), message, deadline)
    }

    /// Sends a message if there is room now.
    ///
    /// # Errors
    /// Everything of [`SendError`]; the message is handed back.
    pub fn try_tell<M: Message>(
        &self,
        path: impl AsPath,
        message: M,
    ) -> Result<(), Undelivered<M>> {
        send::try_tell(self.to(path), message)
    }

    /// Sends a message from a thread without an executor; blocks the thread while there is no room.
    /// In a handler, where blocking would stop a whole thread of subsystems, it does not wait and says
    /// `Full`.
    ///
    /// # Errors
    /// As [`tell`](Self::tell); in a handler as [`try_tell`](Self::try_tell).
    pub fn tell_blocking<M: Message>(
        &self,
        path: impl AsPath,
        message: M,
    ) -> Result<(), Undelivered<M>> {
        send::tell_blocking(self.to(path), message)
    }

    /// Sends a message and waits for the reply, for as long as the builder's
    /// [`ask_deadline`](crate::Builder::ask_deadline) says; [`ask_within`](Self::ask_within) has one of
    /// its own. The deadline counts from the first poll. It covers the wait for room as well as the wait for the
    /// reply. In a handler an ask waits no longer than the message being handled has itself.
    ///
    /// # Errors
    /// The message was not accepted (it is handed back; as `Full` if the deadline passed while there was no
    /// room), its handler failed or panicked, its subsystem stopped, or no reply came in time. In a handler also
    /// `WaitCycle`, when the reply could never come because the one asked waits for the asker, and `WouldBlock`,
    /// in a handler that is not `async`.
    ///
    /// # Cancel safety
    /// Dropped after the message was accepted, its reply is dropped; if its handler has not begun, it is
    /// not handled, and counted as expired.
    pub fn ask<M: Message>(
        &self,
        path: impl AsPath,
        message: M,
    ) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::ask(self.to(path), message)
    }

    /// Sends a message and waits for room, and then for the reply, until `deadline` has passed since this
    /// call. A message whose deadline passes before its handler begins is not handled, and counted as
    /// expired; its envelope goes back to the pool at the deadline, also while its subsystem waits for
    /// something else.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), or `DeadlineExceeded`.
    ///
    /// # Cancel safety
    /// As [`ask`](Self::ask).
    pub fn ask_within<M: Message>(
        &self,
        path: impl AsPath,
        message: M,
        deadline: Duration,
    ) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::ask_within(self.to(path), message, deadline)
    }

    /// Sends a message if there is room now, and waits for the reply as [`ask`](Self::ask) does.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); `Undelivered` with `Full` at once if there is no room.
    ///
    /// # Cancel safety
    /// As [`ask`](Self::ask).
    pub fn try_ask<M: Message>(
        &self,
        path: impl AsPath,
        message: M,
    ) -> impl Future<Output = Result<M::Reply, AskError<M>>> {
        send::try_ask(self.to(path), message)
    }

    /// Sends a message and waits for the reply on a thread without an executor, which is blocked meanwhile:
    /// a plain thread, or that of a handler whose route is `blocking`. As [`ask`](Self::ask) otherwise.
    ///
    /// # Errors
    /// As [`ask`](Self::ask). In any other handler, whose thread must not be blocked, `Undelivered` with
    /// `WouldBlock`.
    ///
    /// # Examples
    /// ```
    /// # use mycelia::prelude::*;
    /// # #[derive(Message)] #[message(reply = u64)] struct Get;
    /// # fn example(system: System) {
    /// std::thread::spawn(move || match system.ask_blocking("counter://get", Get) {
    ///     Ok(count) => println!("{count}"),
    ///     Err(error) => eprintln!("{error}"),
    /// });
    /// # }
    /// ```
    pub fn ask_blocking<M: Message>(
        &self,
        path: impl AsPath,
        message: M,
    ) -> Result<M::Reply, AskError<M>> {
        send::ask_blocking(self.to(path), message)
    }

    /// Resolves a pattern (`api://users/{id}`) or a path (`api://users/7`) once, for messages of type
    /// `M`.
    ///
    /// # Errors
    /// No such subsystem, no such route, or it takes other messages; or a capture of the path is not of
    /// the type that the handler wants.
    pub fn route<M: Message>(&self, text: impl AsRef<str>) -> Result<Route<M>, SendError> {
        Route::resolve(&self.0.shared, text.as_ref())
    }

    /// Resolves several routes into one handle: messages go to them in turn, to all, or to whoever answers first.
    ///
    /// # Errors
    /// As [`route`](Self::route), of the first that can't be resolved; or `BadSetting`, for none at all.
    ///
    /// # Examples
    /// See [`RouteGroup`].
    pub fn group<M: Message>(
        &self,
        paths: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<RouteGroup<M>, SendError> {
        RouteGroup::new(&self.0.shared, paths)
    }
}
