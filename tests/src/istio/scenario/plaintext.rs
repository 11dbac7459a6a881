//! No byte of a request in the clear between pods of the mesh: the kernel looks at every packet that comes to a pod.

use anyhow::{Context as _, Result};

use super::row;
use crate::istio::call::Call;
use crate::istio::compare::Row;
use crate::istio::mesh::Mesh;
use crate::istio::pod::Pod;

const MARK: &str = "outrigger-in-the-clear";
const TIMES: usize = 100;

/// # Errors
/// When a rule cannot be set or read.
pub fn run(mesh: &Mesh) -> Result<Vec<Row>> {
    let (mut secret, mut control) = (Vec::new(), Vec::new());
    for world in &mesh.worlds {
        let pods: Vec<&Pod> = world.pods.iter().filter(|pod| pod.has_proxy()).collect();
        for pod in &pods {
            pod.run(&format!(
                "iptables -w -t mangle -A PREROUTING -i eth0 -m string --algo bm --string {MARK}"
            ))?;
        }
        let ask = |from: &str, url: &str| -> Result<usize> {
            let mut call = Call::get(url);
            if let Some(http) = &mut call.http {
                http.headers.push(format!("x-mark: {MARK}"));
            }
            call.times = TIMES;
            let answers = world.pod(from)?.answers(&call)?;
            Ok(answers.iter().filter(|answer| answer.status == 200).count())
        };
        let answered =
            ask("sleep", "http://httpbin:8000/info")? + ask("sleep", "http://ratings:9080/any")?;
        let seen = pods.iter().map(|pod| packets(pod)).sum::<Result<u64>>()?;
        let cell = format!("{answered} answered, {seen} packets");
        let wrong = answered < 2 * TIMES || seen > 0;
        secret.push((cell.clone(), wrong.then_some(cell)));
        // Where plain text is allowed, the rules do see it.
        let answered = ask("plain", "http://reviews-v1.pod:8080/x")?;
        let seen = pods.iter().map(|pod| packets(pod)).sum::<Result<u64>>()?;
        let cell = format!("{answered} answered, {seen} packets");
        let wrong = answered < TIMES || seen < TIMES as u64;
        control.push((cell.clone(), wrong.then_some(cell)));
    }
    Ok(vec![
        row("plaintext", "between pods of the mesh", &mesh.worlds, secret),
        row("plaintext", "from a pod outside, as a control", &mesh.worlds, control),
    ])
}

fn packets(pod: &Pod) -> Result<u64> {
    let rules = pod.run("iptables -w -t mangle -L PREROUTING -n -v -x")?;
    let line = rules.lines().find(|line| line.contains(MARK)).context("the rule has gone")?;
    Ok(line.split_whitespace().next().context("a rule without a count")?.parse()?)
}
