//! `/quitquitquit`: ends the process at once.

use super::{Endpoint, Reply, Request, Server};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/quitquitquit",
    is_post: true,
    help: "exit the server",
    parameters: &[],
    reply,
};

fn reply(server: &Server, _: &Request) -> Reply {
    let quit = server.quit.clone();
    // The answer goes out first.
    tokio::task::spawn_local(async move {
        tokio::task::yield_now().await;
        quit.tell();
    });
    Reply::ok()
}
