//! HTTP/2 through the real binary, with peers that behave and peers that do not: floods end, nobody else notices, memory stays, and large
//! bodies pass whole at the pace of the slower end.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::future::poll_fn;
    use std::time::Duration;

    use bytes::Bytes;
    use h2::client::SendRequest;
    use outrigger_tests::binary;
    use outrigger_tests::ports::free_port;
    use outrigger_tests::proxy::Proxy;
    use outrigger_tests::scratch::Scratch;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{Instant, sleep, timeout};

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const LIMIT: Duration = Duration::from_secs(30);
    /// `GET http://a/` without indexing.
    const GET: &[u8] = &[0x82, 0x86, 0x84, 0x01, 1, b'a'];

    struct Running {
        proxy: Proxy,
        port: u16,
        _scratch: Scratch,
    }

    fn address(port: u16) -> Value {
        json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
    }

    /// A proxy that speaks HTTP/2 with a host on this port.
    async fn start(host: u16) -> Running {
        let scratch = Scratch::new().unwrap();
        let (port, admin) = (free_port().unwrap(), free_port().unwrap());
        let bootstrap = json!({
            "admin": { "address": address(admin) },
            "static_resources": {
                "listeners": [{
                    "name": "h2", "address": address(port),
                    "filter_chains": [{ "filters": [{
                        "name": "hcm",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                            "stat_prefix": "h2",
                            "http2_protocol_options": { "max_concurrent_streams": 100 },
                            "route_config": { "virtual_hosts": [{
                                "name": "all", "domains": ["*"],
                                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "host", "timeout": "0s" } }]
                            }] },
                            "http_filters": [{
                                "name": "router",
                                "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" }
                            }]
                        }
                    }] }]
                }],
                "clusters": [{
                    "name": "host",
                    "load_assignment": { "cluster_name": "host", "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(host) } }] }] },
                    "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "explicit_http_config": { "http2_protocol_options": {} }
                    } },
                    "circuit_breakers": { "thresholds": [{ "max_requests": 100_000, "max_pending_requests": 100_000 }] }
                }]
            }
        });
        let binary = binary::built().unwrap();
        let flags = ["--concurrency", "1"];
        let proxy =
            Proxy::start_with(&binary, &bootstrap, scratch.path(), admin, &flags).await.unwrap();
        Running { proxy, port, _scratch: scratch }
    }

    impl Running {
        fn rss_kb(&self) -> u64 {
            let status = fs::read_to_string(format!("/proc/{}/status", self.proxy.pid())).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        }

        async fn stats(&self, names: &[&str]) -> BTreeMap<String, i64> {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            self.proxy.admin.stats(&names).await.unwrap()
        }

        async fn client(&self) -> SendRequest<Bytes> {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
            let (sender, connection) = h2::client::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender
        }

        async fn is_well(&self) -> bool {
            let mut sender = self.client().await.ready().await.unwrap();
            let request = http::Request::get("http://a/").body(()).unwrap();
            let (response, _) = sender.send_request(request, true).unwrap();
            timeout(LIMIT, response).await.unwrap().unwrap().status() == 200
        }
    }

    /// A host that sends back what it is sent, when it has a moment for it. A path of digits asks for so many bytes instead.
    async fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await?;
                    while let Some(accepted) = connection.accept().await {
                        let (request, respond) = accepted?;
                        tokio::spawn(answer(request, respond));
                    }
                    Ok::<_, h2::Error>(())
                });
            }
        });
        port
    }

    async fn answer(
        request: http::Request<h2::RecvStream>,
        mut respond: h2::server::SendResponse<Bytes>,
    ) -> Result<(), h2::Error> {
        let wanted: usize = request.uri().path().trim_matches('/').parse().unwrap_or(0);
        let mut body = request.into_body();
        let mut stream = respond.send_response(http::Response::new(()), false)?;
        if wanted > 0 {
            send(&mut stream, Bytes::from(vec![b'x'; wanted])).await;
        }
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            send(&mut stream, data).await;
        }
        stream.send_data(Bytes::new(), true)
    }

    /// Sends at the pace of the other end.
    async fn send(stream: &mut h2::SendStream<Bytes>, mut data: Bytes) {
        while !data.is_empty() {
            stream.reserve_capacity(data.len());
            let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
            if stream.send_data(data.split_to(room.min(data.len())), false).is_err() {
                return;
            }
        }
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut bytes = vec![a, b, c, kind, flags];
        bytes.extend(stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Sends pieces until the proxy ends the connection; whether it did, and the code of its GOAWAY.
    async fn flood(port: u16, reads: bool, pieces: impl Iterator<Item = Vec<u8>>) -> Option<u32> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let hold = tokio::sync::Notify::new();
        let reading = async {
            if !reads {
                hold.notified().await;
            }
            let mut bytes = Vec::new();
            // A reset comes as an error, behind what was read.
            let _ = timeout(LIMIT, read.read_to_end(&mut bytes)).await.expect("it goes on");
            goaway(&bytes)
        };
        let writing = async {
            let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
            for piece in pieces {
                bytes.extend(piece);
                if bytes.len() > 16_384 {
                    match timeout(Duration::from_secs(2), write.write_all(&bytes)).await {
                        Ok(Ok(())) => bytes.clear(),
                        // Ended, or stuck because nobody reads.
                        _ => break,
                    }
                }
            }
            let _ = timeout(Duration::from_secs(2), write.write_all(&bytes)).await;
            hold.notify_one();
            // Open, so that the proxy is the one that ends it.
            write
        };
        tokio::join!(reading, writing).0
    }

    fn goaway(mut bytes: &[u8]) -> Option<u32> {
        while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let payload = rest.get(..length)?;
            if head[3] == 7 {
                return Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
            bytes = &rest[length..];
        }
        None
    }

    type Piece = fn(u32) -> Vec<u8>;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn floods_end_and_nobody_else_notices() {
        const MANY: u32 = 100_000;
        let running = start(echo().await).await;
        assert!(running.is_well().await);
        let before = running.rss_kb();
        let floods: [(&str, bool, Piece); 14] =
            [
                ("ping", true, |_| frame(6, 0, 0, &[0; 8])),
                ("settings", true, |_| frame(4, 0, 0, &[])),
                ("settings of many entries", true, |_| {
                    frame(4, 0, 0, &[0, 4, 0, 0, 1, 0].repeat(1000))
                }),
                ("unknown", true, |_| frame(99, 0, 0, b"x")),
                ("priority", true, |n| frame(2, 0, 2 * n + 1, &[0; 5])),
                ("window update", true, |_| frame(8, 0, 0, &[0, 0, 0, 1])),
                ("reset", true, |n| {
                    [frame(1, 5, 2 * n + 1, GET), frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()
                }),
                ("made you reset", true, |n| {
                    [frame(1, 4, 2 * n + 1, GET), frame(8, 0, 2 * n + 1, &[0x7f, 0xff, 0xff, 0xff])]
                        .concat()
                }),
                ("continuation", true, |n| {
                    if n == 0 { frame(1, 0, 1, GET) } else { frame(9, 0, 1, &[0, 1, b'a', 0]) }
                }),
                ("empty continuation", true, |n| {
                    if n == 0 { frame(1, 0, 1, GET) } else { frame(9, 0, 1, &[]) }
                }),
                ("empty data", true, |n| {
                    if n == 0 { frame(1, 4, 1, GET) } else { frame(0, 0, 1, &[]) }
                }),
                ("padding", true, |n| {
                    if n == 0 { frame(1, 4, 1, GET) } else { frame(0, 8, 1, &[9; 10]) }
                }),
                ("streams", true, |n| frame(1, 4, 2 * n + 1, GET)),
                ("ping, answers unread", false, |_| frame(6, 0, 0, &[0; 8])),
            ];
        for (name, reads, piece) in floods {
            let begin = Instant::now();
            let code = flood(running.port, reads, (0..MANY).map(piece)).await;
            // Whoever does not read may be reset before the reason has left.
            assert!(code == Some(11) || (code.is_none() && !reads), "{name}: {code:?}");
            assert!(begin.elapsed() < LIMIT, "{name}");
            assert!(running.is_well().await, "{name}");
        }
        let grown = running.rss_kb().saturating_sub(before);
        assert!(grown < 8 * 1024, "{grown} KiB more");
        let stats = running
            .stats(&[
                "http2.inbound_empty_frames_flood",
                "http2.inbound_priority_frames_flood",
                "http2.inbound_window_update_frames_flood",
                "http.h2.downstream_rq_too_many_premature_resets",
                "http.h2.downstream_rq_active",
                "http2.streams_active",
            ])
            .await;
        assert!(stats["http2.inbound_empty_frames_flood"] >= 3, "{stats:?}");
        assert_eq!(stats["http2.inbound_priority_frames_flood"], 1);
        assert_eq!(stats["http2.inbound_window_update_frames_flood"], 1);
        assert!(stats["http.h2.downstream_rq_too_many_premature_resets"] >= 1, "{stats:?}");
        assert_eq!((stats["http.h2.downstream_rq_active"], stats["http2.streams_active"]), (0, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn heads_that_are_bombs_cost_no_memory() {
        let running = start(echo().await).await;
        assert!(running.is_well().await);
        let before = running.rss_kb();
        for name in ["cookie", "host", "x-a"] {
            // A field of 3.9 KB that enters the table, and then a byte for each time that it is repeated.
            let mut block =
                [GET, &[0x40, u8::try_from(name.len()).unwrap()], name.as_bytes()].concat();
            block.extend([127, 0xbd, 0x1d]);
            block.extend([b'v'; 3_900]);
            block.extend([0xbe; 4_000]);
            let requests = (0..20_u32).map(|n| frame(1, 5, 2 * n + 1, &block));
            let mut stream = TcpStream::connect(("127.0.0.1", running.port)).await.unwrap();
            let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
            bytes.extend(requests.flatten());
            stream.write_all(&bytes).await.unwrap();
            let mut answer = vec![0; 4096];
            assert!(timeout(LIMIT, stream.read(&mut answer)).await.unwrap().unwrap() > 0);
            assert!(running.is_well().await);
        }
        let grown = running.rss_kb().saturating_sub(before);
        assert!(grown < 2 * 1024, "{grown} KiB more");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn large_bodies_pass_whole_both_ways_on_many_streams() {
        const SIZE: usize = 3 << 20;
        let running = start(echo().await).await;
        let sender = running.client().await;
        let mut asked = Vec::new();
        for number in 0..16_u8 {
            let sender = sender.clone();
            asked.push(tokio::spawn(async move {
                let request = http::Request::post("http://a/echo").body(()).unwrap();
                let (response, mut stream) =
                    sender.ready().await.unwrap().send_request(request, false).unwrap();
                let sending = tokio::spawn(async move {
                    send(&mut stream, Bytes::from(vec![number; SIZE])).await;
                    stream.send_data(Bytes::new(), true).unwrap();
                });
                let mut body = response.await.unwrap().into_body();
                let mut received = 0;
                while let Some(data) = body.data().await {
                    let data = data.unwrap();
                    body.flow_control().release_capacity(data.len()).unwrap();
                    assert!(data.iter().all(|byte| *byte == number));
                    received += data.len();
                }
                sending.await.unwrap();
                received
            }));
        }
        for task in asked {
            assert_eq!(timeout(Duration::from_secs(60), task).await.unwrap().unwrap(), SIZE);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_slow_reader_holds_the_host_back_and_not_the_proxy_full() {
        let running = start(echo().await).await;
        assert!(running.is_well().await);
        let before = running.rss_kb();
        let mut waiting = Vec::new();
        // Each connection: a window that is never opened again for 40 responses of 5 MB, and nobody reads the socket.
        for _ in 0..5 {
            let mut stream = TcpStream::connect(("127.0.0.1", running.port)).await.unwrap();
            let mut bytes = [PREFACE, &frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])].concat();
            bytes.extend(frame(8, 0, 0, &[0x7f, 0, 0, 0]));
            for number in 0..40_u32 {
                let block = [&[0x82, 0x86, 0x04, 8][..], b"/5000000", &[0x01, 1, b'a']].concat();
                bytes.extend(frame(1, 5, 2 * number + 1, &block));
            }
            stream.write_all(&bytes).await.unwrap();
            waiting.push(stream);
        }
        sleep(Duration::from_secs(2)).await;
        let grown = running.rss_kb().saturating_sub(before);
        assert!(grown < 20 * 1024, "{grown} KiB more");
        // Whoever holds the window of the host's connection has left: who reads, gets all of it.
        let mut stream = waiting.pop().unwrap();
        drop(waiting);
        let (mut total, mut part) = (0, vec![0; 1 << 20]);
        while total < 40 * 5_000_000 {
            total += timeout(LIMIT, stream.read(&mut part)).await.unwrap().unwrap();
        }
        assert!(running.is_well().await);
    }

    async fn thousand(sender: SendRequest<Bytes>) -> Result<usize, h2::Error> {
        let request = http::Request::get("http://a/1000").body(()).unwrap();
        let (response, _) = sender.ready().await?.send_request(request, true)?;
        let mut body = response.await?.into_body();
        let mut received = 0;
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            received += data.len();
        }
        Ok(received)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ten_thousand_streams_at_once_are_no_more_than_the_limit() {
        let running = start(echo().await).await;
        let sender = running.client().await;
        let mut asked = Vec::new();
        for _ in 0..10_000 {
            let sender = sender.clone();
            asked.push(tokio::spawn(async move {
                loop {
                    // Before our SETTINGS arrive, the client knows no limit: what is beyond it is refused, and may be asked for again
                    // (RFC 9113 §5.1.2, §8.7).
                    match thousand(sender.clone()).await {
                        Err(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => {}
                        other => break other,
                    }
                }
            }));
        }
        for task in asked {
            assert_eq!(
                timeout(Duration::from_secs(60), task).await.unwrap().unwrap().unwrap(),
                1000
            );
        }
        let stats = running.stats(&["http.h2.downstream_rq_total", "http2.tx_reset"]).await;
        assert_eq!(stats["http.h2.downstream_rq_total"], 10_000);
    }
}
