//! The address that a request counts under, where proxies stand in front: as `addresses.py` has it.

use std::net::{IpAddr, Ipv6Addr};

use crate::request::Request;

/// Characters of an address: ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255.
const LONGEST: usize = 45;

/// Of an IPv6 address: who has one of a /64 has them all.
const SITE_BITS: u8 = 64;

/// The way to the address of a client.
#[derive(Debug, Clone, Default)]
pub struct ClientAddress {
    /// The number of hops that are trusted, counted from here.
    pub proxies: usize,
    /// The field that they append to.
    pub header: String,
    /// Bits of an IPv6 address that count.
    pub ipv6_prefix: u8,
    /// Networks whose new clients get room without end; `None`: all of them.
    pub flood_exempt: Option<Networks>,
}

impl ClientAddress {
    /// The address that a request counts under; empty if it came by a Unix socket and nobody says.
    #[must_use]
    pub fn of(&self, request: &Request<'_>, peer: Option<IpAddr>) -> Vec<u8> {
        let hop = self.told(request).or(peer);
        let written = hop.map(|hop| written(hop, self.ipv6_prefix));
        written.unwrap_or_default().into_bytes()
    }

    /// True if hops are trusted to tell who takes places.
    #[must_use]
    pub fn tells_takers(&self) -> bool {
        self.proxies > 0 && self.flood_exempt.is_some()
    }

    /// The address whose share of the places counts, as of `_taker` in `flooding.py`; nobody's if no
    /// trusted hop tells one (it is such a hop itself that asks), or it is exempt.
    #[must_use]
    pub fn taker(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        let hop = self.told(request)?;
        let exempt = self.flood_exempt.as_ref();
        let counts = exempt.is_some_and(|exempt| !exempt.has(hop));
        counts.then(|| written(hop, self.ipv6_prefix.min(SITE_BITS)).into_bytes())
    }

    /// The last hop that a trusted one tells.
    fn told(&self, request: &Request<'_>) -> Option<IpAddr> {
        let mut hop = None;
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
        hop
    }
}

fn written(hop: IpAddr, ipv6_prefix: u8) -> String {
    match hop.to_canonical() {
        IpAddr::V6(address) if ipv6_prefix < 128 => {
            let mask = !(u128::MAX >> ipv6_prefix);
            let network = Ipv6Addr::from(u128::from(address) & mask);
            format!("{network}/{ipv6_prefix}")
        }
        address => address.to_string(),
    }
}

/// Networks that an address can be in: numbers of IPv6 addresses, which map those of IPv4, and how many
/// of their bits count.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<(u128, u32)>);

impl Networks {
    /// Reads `10.0.0.0/8,2001:db8::/32`; `None` where it says `all`.
    ///
    /// # Errors
    /// The network that could not be read.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let (mut networks, mut all) = (Vec::new(), false);
        for each in text
            .split(',')
            .map(str::trim)
            .filter(|each| !each.is_empty())
        {
            match each {
                "all" => all = true,
                _ => networks.push(network(each).ok_or_else(|| {
                    format!("{each:?} is no network (such as 10.0.0.0/8, 2001:db8::/32 or all)")
                })?),
            }
        }
        Ok((!all).then_some(Self(networks)))
    }

    fn has(&self, address: IpAddr) -> bool {
        let number = number_of(address);
        let within = |(network, bits): &(u128, u32)| (network ^ number) & mask(*bits) == 0;
        self.0.iter().any(within)
    }
}

fn network(text: &str) -> Option<(u128, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
        Some(_) => return None,
        None => most,
    };
    let number = number_of(address);
    let all = bits + 128 - most;
    (bits <= most && number & !mask(all) == 0).then_some((number, all))
}

fn number_of(address: IpAddr) -> u128 {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    address.into()
}

/// Of a number's 128 bits the first so many.
fn mask(bits: u32) -> u128 {
    !u128::MAX.checked_shr(bits).unwrap_or(0)
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
