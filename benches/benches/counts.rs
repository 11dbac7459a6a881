//! Instructions of what a request passes on its way. `bench-counts` compares them with their limits.

#![expect(clippy::unwrap_used, reason = "a set-up that fails ends the bench")]
#![expect(unused_qualifications, reason = "gungraun's macros spell paths out")]

use std::hint::black_box;

use gungraun::main;
use gungraun::prelude::*;
use outrigger::exchange::Exchange;
use outrigger_benches::functions::{
    Filters, Hosts, LogLine, Mesh, Policies, Pushes, Routes, Worker,
};
use outrigger_policy::lb::{LeastRequest, Policy, RoundRobin};

// Set-ups do the work once: the first time also finds symbols and fills caches.

fn routes_of(count: usize) -> Routes {
    let routes = Routes::new(count).unwrap();
    black_box(routes.find());
    routes
}

#[library_benchmark(setup = routes_of)]
#[bench::among_10(10)]
#[bench::among_1000(1_000)]
#[bench::among_10000(10_000)]
fn route(routes: Routes) -> Routes {
    black_box(routes.find());
    routes
}

fn policies_of(count: usize) -> Policies {
    let policies = Policies::new(count).unwrap();
    black_box(policies.decide());
    policies
}

#[library_benchmark(setup = policies_of)]
#[bench::among_10(10)]
#[bench::among_1000(1_000)]
fn rbac(policies: Policies) -> Policies {
    black_box(policies.decide());
    policies
}

fn round_robin(count: u8) -> Hosts {
    Hosts::new(Policy::RoundRobin(RoundRobin), count)
}

fn least_request(count: u8) -> Hosts {
    Hosts::new(Policy::LeastRequest(LeastRequest::default()), count)
}

#[library_benchmark]
#[bench::round_robin_of_3(args = (3), setup = round_robin)]
#[bench::round_robin_of_100(args = (100), setup = round_robin)]
#[bench::least_request_of_3(args = (3), setup = least_request)]
#[bench::least_request_of_100(args = (100), setup = least_request)]
fn pick(hosts: Hosts) -> Hosts {
    black_box(hosts.pick());
    hosts
}

#[library_benchmark]
#[bench::read(Worker::new())]
fn snapshot(worker: Worker) -> Worker {
    black_box(worker.read());
    worker
}

fn filters_and_exchange() -> (Filters, Box<Exchange>) {
    let mut filters = Filters::new().unwrap();
    let first = filters.exchange();
    drop(filters.pass(first));
    let exchange = filters.exchange();
    (filters, exchange)
}

#[library_benchmark]
#[bench::pass(filters_and_exchange())]
fn filters((mut filters, exchange): (Filters, Box<Exchange>)) -> (Filters, Option<Box<Exchange>>) {
    let exchange = filters.pass(black_box(exchange));
    (filters, exchange)
}

#[library_benchmark]
#[bench::line(LogLine::new().unwrap())]
fn access_log(log: LogLine) -> LogLine {
    log.write();
    log
}

fn mesh_and_exchange() -> (Mesh, Box<Exchange>) {
    let mut mesh = Mesh::new().unwrap();
    let first = mesh.exchange();
    drop(mesh.pass(first));
    let exchange = mesh.exchange();
    (mesh, exchange)
}

#[library_benchmark]
#[bench::pass(mesh_and_exchange())]
fn peer_metadata((mut mesh, exchange): (Mesh, Box<Exchange>)) -> (Mesh, Option<Box<Exchange>>) {
    let exchange = mesh.pass(black_box(exchange));
    (mesh, exchange)
}

fn mesh_that_reports() -> Mesh {
    let mesh = Mesh::new().unwrap();
    mesh.report();
    mesh
}

#[library_benchmark]
#[bench::request(mesh_that_reports())]
fn istio_stats(mesh: Mesh) -> Mesh {
    mesh.report();
    mesh
}

fn pushes_to(count: usize) -> Pushes {
    let mut pushes = Pushes::new(count).unwrap();
    pushes.equal().unwrap();
    pushes.one().unwrap();
    pushes
}

#[library_benchmark(setup = pushes_to)]
#[bench::to_5000(5_000)]
fn push_equal(mut pushes: Pushes) -> Pushes {
    pushes.equal().unwrap();
    pushes
}

#[library_benchmark(setup = pushes_to)]
#[bench::of_5000(5_000)]
fn push_one(mut pushes: Pushes) -> Pushes {
    pushes.one().unwrap();
    pushes
}

library_benchmark_group!(
    name = functions,
    benchmarks = [
        route,
        rbac,
        pick,
        snapshot,
        filters,
        access_log,
        peer_metadata,
        istio_stats,
        push_equal,
        push_one
    ]
);

main!(library_benchmark_groups = functions);
