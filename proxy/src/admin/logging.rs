//! `/logging`: what the process's own log tells, and from which level on.

use std::fmt::Write as _;

use super::{Endpoint, Reply, Request, Server};
use crate::telemetry::log::{self, Component, Level};

pub(super) const ENDPOINT: Endpoint = Endpoint {
    path: "/logging",
    is_post: true,
    help: "query/change logging levels",
    parameters: &[
        ("paths", "change several levels: <logger_name1>:<level1>,<logger_name2>:<level2>"),
        ("level", "change all levels; one of (trace, debug, info, warning, error, critical, off)"),
    ],
    reply: |_: &Server, request: &Request| reply(request),
};

const USAGE: &str = "\
usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
levels: trace debug info warning error critical off
";

fn reply(request: &Request) -> Reply {
    match change(request) {
        Ok(()) => Reply::text(200, levels()),
        Err(error) => Reply::text(400, format!("error: {error}\n\n{USAGE}\n")),
    }
}

fn change(request: &Request) -> Result<(), &'static str> {
    let (name, value) = match request.parameters.as_slice() {
        [] => return Ok(()),
        [(name, value)] => (name.as_str(), value.as_str()),
        _ => return Err("invalid number of parameters"),
    };
    match name {
        "level" => log::set_all(level(value)?),
        "paths" => {
            let mut changes = Vec::new();
            for entry in value.split(',').filter(|entry| !entry.is_empty()) {
                let (name, value) = entry.split_once(':').ok_or("unknown logger name")?;
                changes.push((component(name)?, level(value)?));
            }
            changes.into_iter().for_each(|(component, level)| log::set_component(component, level));
        }
        name => log::set_component(component(name)?, level(value)?),
    }
    Ok(())
}

fn level(name: &str) -> Result<Level, &'static str> {
    Level::parse(name).ok_or("unknown logger level")
}

fn component(name: &str) -> Result<Component, &'static str> {
    Component::parse(name).ok_or("unknown logger name")
}

fn levels() -> String {
    let mut text = String::from("active loggers:\n");
    for component in Component::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}: {}", component.as_str(), log::level(component).as_str());
    }
    text
}
