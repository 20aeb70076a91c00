//! The paths that are answered: a check, and what those who run the service ask for.

use std::net::IpAddr;

use crate::answer::{self, Ending};
use crate::command::Desk;
use crate::metrics::Page;
use crate::request::Request;
use crate::visible::quoted;

/// Writes the answer to a request.
pub fn answer(out: &mut Vec<u8>, desk: &mut Desk, request: &Request<'_>, peer: Option<IpAddr>) {
    let ending = Ending {
        keeps_alive: request.keeps_alive && !desk.ends,
        bodiless: request.method == b"HEAD",
    };
    match request.path {
        b"/healthz" => return answer::text(out, 200, "ok\n", ending),
        b"/readyz" => {
            return match desk.can_decide() {
                true => answer::text(out, 200, "ready\n", ending),
                false => answer::text(out, 503, "not ready\n", ending),
            };
        }
        _ => {}
    }
    let limits = &desk.limits;
    if let Some(token) = &limits.token
        && !bears(&request.field("authorization"), token)
    {
        let detail = "Authorization: Bearer TOKEN is wanted";
        return answer::refused(out, 401, detail, ending);
    }
    let Some(rest) = request.path.strip_prefix(b"/check/") else {
        return match request.path {
            b"/metrics" => desk.page = Some((Page::new(limits), ending)),
            path => {
                let detail = format!("no path {}; ask for /check/NAME", quoted(path));
                answer::refused(out, 404, &detail, ending);
            }
        };
    };
    let end = rest
        .iter()
        .position(|byte| *byte == b'/')
        .unwrap_or(rest.len());
    let (name, route) = rest.split_at(end);
    let served = std::str::from_utf8(name)
        .ok()
        .and_then(|name| limits.by_name.get(name));
    let Some(served) = served else {
        let detail = format!("no limit {}; {}", quoted(name), limits.names());
        return answer::refused(out, 404, &detail, ending);
    };
    let decision = served.decide(request, route, &limits.address, peer);
    answer::decided(out, limits, served, decision, ending);
}

/// True if credentials are `Bearer` and the token; a scheme is told in any case (RFC 9110, 11.1).
pub fn bears(credentials: &[u8], token: &str) -> bool {
    let Some((scheme, told)) = credentials.split_at_checked(b"Bearer ".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ") && same(told.trim_ascii_start(), token.as_bytes())
}

/// True if both are the same, in a time that tells nothing of where they differ.
pub fn same(told: &[u8], secret: &[u8]) -> bool {
    let differences = told.iter().zip(secret).map(|(one, two)| one ^ two);
    differences.fold(0, |all, each| all | each) == 0 && told.len() == secret.len()
}
