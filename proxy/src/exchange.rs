//! One request and its response on their way through the stack.
//!
//! The stack's request and response type is `Box<Exchange>`: one allocation, moved as one pointer, with everything that a stage may
//! need as a plain field. It is dropped where the exchange ends, whatever ended it, and closes its telemetry then.

use std::rc::Rc;
use std::sync::Arc;

use outrigger_policy::head::{RequestHead, ResponseHead};

use crate::body::Body;
use crate::http::HttpConnectionManager;
use crate::http::filters::FilterState;
use crate::http::progress::Progress;
use crate::http::route::Routing;
use crate::telemetry::{self, StreamInfo};
use crate::upstream::Plan;
use crate::worker;

/// A request, its response, and what is known of both.
#[derive(Debug)]
pub struct Exchange {
    /// The connection manager that serves it, as configured when it began.
    pub manager: Arc<HttpConnectionManager>,
    /// The request's head, shared with the attempts that send it.
    pub request: Rc<RequestHead>,
    /// The request's body, until an attempt takes it.
    pub request_body: Body,
    /// The response's head; status 0 until there is one.
    pub response: ResponseHead,
    /// The response's body.
    pub response_body: Body,
    /// The route, and with it every policy, since it was looked for.
    pub routing: Routing,
    /// How the request is forwarded, since the router has decided that it is.
    pub plan: Option<Box<Plan>>,
    /// State of the HTTP filters.
    pub filters: FilterState,
    /// What has moved, and the deadlines.
    pub progress: Rc<Progress>,
    /// A random number that stays the same for this request: fractions and weighted choices.
    pub random: u64,
    /// The request comes from inside the mesh.
    pub is_internal: bool,
    /// The connection has to end after this response.
    pub closes_connection: bool,
    /// The client has not told what the request is, so the response may.
    pub tells_operation: bool,
    /// What telemetry knows.
    pub info: StreamInfo,
}

impl Exchange {
    /// A request that begins.
    #[must_use]
    pub fn new(
        manager: Arc<HttpConnectionManager>,
        head: RequestHead,
        body: Body,
        progress: Rc<Progress>,
        info: StreamInfo,
    ) -> Self {
        Self {
            manager,
            request: Rc::new(head),
            request_body: body,
            response: ResponseHead::new(0),
            response_body: Body::Empty,
            routing: Routing::Unknown,
            plan: None,
            filters: FilterState::default(),
            progress,
            random: worker::with_rng(rand::Rng::next_u64),
            is_internal: false,
            closes_connection: false,
            tells_operation: false,
            info,
        }
    }

    /// The request's head for changes. Before the first attempt nobody shares it, so nothing is copied.
    pub fn request_mut(&mut self) -> &mut RequestHead {
        Rc::make_mut(&mut self.request)
    }

    /// True once a response's head is there.
    #[must_use]
    pub const fn has_response(&self) -> bool {
        self.response.status != 0
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        telemetry::close(self);
    }
}
