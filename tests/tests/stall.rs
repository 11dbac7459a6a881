//! A worker only takes the new snapshot: whatever a control plane pushes is applied elsewhere, and requests do not wait for it.

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{Read as _, Write as _};
    use std::iter;
    use std::net::TcpStream;
    use std::os::unix::fs::FileExt as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread::{self, JoinHandle};
    use std::time::{Duration, Instant};

    use outrigger_tests::control::resources::{cluster, endpoints, listener, merged, routes_of};
    use outrigger_tests::control::small::answer;
    use outrigger_tests::control::{Form, World};
    use serde_json::json;
    use tokio::time::sleep;

    const CLUSTERS: usize = 5_000;
    /// Of each kind. What a push itself does to a worker it does every time: the best of them is without the noise of the machine.
    const PUSHES: usize = 3;
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: mesh\r\n\r\n";
    const BODY: &str = "the end";

    /// What a worker may compute while a request waits for it.
    const BUSY: Duration = Duration::from_millis(1);
    /// What a request may take when all cores are busy with the push, and with the control plane that makes it.
    const LATE: Duration = Duration::from_millis(20);

    /// What a push does to the clusters.
    #[derive(Clone, Copy, Debug)]
    enum Push {
        /// One has another timeout; of state of the world, all others come again as they were.
        One,
        /// All have another timeout.
        All,
        /// All are gone, and so many others are there.
        Others,
    }

    fn write(world: &World, push: Push, turn: usize) {
        let count = if matches!(push, Push::One) { 1 } else { CLUSTERS };
        for n in 0..count {
            let name = match push {
                Push::Others => format!("t{turn}-c{n}"),
                Push::One | Push::All => format!("c{n}"),
            };
            let timeout = json!({ "connect_timeout": format!("{}s", 5 + turn) });
            world.write(&format!("c{n}"), &merged(cluster(&name, json!({})), timeout)).unwrap();
            world.write(&format!("e{n}"), &endpoints(&name, &[9, 10])).unwrap();
        }
    }

    /// The workers of a process.
    struct Workers(Vec<File>);

    impl Workers {
        fn of(pid: u32) -> Self {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
            let workers: Vec<_> = tasks
                .map(|task| task.unwrap().path())
                .filter(|task| {
                    let name = fs::read_to_string(task.join("comm"));
                    name.is_ok_and(|name| name.starts_with("wrk:"))
                })
                .map(|task| File::open(task.join("schedstat")).unwrap())
                .collect();
            assert_eq!(workers.len(), 2, "two workers");
            Self(workers)
        }

        /// What each has computed so far. It does not count while it waits for a core.
        fn cpu(&self) -> [Duration; 2] {
            [0, 1].map(|index| {
                let mut text = [0; 64];
                let length = self.0[index].read_at(&mut text, 0).unwrap();
                let text = str::from_utf8(&text[..length]).unwrap();
                Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
            })
        }
    }

    /// One request.
    #[derive(Debug)]
    struct Asked {
        at: Instant,
        took: Duration,
        /// What the busier worker computed meanwhile.
        cpu: Duration,
    }

    /// Asks again and again on one connection.
    struct Client {
        stop: Arc<AtomicBool>,
        thread: JoinHandle<Vec<Asked>>,
    }

    impl Client {
        fn start(port: u16, pid: u32) -> Self {
            let stop = Arc::new(AtomicBool::new(false));
            let stopped = stop.clone();
            let workers = Workers::of(pid);
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut bytes = [0; 4096];
            let mut ask = move || {
                let (at, before) = (Instant::now(), workers.cpu());
                stream.write_all(REQUEST).unwrap();
                let mut length = 0;
                while !bytes[..length].ends_with(BODY.as_bytes()) {
                    let more = stream.read(&mut bytes[length..]).unwrap();
                    assert!(more > 0, "the connection was closed");
                    length += more;
                }
                let took = at.elapsed();
                let each = iter::zip(workers.cpu(), before).map(|(after, before)| after - before);
                Asked { at, took, cpu: each.max().unwrap() }
            };
            let thread = thread::spawn(move || {
                iter::from_fn(|| (!stopped.load(Ordering::Relaxed)).then(&mut ask)).collect()
            });
            Self { stop, thread }
        }

        fn end(self) -> Vec<Asked> {
            self.stop.store(true, Ordering::Relaxed);
            self.thread.join().unwrap()
        }
    }

    /// Pushes what is written, and waits until it is in effect. Returns when it began.
    async fn pushed(world: &mut World) -> Instant {
        let (count, warming) =
            ("cluster_manager.cds.update_success", "cluster_manager.warming_clusters");
        let before = world.stat(count).await.unwrap();
        let begun = Instant::now();
        world.push().await.unwrap();
        loop {
            let is_new = world.stat(count).await.unwrap() > before;
            if is_new && world.stat(warming).await.unwrap() == Some(0) {
                // What is replaced is taken apart after that.
                sleep(Duration::from_millis(200)).await;
                return begun;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "not applied");
            sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn no_worker_waits_for_a_push_of_5000_clusters() {
        let pushes: [(Form, &[Push]); 2] =
            [(Form::Sotw, &[Push::One, Push::All]), (Form::Delta, &[Push::Others])];
        for (form, pushes) in pushes {
            let mut world = World::new(form).unwrap();
            world.write("listener", &listener("main", world.port, "r", json!({}))).unwrap();
            world.write("routes", &routes_of("r", answer(BODY))).unwrap();
            write(&world, Push::All, 0);
            world.start().await.unwrap();
            let pid = world.proxy().unwrap().pid();
            let mut turn = 0;
            for &push in pushes {
                let (mut busiest, mut slowest) = (Vec::new(), Vec::new());
                for _ in 0..PUSHES {
                    turn += 1;
                    write(&world, push, turn);
                    // One alone: what its worker computes is for it, or for the push.
                    let client = Client::start(world.port, pid);
                    let begun = pushed(&mut world).await;
                    let all = client.end();
                    let during = || all.iter().filter(|asked| asked.at >= begun);
                    assert!(during().count() > 200, "{form:?} {push:?}: hardly a request");
                    busiest.push(during().map(|asked| asked.cpu).max().unwrap());
                    slowest.push(during().map(|asked| asked.took).max().unwrap());
                }
                println!(
                    "{form:?} {push:?}: a worker computed {busiest:?}, a request took {slowest:?}"
                );
                let (busy, late) = (busiest.iter().min().unwrap(), slowest.iter().min().unwrap());
                assert!(*busy <= BUSY, "{form:?} {push:?}: a worker computed {busiest:?}");
                assert!(*late <= LATE, "{form:?} {push:?}: a request took {slowest:?}");
            }
        }
    }
}
