//! The promises of mycelia: each program beside this file is a part of them.
