//! What goes through a stream, and at whose pace.

use outrigger_xds_api::envoy::extensions::transport_sockets::tls::v3::Secret;
use outrigger_xds_api::google::protobuf::Duration as Lifetime;

use super::*;

#[test]
fn a_push_is_delivered_and_the_judgement_is_the_answer() {
    run(async {
        let mut config = config(SOTW);
        config.metadata = vec![(HeaderName::from_static("x-token"), HeaderValue::from_static("t"))];
        let mut both = start(config);
        let mut session = both.opened().await;
        let head = &session.head;
        assert_eq!(
            head.uri.to_string(),
            "http://xds-grpc/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
        );
        assert_eq!(head.method, "POST");
        for (name, value) in
            [("te", "trailers"), ("content-type", "application/grpc"), ("x-token", "t")]
        {
            assert_eq!(head.headers.get(name).unwrap(), value);
        }
        let request: api::DiscoveryRequest = session.hear().await;
        assert_eq!((request.node.unwrap().id, request.type_url), ("node".into(), CDS.type_url()));

        let plane = outrigger_xds_api::envoy::config::core::v3::ControlPlane {
            identifier: "istiod".into(),
        };
        session.say(&api::DiscoveryResponse {
            control_plane: Some(plane),
            ..clusters("1", &["a", "b"])
        });
        let delivery = both.delivered().await;
        assert_eq!(delivery.update.resources.len(), 2);
        assert_eq!(&*both.client.control_plane(), "istiod");
        both.client.applied(delivery.receipt, &[]);
        let answer: api::DiscoveryRequest = session.hear().await;
        assert_eq!((&*answer.version_info, &*answer.response_nonce), ("1", "nonce 1"));

        session.push("2", &["bad"]);
        let delivery = both.delivered().await;
        let refusal = Refusal { name: "bad".into(), reason: "why".into() };
        both.client.applied(delivery.receipt, &[refusal]);
        let answer: api::DiscoveryRequest = session.hear().await;
        assert_eq!((&*answer.version_info, &*answer.response_nonce), ("1", "nonce 2"));
        let message = answer.error_detail.unwrap().message;
        assert_eq!(message, "Error adding/updating cluster(s) bad: why");

        session.say(&api::DiscoveryResponse {
            type_url: "type.googleapis.com/x.Y".into(),
            ..clusters("3", &[])
        });
        assert!(matches!(both.event().await, Event::Unknown { .. }));
        session.push("4", &[""]);
        assert!(matches!(both.event().await, Event::Rejected { kind: CDS, .. }));
        let answer: api::DiscoveryRequest = session.hear().await;
        assert!(answer.error_detail.is_some());
    });
}

#[test]
fn delta_reconnects_with_what_is_held() {
    run(async {
        let mut both = start(config(DELTA));
        let mut session = both.opened().await;
        assert!(session.head.uri.path().ends_with("Service/DeltaAggregatedResources"));
        let request: api::DeltaDiscoveryRequest = session.hear().await;
        assert!(request.initial_resource_versions.is_empty());
        session.say(&api::DeltaDiscoveryResponse {
            resources: vec![api::Resource {
                name: "a".into(),
                version: "7".into(),
                resource: Some(any::encode(&cluster("a"))),
                ..api::Resource::default()
            }],
            type_url: CDS.type_url(),
            nonce: "n".into(),
            ..api::DeltaDiscoveryResponse::default()
        });
        let delivery = both.delivered().await;
        both.client.applied(delivery.receipt, &[]);
        let answer: api::DeltaDiscoveryRequest = session.hear().await;
        assert_eq!(answer.response_nonce, "n");
        session.end("14", "restarting");
        both.closed().await;
        let mut session = both.opened().await;
        let request: api::DeltaDiscoveryRequest = session.hear().await;
        assert_eq!(request.initial_resource_versions, [("a".into(), "7".into())].into());
        assert!(request.node.is_some());
    });
}

