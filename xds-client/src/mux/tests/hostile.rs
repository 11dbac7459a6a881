//! Messages that no honest server sends.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// One of everything that a response can say.
fn full(mode: Mode) -> Vec<u8> {
    let mut sotw = response(CDS, "1", "a", &["x", "y"]);
    sotw.resources.push(any::encode(&api::Resource {
        ttl: lifetime(10),
        aliases: strings(&["z"]),
        ..wrapped("w", "2", Some(body(CDS, "w", "")))
    }));
    let name = api::ResourceName { name: "x".into(), ..Default::default() };
    sotw.resource_errors.push(api::ResourceError {
        resource_name: Some(name.clone()),
        error_detail: Some(outrigger_xds_api::google::rpc::Status {
            code: 5,
            ..Default::default()
        }),
    });
    let mut delta = delta_response(CDS, "1", "a", &["x", "y"], &["z"]);
    delta.resources.push(api::Resource {
        ttl: lifetime(10),
        resource_name: Some(name),
        aliases: strings(&["z"]),
        ..wrapped("w", "2", None)
    });
    delta.removed_resource_names.push(api::ResourceName { name: "v".into(), ..Default::default() });
    delta.resource_errors.clone_from(&sotw.resource_errors);
    match mode {
        Mode::Sotw => sotw.encode_to_vec(),
        Mode::Delta => delta.encode_to_vec(),
    }
}

#[test]
fn no_message_breaks_the_client() {
    for mode in [Mode::Sotw, Mode::Delta] {
        let mut rng = StdRng::seed_from_u64(1);
        let message = full(mode);
        let mut client = Client::new(mode);
        client.want(CDS, &["*"]);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let mut broken = message.clone();
            for _ in 0..rng.random_range(0..3) {
                let place = rng.random_range(0..broken.len());
                broken[place] = rng.random();
            }
            if rng.random() {
                broken.truncate(rng.random_range(0..=broken.len()));
            }
            match client.mux.on_message(broken.into(), client.now) {
                Ok(Received::Delivery(delivery)) => {
                    taken += 1;
                    client.mux.on_applied(delivery.receipt, &[]);
                }
                Ok(_) => {}
                Err(_) => refused += 1,
            }
            while client.mux.next_request().is_some() {}
        }
        assert!(taken > 100 && refused > 100, "{taken} {refused}");
        // It is as good as new.
        let message = message.into();
        let received = client.mux.on_message(message, client.now).unwrap();
        assert!(matches!(received, Received::Delivery(_)), "{received:?}");
    }
}

#[test]
fn a_message_of_more_fields_than_anybody_needs_is_refused() {
    for (mode, tag) in [(Mode::Sotw, 0x12), (Mode::Delta, 0x12), (Mode::Delta, 0x32)] {
        let mut client = Client::new(mode);
        let message = [tag, 0].repeat(1_000_001);
        let error = client.mux.on_message(message.into(), client.now).unwrap_err();
        assert_eq!(error, MessageError::Fields);
    }
}
