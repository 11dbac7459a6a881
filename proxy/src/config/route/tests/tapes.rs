use super::*;
use outrigger_xds_api::envoy::service::discovery::v3::DiscoveryResponse;
use prost::Message;
#[test]
fn tapes() {
    let mut reasons = std::collections::BTreeMap::<String, usize>::new();
    let mut ign = std::collections::BTreeMap::<String, usize>::new();
    for dir in std::fs::read_dir("/work/shared/istiod/tapes").unwrap() {
        let path = dir.unwrap().path().join("sotw.responses");
        let bytes = std::fs::read(&path).unwrap();
        let mut at = 0;
        let (mut ok, mut bad) = (0, 0);
        while at < bytes.len() {
            let len = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
            let response = DiscoveryResponse::decode(&bytes[at + 12..at + 12 + len]).unwrap();
            at += 12 + len;
            for resource in response.resources {
                if resource.type_url.ends_with("RouteConfiguration") {
                    let message = RouteConfiguration::decode(&*resource.value).unwrap();
                    let (result, ignored) =
                        translated(|at, cx| super::super::table(message, at, cx));
                    for i in ignored {
                        *ign.entry(i.reason.to_owned()).or_default() += 1;
                    }
                    match result {
                        Ok(_) => ok += 1,
                        Err(e) => {
                            bad += 1;
                            *reasons.entry(e.to_string()).or_default() += 1;
                        }
                    }
                }
            }
        }
        println!("{path:?} ok {ok} bad {bad}");
    }
    println!("{reasons:#?} {ign:#?}");
}