#[test]
fn secrets_have_a_service_of_their_own() {
    run(async {
        let mut both = start(config(Service::Secrets));
        let name = Subject::Name("default".into());
        both.client.unsubscribe(CDS, &[Subject::All]);
        both.client.subscribe(ResourceType::Secret, &[name]);
        let mut session = both.opened().await;
        assert_eq!(
            session.head.uri.path(),
            "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
        );
        let request: api::DiscoveryRequest = session.hear().await;
        assert_eq!(request.resource_names, ["default"]);
        session.say(&api::DiscoveryResponse {
            type_url: ResourceType::Secret.type_url(),
            resources: vec![any::encode(&Secret { name: "default".into(), ..Secret::default() })],
            ..clusters("1", &[])
        });
        assert_eq!(&*both.delivered().await.update.resources[0].name, "default");
    });
}

#[test]
fn what_is_said_in_one_go_is_one_request() {
    run(async {
        let mut both = start(config(SOTW));
        let mut session = both.opened().await;
        session.hear::<api::DiscoveryRequest>().await;
        for index in 0..1000 {
            let name = Subject::Name(format!("{index}").into());
            both.client.subscribe(ResourceType::Endpoints, &[name]);
        }
        let request: api::DiscoveryRequest = session.hear().await;
        assert_eq!(request.resource_names.len(), 1000);
        both.client.subscribe(ResourceType::Listener, &[Subject::All]);
        let request: api::DiscoveryRequest = session.hear().await;
        assert_eq!(request.type_url, ResourceType::Listener.type_url());
    });
}

#[test]
fn a_push_of_fifty_megabytes_does_not_stall() {
    run(async {
        let mut both = start(config(SOTW));
        let mut session = both.opened().await;
        let filler = "x".repeat(10_000);
        let named = |index| {
            any::encode(&Cluster { alt_stat_name: filler.clone(), ..cluster(&format!("{index}")) })
        };
        let resources: Vec<_> = (0..5000).map(named).collect();
        session.say(&api::DiscoveryResponse { resources, ..clusters("1", &[]) });
        let delivery = both.delivered().await;
        assert_eq!(delivery.update.resources.len(), 5000);
        both.client.applied(delivery.receipt, &[]);
        session.hear::<api::DiscoveryRequest>().await;
        let answer: api::DiscoveryRequest = session.hear().await;
        assert_eq!(answer.version_info, "1");
    });
}

#[test]
fn a_request_larger_than_the_windows_of_the_server_is_sent() {
    run(async {
        let mut both = start(config(SOTW));
        let mut session = both.opened().await;
        session.hear::<api::DiscoveryRequest>().await;
        let names: Vec<_> =
            (0..5000).map(|index| Subject::Name(format!("{index:-<100}").into())).collect();
        both.client.subscribe(ResourceType::Endpoints, &names);
        let request: api::DiscoveryRequest = session.hear().await;
        assert_eq!(request.resource_names.len(), 5000);
    });
}

#[test]
fn a_server_that_pushes_faster_than_it_is_applied_has_to_wait() {
    run(async {
        let mut both = start(config(SOTW));
        let mut session = both.opened().await;
        session.push("1", &["a"]);
        let first = both.delivered().await;
        // Far more than a window.
        let name = "x".repeat(100_000);
        for _ in 0..100 {
            session.push("2", &[&name]);
        }
        let stream = session.stream();
        stream.reserve_capacity(1024 * 1024);
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(stream.capacity(), 0, "nothing is left of the window");
        assert!(both.events.try_recv().is_err());

        both.client.applied(first.receipt, &[]);
        for _ in 0..100 {
            let delivery = both.delivered().await;
            assert_eq!(delivery.update.resources.len(), 1);
            both.client.applied(delivery.receipt, &[]);
        }
    });
}

#[test]
fn a_resource_expires_whether_or_not_there_is_a_stream() {
    run(async {
        let mut both = start(config(SOTW));
        let mut session = both.opened().await;
        let mortal = api::Resource {
            name: "a".into(),
            resource: Some(any::encode(&cluster("a"))),
            ttl: Some(Lifetime { seconds: 0, nanos: 200_000_000 }),
            ..api::Resource::default()
        };
        session.say(&api::DiscoveryResponse {
            resources: vec![any::encode(&mortal)],
            ..clusters("1", &[])
        });
        let delivery = both.delivered().await;
        both.client.applied(delivery.receipt, &[]);
        both.is_down.set(true);
        session.end("14", "");
        loop {
            match both.event().await {
                Event::Closed { .. } => {}
                Event::Expired(update) => break assert_eq!(&*update.removed[0], "a"),
                other => panic!("{other:?}"),
            }
        }
    });
}
