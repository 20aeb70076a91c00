//! The address that a request counts under, where proxies stand in front: as `addresses.py` has it.

use std::net::{IpAddr, Ipv6Addr};

use crate::request::Request;

/// Characters of an address: ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255.
const LONGEST: usize = 45;

/// The way to the address of a client.
#[derive(Debug, Clone)]
pub struct ClientAddress {
    /// The number of hops that are trusted, counted from here.
    pub proxies: usize,
    /// The field that they append to.
    pub header: String,
    /// Bits of an IPv6 address that count.
    pub ipv6_prefix: u8,
}

impl ClientAddress {
    /// The address that a request counts under; empty if it came by a Unix socket and nobody says.
    #[must_use]
    pub fn of(&self, request: &Request<'_>, peer: Option<IpAddr>) -> Vec<u8> {
        let mut hop = peer;
        if self.proxies > 0 {
            let value = request.field(&self.header);
            let text: String = value.iter().map(|byte| char::from(*byte)).collect();
            let forwarded = self.header.eq_ignore_ascii_case("forwarded");
            let read = if forwarded { of_forwarded } else { of_entry };
            for element in last_first(&text).into_iter().take(self.proxies) {
                let Some(found) = read(element) else { break };
                hop = Some(found);
            }
        }
        hop.map(|hop| self.written(hop))
            .unwrap_or_default()
            .into_bytes()
    }

    fn written(&self, hop: IpAddr) -> String {
        match hop.to_canonical() {
            IpAddr::V6(address) if self.ipv6_prefix < 128 => {
                let mask = !(u128::MAX >> self.ipv6_prefix);
                let network = Ipv6Addr::from(u128::from(address) & mask);
                format!("{network}/{}", self.ipv6_prefix)
            }
            address => address.to_string(),
        }
    }
}

/// The elements of a list field, from the last; a comma in quotes separates nothing.
fn last_first(value: &str) -> Vec<&str> {
    let (mut found, mut end, mut quoted) = (Vec::new(), value.len(), false);
    for (at, letter) in value.char_indices().rev() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                found.push(value[at + 1..end].trim_matches([' ', '\t']));
                end = at;
            }
            _ => {}
        }
    }
    found.push(value[..end].trim_matches([' ', '\t']));
    found
}

/// The address in an element of Forwarded, such as `for="[2001:db8::1]:4711";proto=http`.
fn of_forwarded(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let trimmed = |text: &'_ str| text.trim_matches([' ', '\t']).to_owned();
    let named = pairs.filter(|(name, _)| trimmed(name).eq_ignore_ascii_case("for"));
    let values: Vec<String> = named.map(|(_, value)| trimmed(value)).collect();
    let [value] = &values[..] else { return None };
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    of_entry(inner.unwrap_or(value))
}

/// An address, perhaps with a port: `192.0.2.1:80`, `[2001:db8::1]:80`; none if it is none.
fn of_entry(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']')?;
            (port.is_empty() || port.starts_with(':')).then_some(inner)?
        }
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => address,
            _ => text,
        },
    };
    (bare.len() <= LONGEST).then(|| bare.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_an_address_perhaps_with_a_port() {
        let written = |text| of_entry(text).map(|address| address.to_canonical().to_string());
        assert_eq!(written("192.0.2.1:80").as_deref(), Some("192.0.2.1"));
        assert_eq!(written("[2001:DB8::1]:80").as_deref(), Some("2001:db8::1"));
        assert_eq!(written("::ffff:192.0.2.1").as_deref(), Some("192.0.2.1"));
        for text in [
            "",
            "unknown",
            "[2001:db8::1]x",
            "fe80::1%eth0",
            "192.0.2.01",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn a_comma_in_quotes_separates_nothing() {
        assert_eq!(last_first(r#"for="a,b", for=c"#), ["for=c", r#"for="a,b""#]);
    }
}
