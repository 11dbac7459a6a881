//! Header lines that routes, virtual hosts and weighted clusters add and remove.
//! (envoy: request_headers_to_add, response_headers_to_add, …_to_remove)

use outrigger_policy::head::{Headers, Name};

use crate::exchange::Exchange;
use crate::telemetry::access_log::{Format, Record};

/// What happens to lines that are there. (envoy: HeaderValueOption.append_action)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppendAction {
    /// The new line stands beside them.
    #[default]
    AppendOrAdd,
    /// They stay and nothing is added.
    AddIfAbsent,
    /// The new line replaces them, or is added.
    OverwriteOrAdd,
    /// The new line replaces them; without them nothing is added.
    OverwriteIfExists,
}

/// One line to add.
#[derive(Debug)]
pub struct HeaderOp {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Format,
    /// What happens to others of the name.
    pub action: AppendAction,
    /// An empty value is a line too. (envoy: keep_empty_value)
    pub keep_empty: bool,
}

/// What one level of configuration does to a head: it removes, then adds.
#[derive(Debug, Default)]
pub struct HeaderOps {
    /// Lines to add.
    pub add: Box<[HeaderOp]>,
    /// Names to remove.
    pub remove: Box<[Name]>,
}

impl HeaderOps {
    /// True if nothing is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// Changes the request of an exchange.
    pub fn apply_to_request(&self, exchange: &mut Exchange) {
        for name in &self.remove {
            exchange.request_mut().headers.remove_name(name);
        }
        for op in &self.add {
            let value = op.evaluate(exchange);
            op.set(&mut exchange.request_mut().headers, &value);
        }
    }

    /// Changes the response of an exchange.
    pub fn apply_to_response(&self, exchange: &mut Exchange) {
        for name in &self.remove {
            exchange.response.headers.remove_name(name);
        }
        for op in &self.add {
            let value = op.evaluate(exchange);
            op.set(&mut exchange.response.headers, &value);
        }
    }
}

impl HeaderOp {
    fn evaluate(&self, exchange: &Exchange) -> Vec<u8> {
        let mut value = Vec::new();
        self.value.write(&mut value, &Record::of(exchange));
        // A value from a certificate or a header may hold what no line may.
        value.retain(|byte| outrigger_policy::head::is_value_byte(*byte));
        value
    }

    fn set(&self, headers: &mut Headers, value: &[u8]) {
        if value.is_empty() && !self.keep_empty {
            return;
        }
        let is_there = || headers.get_name(&self.name).is_some();
        match self.action {
            AppendAction::AppendOrAdd => headers.append_name(&self.name, value),
            AppendAction::AddIfAbsent if is_there() => {}
            AppendAction::AddIfAbsent => headers.append_name(&self.name, value),
            AppendAction::OverwriteIfExists if !is_there() => {}
            AppendAction::OverwriteOrAdd | AppendAction::OverwriteIfExists => {
                headers.set_name(&self.name, value);
            }
        }
    }
}
