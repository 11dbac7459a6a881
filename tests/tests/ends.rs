//! The harness' own ends against each other, without a proxy between them: what a client reports is
//! what an upstream was told to do, and what an upstream records is what a client sent.

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use outrigger_tests::certs::Certs;
    use outrigger_tests::client::{Client, Ends, Heard};
    use outrigger_tests::scratch::Scratch;
    use outrigger_tests::stream::Fate;
    use outrigger_tests::upstream::Upstreams;
    use outrigger_tests::upstream::record::Seen;
    use outrigger_tests::upstream::script::Script;
    use serde_json::{Value, json};

    /// Runs a client against the upstreams under this script.
    async fn exchange(client: Value, script: Value) -> (Heard, Vec<Seen>) {
        let scratch = Scratch::new().unwrap();
        let certs = Arc::new(Certs::create(&scratch.path().join("certs")).unwrap());
        let upstreams = Upstreams::start(&certs, scratch.path()).await.unwrap();
        let recorder = Arc::clone(&upstreams.recorder);
        recorder.begin(Script::from_value(script).unwrap());
        let ports = upstreams.ports.clone();
        let ends =
            Ends { ports, dir: scratch.path().to_owned(), certs, recorder: Arc::clone(&recorder) };
        let client: Client = serde_json::from_value(client).unwrap();
        let heard = client.run(&ends).await.unwrap();
        (heard, recorder.seen())
    }

    fn statuses(heard: &Heard) -> Vec<u16> {
        heard.responses.iter().map(|response| response.head.status()).collect()
    }

    #[tokio::test]
    async fn an_http1_exchange_is_seen_from_both_ends() {
        let head = "POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n";
        let request = format!("{head}2\r\nhi\r\n0\r\nt: 1\r\n\r\n");
        let reply =
            json!([{"early": ["103 link: x"], "status": 201, "body": "yes", "trailers": ["u: 2"]}]);
        let (heard, seen) = exchange(json!({"to": "UPSTREAM1", "raw": request}), reply).await;
        assert_eq!(statuses(&heard), [103, 201]);
        let last = heard.responses.last().unwrap();
        assert_eq!(
            (last.body.as_slice(), last.trailers.len(), last.complete),
            (b"yes".as_slice(), 1, true)
        );
        assert_eq!(heard.fate, Some(Fate::Kept));
        let [seen] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!(seen.head.start, b"POST /x HTTP/1.1");
        assert_eq!(
            (seen.body.as_slice(), seen.trailers.len(), seen.whole),
            (b"hi".as_slice(), 1, true)
        );
    }

    #[tokio::test]
    async fn the_fate_of_a_connection_is_told() {
        let cases = [
            (json!({"fail": "close"}), Some(Fate::Closed), 0),
            (json!({"fail": "reset"}), Some(Fate::Reset), 0),
            (json!({"end": "close"}), Some(Fate::Closed), 1),
            (json!({"end": "reset", "body": "abcdef"}), Some(Fate::Reset), 1),
            (json!({"raw": "HTTP/1.1 204 No\r\n\r\n"}), Some(Fate::Kept), 1),
        ];
        for (reply, fate, responses) in cases {
            let client = json!({"to": "UPSTREAM1", "get": "/", "limit_ms": 500});
            let (heard, _) = exchange(client, json!([reply])).await;
            assert_eq!((heard.fate, heard.responses.len()), (fate, responses), "{reply}");
        }
    }

    #[tokio::test]
    async fn a_body_that_was_cut_is_incomplete() {
        let client = json!({"to": "UPSTREAM1", "get": "/"});
        let (heard, _) = exchange(client, json!([{"end": "cut", "body": "abcdef"}])).await;
        let response = heard.responses.first().unwrap();
        assert_eq!((response.body.as_slice(), response.complete), (b"abc".as_slice(), false));
    }

    #[tokio::test]
    async fn http2_streams_carry_trailers_and_resets() {
        let requests =
            json!([{"method": "POST", "body": "hi", "trailers": ["t: 1"]}, {"path": "/second"}]);
        let script =
            json!([{"body": "yes", "trailers": ["u: 2"]}, {"fail": "reset", "h2_code": 7}]);
        let (heard, seen) =
            exchange(json!({"to": "UPSTREAM1", "requests": requests}), script).await;
        assert_eq!(statuses(&heard), [200, 0]);
        let (first, second) = (heard.responses.first().unwrap(), heard.responses.last().unwrap());
        assert_eq!((first.body.as_slice(), first.trailers.len()), (b"yes".as_slice(), 1));
        assert_eq!(second.reset.as_deref(), Some("RST_STREAM REFUSED_STREAM"));
        let bodies: Vec<_> =
            seen.iter().map(|seen| (seen.body.as_slice(), seen.trailers.len())).collect();
        assert_eq!(bodies, [(b"hi".as_slice(), 1), (b"".as_slice(), 0)]);
    }

    #[tokio::test]
    async fn frames_of_ones_own_making_reach_the_other_end() {
        let fields =
            json!([":method: GET", ":scheme: http", ":authority: h", ":path: /x", "x-a: b"]);
        let frames = json!([{"headers": {"stream": 1, "end": true, "fields": fields}}]);
        let (heard, seen) =
            exchange(json!({"to": "UPSTREAM1", "frames": frames}), json!([{"body": "yes"}])).await;
        assert_eq!(heard.frames, ["HEADERS 1 200", "DATA 1 yes end"]);
        assert_eq!(seen.first().and_then(|seen| seen.head.value("x-a")), Some(b"b".as_slice()));
    }

    #[tokio::test]
    async fn tls_shows_who_is_at_the_other_end() {
        let tls = json!({"sni": "a.test", "alpn": ["http/1.1"], "cert": "client"});
        let (heard, seen) =
            exchange(json!({"to": "UPSTREAM1", "tls": tls, "get": "/"}), json!([])).await;
        assert_eq!(heard.connection.as_deref(), Some("TLSv1_3 alpn=http/1.1 peer=server"));
        let upstream = seen.first().and_then(|seen| seen.tls.as_deref());
        assert_eq!(upstream, Some("TLSv1_3 alpn=http/1.1 peer=client sni=a.test"));

        let tls = json!({"sni": "a.test", "cert": "stranger"});
        let (heard, seen) =
            exchange(json!({"to": "UPSTREAM1", "tls": tls, "get": "/"}), json!([])).await;
        assert!(heard.responses.is_empty() && seen.is_empty());
    }

    #[tokio::test]
    async fn a_half_close_of_tcp_leaves_the_other_direction_open() {
        let steps =
            json!([{"await_text": "TCP1>"}, {"raw": "hi"}, {"await_text": "hi"}, "shutdown"]);
        let (heard, seen) = exchange(json!({"to": "TCP1", "steps": steps}), json!([])).await;
        assert_eq!(heard.bytes, b"TCP1>hibye");
        assert_eq!(
            seen.first().map(|seen| (seen.body.as_slice(), seen.whole)),
            Some((b"hi".as_slice(), true))
        );
    }

    #[tokio::test]
    async fn repeated_requests_are_counted_by_answer() {
        let client = json!({"to": "UPSTREAM2", "get": "/", "repeat": 5, "reconnect": true});
        let (heard, _) = exchange(client, json!([{"status": 500}, {}])).await;
        let counts: Vec<_> =
            heard.counts.iter().map(|(answer, count)| (answer.as_str(), *count)).collect();
        assert_eq!(counts, [("200 UPSTREAM2", 4), ("500 UPSTREAM2", 1)]);
    }

    #[tokio::test]
    async fn a_port_that_nobody_has_is_refused() {
        let (heard, _) = exchange(json!({"to": "REFUSED", "get": "/"}), json!([])).await;
        assert_eq!(heard.connection.as_deref(), Some("connect: ConnectionRefused"));
    }
}
