//! What a probe reads of a message's address.

use std::sync::Arc;

use mycelia::__test::{Given, given};
use mycelia::error::CaptureError;
use mycelia::extract::{Address, Delivery, Extractor};
use mycelia_core::Pattern;

use super::Call;
use crate::path::{text, write_path};

pub(super) struct Arrival {
    given: Vec<Given>,
    query: Option<String>,
    sender: Option<Arc<str>>,
}

impl Arrival {
    pub(super) fn call<E>(self, name: &str, pattern: Result<&Pattern, E>) -> Call {
        let query = self.query.as_deref();
        Call {
            path: match pattern {
                Ok(pattern) => write_path(name, pattern, &self.given, query),
                Err(_) => name.into(),
            },
            captures: (self.given.iter())
                .map(|given| text(given).into_owned())
                .collect(),
            query: self.query,
            sender: self.sender,
        }
    }
}

impl Extractor for Arrival {
    type Packed = (Vec<Given>, Option<String>);

    fn pack(address: &mut Address<'_>) -> Result<Self::Packed, CaptureError> {
        Ok((given(address), address.query().map(str::to_owned)))
    }

    fn unpack((given, query): Self::Packed, delivery: &Delivery<'_>) -> Self {
        Arrival {
            given,
            query,
            sender: delivery.sender(),
        }
    }
}
