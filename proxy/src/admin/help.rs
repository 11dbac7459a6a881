//! `/help`, and the page at `/`.

use std::fmt::Write as _;

use super::{ENDPOINTS, Endpoint, Reply, Request, Server};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/help",
    is_post: false,
    help: "print out list of admin commands",
    parameters: &[],
    reply: |_: &Server, _: &Request| Reply::text(200, text()),
};

/// The list of endpoints.
pub(super) fn text() -> String {
    let mut text = String::from("admin commands are:\n  /: Admin home page\n");
    for endpoint in ENDPOINTS {
        let post = if endpoint.is_post { " (POST)" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}{post}: {}", endpoint.path, endpoint.help);
        for (name, help) in endpoint.parameters {
            let _ = writeln!(text, "      {name}: {help}");
        }
    }
    text
}

/// A page with a link to each endpoint, and a button for those that change something.
pub(super) fn home() -> Reply {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang='en'>\n<head><meta charset='utf-8'><title>Outrigger Admin</title></head>\n<body>\n<table>\n",
    );
    for Endpoint { path, is_post, help, .. } in ENDPOINTS {
        let link = if *is_post {
            format!("<form action='{path}' method='post'><button>{path}</button></form>")
        } else {
            format!("<a href='{path}'>{path}</a>")
        };
        let _ = writeln!(page, "<tr><td>{link}</td><td>{help}</td></tr>");
    }
    page.push_str("</table>\n</body>\n</html>\n");
    Reply { status: 200, content_type: "text/html; charset=UTF-8", body: page.into() }
}
