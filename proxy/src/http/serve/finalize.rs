//! The last changes to a response's head, alike for every codec. (envoy: `ConnectionManagerImpl::…::encodeHeaders`)

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use outrigger_policy::head::Id;

use crate::clock;
use crate::exchange::Exchange;
use crate::http::forwarding::append_via;
use crate::http::manager::ServerHeader;
use crate::http::operation;

/// Sets and removes what the connection manager answers for. `is_switch`: the response agrees to an upgrade, so `connection` and
/// `upgrade` stay.
pub(super) fn finalize(exchange: &mut Exchange, is_switch: bool) {
    let manager = exchange.manager.clone();
    let headers = &mut exchange.response.headers;
    headers.retain(|_, id, _| match id {
        Id::CONNECTION | Id::UPGRADE => is_switch,
        Id::TRANSFER_ENCODING | Id::KEEP_ALIVE | Id::PROXY_CONNECTION => false,
        _ => true,
    });
    if !headers.contains(Id::DATE) {
        with_date(|date| headers.append_id(Id::DATE, date));
    }
    match manager.server_header {
        ServerHeader::Overwrite => headers.set(Id::SERVER, manager.server_name.as_bytes()),
        ServerHeader::AppendIfAbsent if !headers.contains(Id::SERVER) => {
            headers.append_id(Id::SERVER, manager.server_name.as_bytes());
        }
        ServerHeader::AppendIfAbsent | ServerHeader::PassThrough => {}
    }
    if !manager.forwarding.via.is_empty() {
        append_via(headers, manager.forwarding.via.as_bytes());
    }
    operation::tell_downstream(exchange);
    let asks_for_id = exchange.request.headers.contains(Id::X_ENVOY_FORCE_TRACE);
    if (manager.request_id_in_response || asks_for_id)
        && let Some(id) = exchange.request.headers.get(Id::X_REQUEST_ID)
    {
        exchange.response.headers.set(Id::X_REQUEST_ID, id);
    }
}

thread_local! {
    /// The `date` line of this second.
    static DATE: RefCell<(Duration, String)> = const { RefCell::new((Duration::ZERO, String::new())) };
}

/// Lends the current date in the form of RFC 9110 §5.6.7, formatted once per second and thread.
fn with_date(f: impl FnOnce(&[u8])) {
    let now = clock::wall();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    DATE.with_borrow_mut(|(second, text)| {
        if second.as_secs() != since.as_secs() || text.is_empty() {
            *second = since;
            *text = httpdate::fmt_http_date(now);
        }
        f(text.as_bytes());
    });
}
