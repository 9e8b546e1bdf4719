//! The test kit: what a user's tests and this crate's own proof are made with. Feature `test`.
