//! Any bytes are requests of HTTP, in any pieces, and any text is settings, or rules of Envoy's service.

#![no_main]
// Of the program's modules not all is called here.
#![allow(dead_code)]

use libfuzzer_sys::fuzz_target;

#[path = "../../src/address.rs"]
mod address;
#[path = "../../src/definitions.rs"]
mod definitions;
#[path = "../../src/key.rs"]
mod key;
#[path = "../../src/policy.rs"]
mod policy;
#[path = "../../src/request.rs"]
mod request;
#[path = "../../src/rules.rs"]
mod rules;
#[path = "../../src/settings.rs"]
mod settings;
#[path = "../../src/visible.rs"]
mod visible;
#[path = "../../src/yaml.rs"]
mod yaml;

use address::{ClientAddress, Networks};
use key::{KeySpec, MOST_KEY};
use request::{MOST_HEAD, Refused, Request, as_http_1_1};
use rules::Rules;
use settings::Settings;

const PLACES: [&str; 6] = [
    "ip",
    "path+method",
    "path:2",
    "query:id+header:x-id",
    "cookie:id",
    "header:forwarded|query:a|ip",
];

fuzz_target!(|bytes: &[u8]| {
    let mut at = 0;
    while let Ok(Some(request)) = Request::parse(&bytes[at..]) {
        assert!(0 < request.length);
        let whole = bytes.len().min(at + request.length as usize);
        has_keys(&request);
        waits_for_the_rest(&bytes[at..whole]);
        at = whole;
        if at == bytes.len() {
            break;
        }
    }
    if let Some(same) = as_http_1_1(&bytes[at..]) {
        let _ = Request::parse(&same);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Settings::parse(text, text.len() % 2 == 0);
        let mut rules = Rules::default();
        if rules.add(text).is_ok() {
            let mut key = Vec::new();
            let entries = [(&b"key"[..], &b"value"[..]), (b"a", b"")];
            let found = rules.find(b"d", entries, &mut key);
            assert!(found.is_none_or(|number| number < rules.all.len()));
        }
    }
});

fn has_keys(request: &Request<'_>) {
    for proxies in [0, 2] {
        for header in ["X-Forwarded-For", "Forwarded"] {
            let address = ClientAddress {
                proxies,
                header: header.to_owned(),
                ipv6_prefix: 64,
                flood_exempt: Some(Networks::default()),
            };
            let _ = address.taker(request);
            for place in PLACES {
                let spec = KeySpec::parse(place).expect("it is a place");
                let key = spec.of(request, request.path, &address, None);
                assert!(key.map_or(true, |key| key.len() <= 2 * (MOST_KEY + MOST_HEAD)));
            }
        }
    }
}

/// A request that is cut off within the head is no other request, and is refused only as the whole would be.
fn waits_for_the_rest(whole: &[u8]) {
    let end = whole
        .windows(2)
        .position(|pair| pair == b"\n\n" || pair == b"\n\r");
    for cut in 0..end.unwrap_or_default() {
        match Request::parse(&whole[..cut]) {
            Ok(None) | Err(Refused(431, _)) => {}
            Ok(Some(_)) => panic!("a request of {cut} bytes"),
            Err(Refused(status, why)) => panic!("{status}: {why}"),
        }
    }
}
