//! Header lines that routes, virtual hosts and weighted clusters add and remove.
//! (envoy: request_headers_to_add, response_headers_to_add, …_to_remove)

use outrigger_policy::head::{Headers, Name};

use smallvec::SmallVec;

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
        let lines = self.lines(exchange, &exchange.request.headers);
        set(lines, &mut exchange.request_mut().headers);
    }

    /// Changes the response of an exchange.
    pub fn apply_to_response(&self, exchange: &mut Exchange) {
        for name in &self.remove {
            exchange.response.headers.remove_name(name);
        }
        let lines = self.lines(exchange, &exchange.response.headers);
        set(lines, &mut exchange.response.headers);
    }

    /// The lines that there will be, all decided by what `headers` holds now.
    fn lines(&self, exchange: &Exchange, headers: &Headers) -> SmallVec<[Line<'_>; 4]> {
        self.add.iter().filter_map(|op| op.line(exchange, headers)).collect()
    }
}

/// A line to be, and whether it takes the place of others.
struct Line<'a> {
    name: &'a Name,
    value: Vec<u8>,
    replaces: bool,
}

/// What replaces comes before what is added, as in Envoy.
fn set(lines: SmallVec<[Line<'_>; 4]>, headers: &mut Headers) {
    for line in lines.iter().filter(|line| line.replaces) {
        headers.set_name(line.name, &line.value);
    }
    for line in lines.iter().filter(|line| !line.replaces) {
        headers.append_name(line.name, &line.value);
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

    fn line(&self, exchange: &Exchange, headers: &Headers) -> Option<Line<'_>> {
        let is_there = headers.get_name(&self.name).is_some();
        let replaces = match self.action {
            AppendAction::AddIfAbsent if is_there => return None,
            AppendAction::OverwriteIfExists if !is_there => return None,
            AppendAction::AppendOrAdd | AppendAction::AddIfAbsent => false,
            AppendAction::OverwriteOrAdd | AppendAction::OverwriteIfExists => true,
        };
        let value = self.evaluate(exchange);
        let is_wanted = self.keep_empty || !value.is_empty();
        is_wanted.then_some(Line { name: &self.name, value, replaces })
    }
}
