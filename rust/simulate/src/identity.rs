//! The client that a request says it is: the twin of `simulate/identities.py` and `simulate/tokens.py`.

use blake2::digest::consts::U8;
use blake2::{Blake2b, Digest};

/// `c-` and 16 hexadecimal digits.
pub const IDENTITY_BYTES: usize = 18;

/// The identity that a client's requests carry.
pub type Identity = [u8; IDENTITY_BYTES];

/// The identity of a client of a run; alias 0 is its own, others are its rotated ones.
pub fn identity_of(namespace: &str, client: u32, alias: u32) -> Identity {
    let mut text = format!("{namespace}/{client}");
    if alias != 0 {
        text += &format!("/{alias}");
    }
    spelled(b'c', text.as_bytes())
}

/// Values that were given: each client sends one of these instead of an identity of its own.
pub struct Tokens {
    /// Their text in a request, in order; at least one.
    pub values: Vec<Vec<u8>>,
    /// The first so many clients share theirs with nobody, as long as they keep one.
    pub own: u32,
    /// Clients of the scenario.
    pub clients: u32,
    /// Begins what the recorded names are digests of; recorded nowhere.
    pub salt: Vec<u8>,
}

impl Tokens {
    /// The place of what a client sends under an alias; who rotates them goes round.
    pub fn place(&self, client: u32, alias: u32) -> usize {
        let (all, own) = (self.values.len() as u64, u64::from(self.own));
        let (client, alias) = (u64::from(client), u64::from(alias));
        let clients = u64::from(self.clients);
        if all <= own || (client < own && alias == 0) {
            return ((client + alias * clients) % all) as usize;
        }
        let turn = match client.checked_sub(own) {
            Some(number) => number + alias * clients.saturating_sub(own).max(1),
            None => client + (alias - 1) * own,
        };
        (own + turn % (all - own)) as usize
    }

    /// Gives what a client sends under an alias.
    pub fn value(&self, client: u32, alias: u32) -> &[u8] {
        &self.values[self.place(client, alias)]
    }

    /// The name that is recorded of it.
    pub fn name(&self, client: u32, alias: u32) -> Identity {
        spelled(b'k', &[&self.salt[..], self.value(client, alias)].concat())
    }
}

/// A letter, `-` and the 16 hexadecimal digits of a text's digest.
fn spelled(letter: u8, text: &[u8]) -> Identity {
    let digest = Blake2b::<U8>::digest(text);
    let mut identity = *b"c-0000000000000000";
    identity[0] = letter;
    for (pair, byte) in identity[2..].chunks_exact_mut(2).zip(digest) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    identity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_those_of_the_reference() {
        // blake2b("run/0", digest_size=8) and blake2b("run/3/2", digest_size=8) by Python's hashlib.
        assert_eq!(&identity_of("run", 0, 0), b"c-9a06e5d4daef2c37");
        assert_eq!(&identity_of("run", 3, 2), b"c-753bf71e5ff240a0");
    }

    #[test]
    fn tokens_of_the_first_clients_are_their_own() {
        let values = ["a", "b", "c", "d", "e"].map(Vec::from).to_vec();
        let tokens = Tokens {
            values,
            own: 2,
            clients: 4,
            salt: b"salt".to_vec(),
        };
        let sent: Vec<_> = (0..4).map(|client| tokens.value(client, 0)).collect();
        assert_eq!(sent, [b"a", b"b", b"c", b"d"]);
        let renamed: Vec<_> = (0..4).map(|alias| tokens.value(3, alias)).collect();
        assert_eq!(renamed, [b"d", b"c", b"e", b"d"]);
        assert_eq!(tokens.value(0, 1), b"c");
        assert_eq!(tokens.value(0, 2), b"e");
        assert_eq!(&tokens.name(3, 0)[..2], b"k-");
        assert_eq!(tokens.name(3, 0), tokens.name(3, 3));
    }
}
