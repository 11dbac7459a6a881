//! Stats that are words, not numbers: the control plane's name, the version of the last update.
//! (envoy: Stats::TextReadout)

use std::sync::{Arc, Mutex, PoisonError};

/// A control plane may send what it likes as a version: so much of it is shown.
const MAX_BYTES: usize = 1024;

/// The handle of one text.
#[derive(Clone, Debug)]
pub struct TextReadout(pub(super) Arc<Text>);

#[derive(Debug)]
pub(super) struct Text {
    name: Box<str>,
    visible: bool,
    value: Mutex<Box<str>>,
}

impl TextReadout {
    /// Replaces the text; beyond 1 KiB it is cut.
    pub fn set(&self, value: &str) {
        let value = value.get(..value.floor_char_boundary(MAX_BYTES)).unwrap_or_default();
        *self.0.value.lock().unwrap_or_else(PoisonError::into_inner) = value.into();
    }
}

impl Text {
    pub(super) fn new(name: &str, visible: bool) -> Self {
        Self { name: name.into(), visible, value: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_visible(&self) -> bool {
        self.visible
    }

    pub(super) fn value(&self) -> Box<str> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
