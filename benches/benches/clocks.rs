//! Time of what a request passes on its way: for people. What must not grow is counted, in `counts.rs`.

#![expect(clippy::unwrap_used, reason = "a set-up that fails ends the bench")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use outrigger_benches::functions::{
    Filters, Hosts, LogLine, Mesh, Policies, Pushes, Routes, Worker,
};
use outrigger_policy::lb::{LeastRequest, Policy, RoundRobin};

fn route(criterion: &mut Criterion) {
    for count in [10, 1_000, 10_000] {
        let routes = Routes::new(count).unwrap();
        let name = format!("route/among_{count}");
        criterion.bench_function(&name, |bench| bench.iter(|| black_box(routes.find())));
    }
}

fn rbac(criterion: &mut Criterion) {
    for count in [10, 1_000] {
        let policies = Policies::new(count).unwrap();
        let name = format!("rbac/among_{count}");
        criterion.bench_function(&name, |bench| bench.iter(|| black_box(policies.decide())));
    }
}

fn pick(criterion: &mut Criterion) {
    for count in [3, 100] {
        for (name, policy) in [
            ("round_robin", Policy::RoundRobin(RoundRobin)),
            ("least_request", Policy::LeastRequest(LeastRequest::default())),
        ] {
            let hosts = Hosts::new(policy, count);
            let name = format!("pick/{name}_of_{count}");
            criterion.bench_function(&name, |bench| bench.iter(|| black_box(hosts.pick())));
        }
    }
}

fn snapshot(criterion: &mut Criterion) {
    let worker = Worker::new();
    criterion.bench_function("snapshot/read", |bench| bench.iter(|| black_box(worker.read())));
}

fn filters(criterion: &mut Criterion) {
    let stage = Filters::new().unwrap();
    let mut pass = stage.clone();
    criterion.bench_function("filters/pass", |bench| {
        bench.iter_batched(
            || stage.exchange(),
            |exchange| pass.pass(exchange),
            BatchSize::SmallInput,
        );
    });
}

fn access_log(criterion: &mut Criterion) {
    let log = LogLine::new().unwrap();
    criterion.bench_function("access_log/line", |bench| bench.iter(|| log.write()));
}

fn mesh(criterion: &mut Criterion) {
    let mut mesh = Mesh::new().unwrap();
    criterion.bench_function("istio_stats/request", |bench| bench.iter(|| mesh.report()));
    let made = Mesh::new().unwrap();
    criterion.bench_function("peer_metadata/pass", |bench| {
        bench.iter_batched(
            || made.exchange(),
            |exchange| mesh.pass(exchange),
            BatchSize::SmallInput,
        );
    });
}

fn push(criterion: &mut Criterion) {
    let mut pushes = Pushes::new(5_000).unwrap();
    criterion.bench_function("push/equal_to_5000", |b| b.iter(|| pushes.equal().unwrap()));
    criterion.bench_function("push/one_of_5000", |b| b.iter(|| pushes.one().unwrap()));
}

criterion_group!(functions, route, rbac, pick, snapshot, filters, access_log, mesh, push);
criterion_main!(functions);
